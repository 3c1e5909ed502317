//! Reports of containers to zun-api: tracks the state of each container, and keeps its newest report until zun-api has
//! stored it.

mod facts;
mod outbox;
mod queue;
mod runs;
mod sender;
mod tracked;

#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use zun_common::api::v1::container::ImagePull;
use zun_common::grant::SessionEvent;
use zun_common::id::{ContainerId, EngineId, HostName};
use zun_common::rpc::digest::Digest;
use zun_common::rpc::host::AssignedContainer;
use zun_common::rpc::report::ContainerReport;
use zun_common::status::{Status, TaskState};

pub(crate) use facts::{Completion, Failure, Observation, ObservationSequence};
pub(crate) use sender::send;
pub(crate) use tracked::Conclusion;

use crate::driver::ProcessExit;
use crate::operation_state::Ended;
use outbox::Outbox;

/// The states and reports of all containers. The watcher and the workers change them; the sender sends them.
#[derive(Debug)]
pub(crate) struct Reports {
    outbox: Mutex<Outbox>,
    /// Notified when a message is ready.
    ready: Notify,
    /// Notified when a message was acknowledged, or failed.
    settled: Notify,
    /// The number of the last change. Reports are ordered by it within an epoch.
    changes: AtomicI64,
}

/// What the metrics show.
#[derive(Debug)]
pub(crate) struct Figures {
    /// The status of each container.
    pub(crate) statuses: Vec<Status>,
    /// Open console sessions.
    pub(crate) sessions: u32,
    /// The number of containers about which zun-api has not acknowledged everything.
    pub(crate) unacknowledged: usize,
}

impl Reports {
    pub(crate) fn new(host: HostName) -> Self {
        Self {
            outbox: Mutex::new(Outbox::new(host)),
            ready: Notify::new(),
            settled: Notify::new(),
            changes: AtomicI64::new(0),
        }
    }

    pub(crate) fn next_sequence(&self) -> ObservationSequence {
        self.outbox().next_sequence()
    }

    /// The agent begins an operation on the container.
    pub(crate) fn begin(&self, container: ContainerId, task: TaskState) {
        self.outbox().begin(container, task, self.next());
        self.ready.notify_one();
    }

    /// Applies what zun-api knew of the container after `sequence` was drawn, and reports again what it has lost. The
    /// number of its newest run is only used if no epoch began since.
    pub(crate) fn apply_assigned(
        &self,
        sequence: ObservationSequence,
        assigned: &AssignedContainer,
    ) {
        self.outbox().apply_assigned(sequence, assigned, self.next());
        self.ready.notify_one();
    }

    /// An epoch begins: another agent may have numbered runs meanwhile. Nothing is reported of a container until
    /// zun-api has said what its newest run is. Returns whether the agent must ask: before its first epoch, it has not.
    pub(crate) fn begin_epoch(&self) -> bool {
        self.outbox().begin_epoch()
    }

    /// The number of the container's current run, or else of its next, and whether it has begun. `None` if that is not
    /// known yet.
    pub(crate) fn current_run(&self, container: ContainerId) -> Option<(i64, bool)> {
        self.outbox().current_run(container)
    }

    /// A run of the container began.
    pub(crate) fn process_started(&self, container: ContainerId, engine: &EngineId) {
        self.outbox().process_started(container, engine);
    }

    /// zun-api has requested the container. With `auto_remove` it is removed when its process ends. `again` if an
    /// earlier agent may have created it.
    pub(crate) fn create_requested(
        &self,
        container: ContainerId,
        (auto_remove, again): (bool, bool),
    ) {
        self.outbox().create_requested(container, (auto_remove, again));
    }

    /// Whether zun-api has requested the container from this agent process after `asked` was drawn.
    pub(crate) fn create_was_requested_since(
        &self,
        asked: ObservationSequence,
        container: ContainerId,
    ) -> bool {
        self.outbox().create_was_requested_since(asked, container)
    }

    /// Stops reporting containers that zun-api did not know when it was asked at `asked`.
    pub(crate) fn disown_others(
        &self,
        asked: ObservationSequence,
        known: impl Fn(&ContainerId) -> bool,
    ) {
        self.outbox().disown_others(asked, known);
    }

    /// What zun-api has acknowledged, for all containers.
    pub(crate) fn digest(&self) -> Digest {
        self.outbox().digest()
    }

    /// Applies an observation of the engine.
    pub(crate) fn observe(
        &self,
        sequence: ObservationSequence,
        container: ContainerId,
        observation: Observation,
    ) -> Conclusion {
        let conclusion = self.outbox().observe(sequence, container, observation, self.next());
        self.ready.notify_one();
        conclusion
    }

    /// Its process exited. The next observation reports this, even if the next run has begun by then.
    pub(crate) fn process_exited(&self, container: ContainerId, exited: (&EngineId, ProcessExit)) {
        self.outbox().process_exited(container, exited);
    }

    /// An operation ended: clears the task state, and sends the outcome together with the report.
    pub(crate) fn finish(
        &self,
        container: ContainerId,
        completion: Completion,
        ended: Ended,
    ) -> Conclusion {
        let conclusion = self.outbox().finish(container, (completion, ended), self.next());
        self.ready.notify_one();
        conclusion
    }

    /// An operation was abandoned, because the epoch is over. zun-api may never send it again, because its database may
    /// be an older copy.
    pub(crate) fn abandoned(&self, container: ContainerId) {
        self.outbox().abandoned(container, self.next());
        self.ready.notify_one();
    }

    /// Sends the outcome of an operation that this agent does not carry out.
    pub(crate) fn add_outcome(&self, container: ContainerId, ended: Ended) {
        self.outbox().add_outcome(container, ended);
        self.ready.notify_one();
    }

    /// The container should be on the host and is not. `expected` if it was to be removed.
    pub(crate) fn absent(
        &self,
        sequence: ObservationSequence,
        container: ContainerId,
        expected: bool,
    ) {
        self.outbox().absent(sequence, container, expected, self.next());
        self.ready.notify_one();
    }

    /// Sets the progress of its image pull.
    pub(crate) fn set_pull_progress(&self, container: ContainerId, pull: ImagePull) {
        self.outbox().set_pull_progress(container, pull, self.next());
        self.ready.notify_one();
    }

    /// Counts a console session that began or ended.
    pub(crate) fn count_session(&self, event: SessionEvent) {
        self.outbox().count_session(event, self.next());
        self.ready.notify_one();
    }

    /// The engine's events ended: the engine stopped, which ends all console sessions.
    pub(crate) fn events_ended(&self) {
        self.outbox().events_ended(self.next());
        self.ready.notify_one();
    }

    /// The newest report of the container, whether zun-api has it or not.
    pub(crate) fn newest(&self, container: ContainerId) -> Option<ContainerReport> {
        self.outbox().newest(container)
    }

    /// What the metrics show.
    pub(crate) fn figures(&self) -> Figures {
        self.outbox().figures()
    }

    /// Whether a container with this engine status needs no inspection.
    pub(crate) fn is_known_as(&self, container: ContainerId, status: Status) -> bool {
        self.outbox().is_known_as(container, status)
    }

    /// The containers that the engine had when they were last observed.
    pub(crate) fn known_in_engine(&self) -> Vec<ContainerId> {
        self.outbox().known_in_engine()
    }

    /// Those of these containers that the engine has, by the engine's IDs.
    pub(crate) fn by_engine(&self, wanted: &[ContainerId]) -> HashMap<EngineId, ContainerId> {
        self.outbox().by_engine(wanted)
    }

    /// Forgets acknowledged containers except these and the removed ones.
    pub(crate) fn retain(&self, known: impl Fn(&ContainerId) -> bool) {
        self.outbox().retain(known);
        self.ready.notify_one();
    }

    /// Waits until zun-api has acknowledged everything, for at most this time. Returns whether it has.
    pub(crate) async fn flushed(&self, within: Duration) -> bool {
        tokio::time::timeout(within, self.all_acknowledged()).await.is_ok()
    }

    async fn all_acknowledged(&self) {
        loop {
            let settled = self.settled.notified();
            if self.outbox().is_empty() {
                return;
            }
            settled.await;
        }
    }

    fn next(&self) -> i64 {
        self.changes.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
