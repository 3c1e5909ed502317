//! Asks zun-api which containers should exist, and corrects what differs. The agent keeps serving meanwhile.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use zun_common::backoff::Backoff;
use zun_common::bus::Bus;
use zun_common::chain;
use zun_common::id::{ContainerId, EngineId};
use zun_common::rpc::Done;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::host::{Assigned, AssignedContainers, StrayContainer};
use zun_common::rpc::report::UnknownContainer;
use zun_common::shutdown::Tasks;

use super::follow::LIST_TIMEOUT;
use super::plan::{Step, plan};
use super::refresh::RefreshQueue;
use crate::driver::{ContainerInfo, DriverError, ListedContainer};
use crate::host::{Host, within};
use crate::report::{Observation, ObservationSequence};
use crate::worker::Workers;

const REPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reconciles whenever [`Host::reconcile_needed`] is notified, until shutdown.
pub(crate) async fn reconcile(
    workers: Workers,
    (host, refresh): (Arc<Host>, RefreshQueue),
    bus: Bus,
    tasks: Tasks,
) {
    loop {
        tokio::select! {
            biased;
            () = tasks.cancelled() => return,
            () = host.reconcile_needed.notified() => {}
        }
        let round = Round { workers: &workers, host: &host, refresh: &refresh, bus: &bus };
        tokio::select! {
            biased;
            () = tasks.cancelled() => return,
            () = round.until_done() => {}
        }
    }
}

struct Round<'a> {
    workers: &'a Workers,
    host: &'a Host,
    refresh: &'a RefreshQueue,
    bus: &'a Bus,
}

impl Round<'_> {
    async fn until_done(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        let mut waiting = false;
        loop {
            // Without an epoch, another agent may still number runs.
            self.host.control.registered().await;
            let sequence = self.host.reports.next_sequence();
            let why = match self.ask().await {
                Ok(assigned) => match self.correct(sequence, &assigned).await {
                    Ok(()) => return,
                    Err(error) => chain(&error),
                },
                Err(why) => why,
            };
            if !std::mem::replace(&mut waiting, true) {
                tracing::warn!(host.name = %self.host.name, error = %why, "cannot reconcile yet");
            }
            backoff.wait().await;
        }
    }

    async fn ask(&self) -> Result<Assigned, String> {
        let (host, epoch) = (self.host.name.clone(), self.host.control.epoch());
        let question = AssignedContainers { host, epoch };
        let answer = self.bus.call_controller(&question, &CallContext::internal()).await;
        answer.map_err(|error| chain(&error))
    }

    /// `sequence` was drawn before zun-api was asked, so this does not undo what happened since.
    async fn correct(
        &self,
        sequence: ObservationSequence,
        assigned: &Assigned,
    ) -> Result<(), DriverError> {
        let host = self.host;
        for one in &assigned.containers {
            host.reports.apply_assigned(sequence, one);
        }
        let inspected = host.reports.next_sequence();
        let listed = within(LIST_TIMEOUT, "list the containers", host.driver.list()).await?;
        let steps = plan(&assigned.containers, &listed);
        let ours: HashSet<ContainerId> =
            assigned.containers.iter().map(|one| one.container).collect();
        let old = self.old_containers(&listed, &ours).await?;
        let strays = listed.iter().filter_map(ListedContainer::info).chain(&old);
        host.strays.set(self.strays(sequence, strays, &ours));
        let present: HashSet<ContainerId> = listed.iter().map(ListedContainer::container).collect();
        tracing::info!(
            host.name = %host.name, assigned = ours.len(), found = present.len(), "reconciling"
        );
        for one in &listed {
            if let ListedContainer::StateUnknown { container, engine: _, reason } = one {
                self.refresh.state_unknown(*container, reason);
            }
        }
        let is_known =
            |container: &ContainerId| ours.contains(container) || self.workers.is_busy(*container);
        host.reports.disown_others(sequence, is_known);
        for step in steps {
            match step {
                Step::Report(info) => {
                    host.reports.observe(inspected, info.container, Observation::Found(info));
                }
                Step::MarkLost(container) => self.absent(sequence, container, false),
                Step::MarkDeleted(container) => self.absent(sequence, container, true),
                Step::Stray(container, engine) => self.stray(sequence, (container, engine)).await,
            }
        }
        host.reports.retain(|container| {
            ours.contains(container)
                || present.contains(container)
                || self.workers.is_busy(*container)
        });
        Ok(())
    }

    /// The containers that a rebuild has renamed to `zun-<id>.old`, if zun-api does not know them and there is none of
    /// their own name: an agent has died, and zun-api has lost the rebuild and the container. The removal of another
    /// stray includes them.
    async fn old_containers(
        &self,
        listed: &[ListedContainer],
        known: &HashSet<ContainerId>,
    ) -> Result<Vec<ContainerInfo>, DriverError> {
        let host = self.host;
        let listing = host.driver.list_old();
        let old = within(LIST_TIMEOUT, "list the containers", listing).await?;
        let listed: HashSet<ContainerId> = listed.iter().map(ListedContainer::container).collect();
        let mut found = Vec::new();
        for container in old.into_iter().filter(|one| !known.contains(one)) {
            if listed.contains(&container) {
                continue;
            }
            match host.inspect_old(container).await {
                Ok(info) => found.push(info),
                Err(DriverError::NoContainer(_)) => {}
                Err(error) => {
                    tracing::warn!(container.id = %container, error = %chain(&error), "cannot inspect the old container, which the rebuild of container {container} renamed");
                }
            }
        }
        Ok(found)
    }

    /// The containers of this cluster that zun-api, which was asked at `asked`, does not know.
    fn strays<'a>(
        &self,
        asked: ObservationSequence,
        found: impl Iterator<Item = &'a ContainerInfo>,
        known: &HashSet<ContainerId>,
    ) -> Vec<StrayContainer> {
        let Some(cluster) = self.host.cluster() else { return Vec::new() };
        let is_newer = |container| {
            self.workers.is_busy(container)
                || self.host.reports.create_was_requested_since(asked, container)
        };
        let strays = found.filter(|info| {
            info.cluster.as_ref() == Some(&cluster)
                && !known.contains(&info.container)
                && !is_newer(info.container)
        });
        let stray = |info: &ContainerInfo| StrayContainer {
            container: info.container,
            name: info.name.clone(),
            status: info.status,
            limits: info.limits,
        };
        strays.map(stray).collect()
    }

    fn absent(&self, sequence: ObservationSequence, container: ContainerId, expected: bool) {
        if self.workers.is_busy(container) {
            return;
        }
        if !expected {
            tracing::warn!(container.id = %container, "container {container} vanished from the engine");
        }
        self.host.reports.absent(sequence, container, expected);
    }

    /// Reports a stray, unless its command arrived after zun-api had answered.
    async fn stray(
        &self,
        asked: ObservationSequence,
        (container, engine): (ContainerId, EngineId),
    ) {
        let host = self.host;
        let is_newer = host.reports.create_was_requested_since(asked, container);
        if self.workers.is_busy(container) || is_newer {
            return;
        }
        tracing::warn!(
            container.id = %container, host.name = %host.name,
            "container {container} has Zun's label but zun-api does not know it: leaving it alone"
        );
        let (name, epoch) = (host.name.clone(), host.control.epoch());
        let report = UnknownContainer { container, host: name, engine, epoch };
        let context = CallContext::internal();
        let reporting = self.bus.call_controller(&report, &context);
        match timeout(REPORT_TIMEOUT, reporting).await {
            Ok(Ok(Done {})) => {}
            Ok(Err(error)) => {
                tracing::warn!(container.id = %container, error = %chain(&error), "cannot report a stray");
            }
            Err(_elapsed) => {
                tracing::warn!(container.id = %container, "cannot report a stray: zun-api did not answer in time");
            }
        }
    }
}
