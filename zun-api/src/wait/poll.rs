//! Reads the rows of containers that requests wait for: at once those that have changed elsewhere, and all of them
//! periodically, because notifications may get lost. There is one query at a time, however many requests wait, and none
//! if no request waits.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use zun_common::bus::Bus;
use zun_common::chain;
use zun_common::id::ContainerId;
use zun_common::shutdown::Tasks;

use super::{Event, Hub};
use crate::db::container::{self, Record};
use crate::db::{Db, DbError};

/// The time between two readings of all rows, and of those while the bus is down and brings no notifications.
const INTERVAL: Duration = Duration::from_secs(10);
const INTERVAL_WITHOUT_NOTIFICATIONS: Duration = Duration::from_secs(2);
/// How many containers one statement reads.
const CHUNK: usize = 500;

/// The rows that exist, or why one cannot be read.
type Rows = HashMap<ContainerId, Result<Record, DbError>>;

/// Polls until shutdown.
pub(crate) async fn poll(hub: Hub, db: Db, (bus, tasks): (Bus, Tasks)) {
    let read = |ids: Vec<ContainerId>| {
        db.read(move |conn| {
            let mut rows = Rows::with_capacity(ids.len());
            for chunk in ids.chunks(CHUNK) {
                rows.extend(container::by_ids(conn, chunk)?);
            }
            Ok(rows)
        })
    };
    tokio::select! {
        () = tasks.cancelled() => {}
        () = poll_with(&hub, || bus.transport().is_connected(), read) => {}
    }
}

async fn poll_with<F>(
    hub: &Hub,
    is_notified: impl Fn() -> bool,
    read: impl Fn(Vec<ContainerId>) -> F,
) where
    F: Future<Output = Result<Rows, DbError>>,
{
    let mut last = Instant::now();
    loop {
        if !hub.has_subscriptions() {
            hub.until_subscribed().await;
            last = Instant::now();
        }
        let subscribed = tokio::select! {
            stale = hub.until_stale() => stale,
            () = until_due(last, &is_notified) => {
                last = Instant::now();
                hub.subscribed()
            }
        };
        if subscribed.is_empty() {
            continue;
        }
        match read(subscribed.iter().map(|(container, _)| *container).collect()).await {
            Ok(rows) => publish(hub, &subscribed, rows),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot read the containers that requests wait for");
            }
        }
    }
}

/// Waits until all rows are to be read again.
async fn until_due(last: Instant, is_notified: impl Fn() -> bool) {
    let interval = || if is_notified() { INTERVAL } else { INTERVAL_WITHOUT_NOTIFICATIONS };
    while last.elapsed() < interval() {
        sleep(INTERVAL_WITHOUT_NOTIFICATIONS).await;
    }
}

fn publish(hub: &Hub, subscribed: &[(ContainerId, u64)], mut rows: Rows) {
    for (container, published) in subscribed {
        let event = match rows.remove(container) {
            Some(Ok(record)) => Event::Changed(Arc::new(record)),
            None => Event::Deleted,
            Some(Err(error)) => {
                tracing::warn!(
                    container.id = %container, error = %chain(&error),
                    "cannot read container {container}, for which a request waits"
                );
                continue;
            }
        };
        hub.publish_read((*container, *published), event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::wait::Subscription;

    fn hub() -> Hub {
        Hub::new(10_000, CancellationToken::new())
    }

    fn subscribe(hub: &Hub, container: ContainerId) -> Subscription {
        hub.subscribe(hub.permit().expect("a permit"), container)
    }

    /// Polls for this time, and returns how many containers each query asked for.
    async fn queries(hub: &Hub, time: Duration) -> Vec<usize> {
        let queries = Mutex::new(Vec::new());
        let read = |ids: Vec<ContainerId>| {
            queries.lock().unwrap().push(ids.len());
            std::future::ready(Ok(Rows::new()))
        };
        assert!(tokio::time::timeout(time, poll_with(hub, || true, read)).await.is_err());
        queries.into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_one_query_per_interval_and_none_if_nobody_waits() {
        let hub = hub();
        assert_eq!(queries(&hub, 100 * INTERVAL).await, [0; 0]);
        let containers = [(); 3].map(|()| ContainerId::random());
        let waiters: Vec<_> = (0..1000)
            .flat_map(|_| containers.map(|container| subscribe(&hub, container)))
            .collect();
        assert_eq!(queries(&hub, 5 * INTERVAL + INTERVAL / 2).await, [3; 5]);
        drop(waiters);
        assert_eq!(queries(&hub, 100 * INTERVAL).await, [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_notifications_rows_are_read_more_often() {
        let hub = hub();
        let _waiter = subscribe(&hub, ContainerId::random());
        let queries = Mutex::new(0);
        let read = |_ids| {
            *queries.lock().unwrap() += 1;
            std::future::ready(Ok(Rows::new()))
        };
        let time = 5 * INTERVAL_WITHOUT_NOTIFICATIONS + INTERVAL_WITHOUT_NOTIFICATIONS / 2;
        assert!(tokio::time::timeout(time, poll_with(&hub, || false, read)).await.is_err());
        assert_eq!(*queries.lock().unwrap(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_row_is_read_at_once_and_only_that() {
        let hub = hub();
        let [changed, other] = [(); 2].map(|()| ContainerId::random());
        let _waiters = [changed, other].map(|container| subscribe(&hub, container));
        let asked = Mutex::new(Vec::new());
        let read = |ids: Vec<ContainerId>| {
            asked.lock().unwrap().push(ids);
            std::future::ready(Ok(Rows::new()))
        };
        let change = async {
            tokio::task::yield_now().await;
            hub.read_soon(&[changed, ContainerId::random()]);
            sleep(INTERVAL / 4).await;
        };
        tokio::select! {
            () = change => {}
            () = poll_with(&hub, || true, read) => {}
        }
        assert_eq!(*asked.lock().unwrap(), [[changed]]);
    }

    #[tokio::test(start_paused = true)]
    async fn every_waiter_learns_that_the_row_is_gone() {
        let hub = hub();
        let container = ContainerId::random();
        let mut waiters = [subscribe(&hub, container), subscribe(&hub, container)];
        assert_eq!(queries(&hub, INTERVAL + INTERVAL / 2).await, [1]);
        for waiter in &mut waiters {
            assert!(matches!(waiter.next().await, Event::Deleted));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_was_read_earlier_does_not_follow_a_newer_state() {
        let hub = hub();
        let container = ContainerId::random();
        let mut waiter = subscribe(&hub, container);
        let read = |_ids| {
            // Meanwhile this process publishes something.
            let published = hub.subscribed().first().copied().expect("a subscription");
            hub.publish_read(published, Event::Lagged);
            std::future::ready(Ok(Rows::new()))
        };
        assert!(
            tokio::time::timeout(INTERVAL + INTERVAL / 2, poll_with(&hub, || true, read))
                .await
                .is_err()
        );
        assert!(matches!(waiter.next().await, Event::Lagged));
        let more = tokio::time::timeout(INTERVAL, waiter.next()).await;
        assert!(more.is_err(), "{more:?}");
    }

    fn failure() -> Result<Rows, DbError> {
        Err(DbError::Connection("busy".into()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_query_is_repeated() {
        let hub = hub();
        let mut waiter = subscribe(&hub, ContainerId::random());
        let answers = Mutex::new(vec![Ok(Rows::new()), failure(), failure()]);
        let read = |_ids| std::future::ready(answers.lock().unwrap().pop().expect("three queries"));
        assert!(
            tokio::time::timeout(3 * INTERVAL + INTERVAL / 2, poll_with(&hub, || true, read))
                .await
                .is_err()
        );
        assert!(matches!(waiter.next().await, Event::Deleted));
    }
}
