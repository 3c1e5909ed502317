//! Inspects the containers of a listing, so that one that hangs or cannot be read does not fail the others.

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::{Instant, timeout};
use zun_common::id::{ContainerId, EngineId};

use super::{ContainerInfo, DriverError, ListedContainer};

const DOING: &str = "inspect the container";

/// Bounds the inspections of one listing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How many containers to inspect at a time.
    pub(super) at_once: usize,
    /// The time limit for each inspection.
    pub(super) each: Duration,
    /// The time limit for all inspections. Containers that are not inspected within it have an unknown state.
    pub(super) total: Duration,
}

/// Inspects these containers. Leaves out those that have been removed meanwhile.
pub(super) async fn inspect_each<F>(
    containers: Vec<(ContainerId, Option<EngineId>)>,
    limits: Limits,
    inspect: impl Fn(ContainerId) -> F + Send + Sync,
) -> Vec<ListedContainer>
where
    F: Future<Output = Result<ContainerInfo, DriverError>> + Send,
{
    let (deadline, inspect) = (Instant::now() + limits.total, &inspect);
    let inspections = stream::iter(containers).map(|(container, engine)| async move {
        let limit = limits.each.min(deadline.saturating_duration_since(Instant::now()));
        let reason = match bounded(limit, inspect(container)).await {
            Ok(info) => return Some(ListedContainer::Inspected(Box::new(info))),
            Err(DriverError::NoContainer(_)) => return None,
            Err(reason) => reason,
        };
        Some(ListedContainer::StateUnknown { container, engine, reason })
    });
    inspections.buffer_unordered(limits.at_once).filter_map(std::future::ready).collect().await
}

async fn bounded<T>(
    limit: Duration,
    inspection: impl Future<Output = Result<T, DriverError>>,
) -> Result<T, DriverError> {
    if limit.is_zero() {
        let words = "the listing of all containers took too long".to_owned();
        return Err(DriverError::Engine { doing: DOING, words });
    }
    timeout(limit, inspection).await.unwrap_or_else(|_elapsed| {
        let words = format!("Docker did not answer within {:.1} s", limit.as_secs_f64());
        Err(DriverError::Engine { doing: DOING, words })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use zun_common::rpc::report::LiveState;

    use zun_common::status::Status;

    use super::*;

    const LIMITS: Limits =
        Limits { at_once: 2, each: Duration::from_secs(5), total: Duration::from_secs(12) };

    fn containers(count: usize) -> Vec<(ContainerId, Option<EngineId>)> {
        (0..count).map(|_| (ContainerId::random(), None)).collect()
    }

    fn info(container: ContainerId) -> ContainerInfo {
        ContainerInfo {
            container,
            engine: "ab".repeat(32).parse().expect("an id"),
            status: Status::Running,
            reason: None,
            exit_code: None,
            oom_killed: false,
            tty: false,
            stdin: false,
            started_at: None,
            raw_started: None,
            finished_at: None,
            live: LiveState::default(),
            cluster: None,
            rebuild: None,
            name: None,
            limits: zun_common::units::Resources::default(),
        }
    }

    fn ids_of(listed: &[&ListedContainer]) -> Vec<ContainerId> {
        listed.iter().map(|one| one.container()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn containers_that_hang_have_an_unknown_state_and_the_listing_ends_in_time() {
        let began = Instant::now();
        let hang = |_| std::future::pending::<Result<ContainerInfo, DriverError>>();
        let listed = inspect_each(containers(100), LIMITS, hang).await;
        assert_eq!(listed.len(), 100);
        assert!(listed.iter().all(|one| matches!(one, ListedContainer::StateUnknown { .. })));
        assert_eq!(began.elapsed(), LIMITS.total);
    }

    #[tokio::test(start_paused = true)]
    async fn a_container_of_unknown_state_keeps_its_place_and_a_removed_one_is_left_out() {
        let ids = containers(3);
        let [(hangs, _), (removed, _), (runs, _)] = ids.as_slice() else { panic!("three") };
        let inspect = |container| async move {
            match container {
                _ if container == *hangs => std::future::pending().await,
                _ if container == *removed => Err(DriverError::NoContainer(container)),
                _ => Ok(info(container)),
            }
        };
        let listed = inspect_each(ids.clone(), LIMITS, inspect).await;
        let (inspected, unknown): (Vec<_>, Vec<_>) =
            listed.iter().partition(|one| one.info().is_some());
        assert_eq!(ids_of(&unknown), [*hangs]);
        assert_eq!(ids_of(&inspected), [*runs]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_containers_are_inspected_at_a_time() {
        let (open, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (open, most) = (&open, &most);
        let listed = inspect_each(containers(10), LIMITS, |container| async move {
            most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            open.fetch_sub(1, Ordering::SeqCst);
            Ok(info(container))
        })
        .await;
        assert_eq!((listed.len(), most.load(Ordering::SeqCst)), (10, LIMITS.at_once));
    }
}
