//! Follows Docker's event stream, and subscribes again whenever it ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use zun_common::backoff::Backoff;
use zun_common::chain;
use zun_common::id::ContainerId;
use zun_common::shutdown::Tasks;
use zun_common::status::Status;

use super::refresh::RefreshQueue;
use crate::driver::{DriverError, EngineEvent, EngineEventKind, ListedContainer};
use crate::host::{Host, within};
use crate::report::Observation;

const EVENTS_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the known statuses are compared with those that Docker lists.
const COMPARE_EVERY: Duration = Duration::from_secs(30);
pub(super) const LIST_TIMEOUT: Duration = Duration::from_mins(1);

/// Follows Docker until shutdown.
pub(crate) async fn follow(host: Arc<Host>, refresh: RefreshQueue, tasks: Tasks) {
    let follower = Follower { host: &host, refresh: &refresh };
    tokio::select! {
        biased;
        () = tasks.cancelled() => {}
        () = follower.run() => {}
    }
}

struct Follower<'a> {
    host: &'a Host,
    refresh: &'a RefreshQueue,
}

impl Follower<'_> {
    async fn run(&self) {
        let host = self.host;
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut failed_before = false;
        loop {
            let subscribing = host.driver.events();
            let followed =
                match within(EVENTS_TIMEOUT, "follow the engine's events", subscribing).await {
                    Ok(events) => self.until_end(events, &mut backoff).await,
                    Err(error) => Err(error),
                };
            match followed {
                Ok(()) => {
                    failed_before = false;
                    tracing::warn!(host.name = %host.name, "the engine's events ended");
                    host.reports.events_ended();
                    host.unanswered.engine_ended();
                }
                // Only the first of several failures in a row is logged.
                Err(error) if !std::mem::replace(&mut failed_before, true) => {
                    tracing::warn!(host.name = %host.name, error = %chain(&error), "cannot read the engine's events");
                }
                Err(_again) => {}
            }
            backoff.wait().await;
        }
    }

    /// Inspects all containers, because the subscription is active, so that no change is missed. Meanwhile it already
    /// passes events on: a container that Docker hangs on delays the listing, but not the events of the others.
    async fn until_end(
        &self,
        events: BoxStream<'static, EngineEvent>,
        backoff: &mut Backoff,
    ) -> Result<(), DriverError> {
        let mut passing = std::pin::pin!(self.pass_on(events));
        tokio::select! {
            biased;
            () = &mut passing => return Ok(()),
            listed = self.inspect_all() => listed?,
        }
        tracing::info!(host.name = %self.host.name, "reading the engine's events");
        backoff.reset();
        self.host.reconcile_needed.notify_one();
        self.host.engine_back.notify_one();
        tokio::select! {
            biased;
            () = &mut passing => {}
            () = self.keep_comparing() => {}
        }
        Ok(())
    }

    /// Inspects containers whose status is not the known one: an event can get lost.
    async fn keep_comparing(&self) {
        loop {
            tokio::time::sleep(COMPARE_EVERY).await;
            let statuses = self.host.driver.statuses();
            match within(LIST_TIMEOUT, "list the containers", statuses).await {
                Ok(statuses) => self.compare(&statuses),
                Err(error) => {
                    tracing::debug!(error = %chain(&error), "cannot reconcile with the engine");
                }
            }
        }
    }

    fn compare(&self, statuses: &[(ContainerId, Option<Status>)]) {
        let reports = &self.host.reports;
        for (container, status) in statuses {
            if status.is_some_and(|status| !reports.is_known_as(*container, status)) {
                self.refresh.changed(*container);
            }
        }
        let present: HashSet<ContainerId> = statuses.iter().map(|(id, _)| *id).collect();
        self.inspect_missing(&present);
    }

    /// Inspects the containers that the engine had, and no longer lists.
    fn inspect_missing(&self, present: &HashSet<ContainerId>) {
        for container in self.host.reports.known_in_engine() {
            if !present.contains(&container) {
                self.refresh.changed(container);
            }
        }
    }

    async fn inspect_all(&self) -> Result<(), DriverError> {
        let host = self.host;
        let sequence = host.reports.next_sequence();
        let listed = within(LIST_TIMEOUT, "list the containers", host.driver.list()).await?;
        let mut present = HashSet::with_capacity(listed.len());
        for one in listed {
            present.insert(one.container());
            match one {
                ListedContainer::Inspected(info) => {
                    host.reports.observe(sequence, info.container, Observation::Found(info));
                }
                ListedContainer::StateUnknown { container, engine: _, reason } => {
                    self.refresh.state_unknown(container, &reason);
                }
            }
        }
        self.inspect_missing(&present);
        Ok(())
    }

    async fn pass_on(&self, mut events: BoxStream<'static, EngineEvent>) {
        while let Some(event) = events.next().await {
            if event.what == EngineEventKind::Removed {
                self.host.strays.removed(event.container);
            }
            if event.what == EngineEventKind::Started {
                self.host.reports.process_started(event.container, &event.engine);
            }
            if let Some(exit) = event.exit {
                self.host.reports.process_exited(event.container, (&event.engine, exit));
            }
            self.refresh.changed(event.container);
        }
    }
}
