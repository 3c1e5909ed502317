//! The states of all containers, and the messages that zun-api has not acknowledged. Pure: the clock is a parameter.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use zun_common::api::v1::container::ImagePull;
use zun_common::grant::SessionEvent;
use zun_common::id::{ContainerId, EngineId, HostName};
use zun_common::rpc::digest::Digest;
use zun_common::rpc::host::AssignedContainer;
use zun_common::rpc::operation::OperationOutcome;
use zun_common::rpc::report::ContainerReport;
use zun_common::status::{Status, TaskState};

use super::Figures;
use super::facts::{Completion, Observation, ObservationSequence};
use super::tracked::{Conclusion, TrackedContainer};
use crate::attached::ConsoleCounter;
use crate::driver::ProcessExit;
use crate::operation_state::Ended;

/// Maximum number of containers. Further ones are not reported.
const MAX_CONTAINERS: usize = 65_536;
/// Maximum number of removed containers that are remembered, so that no late observation brings them back.
const MAX_REMOVED: usize = 1024;

/// The states and unacknowledged messages of all containers.
#[derive(Debug)]
pub(super) struct Outbox {
    host: HostName,
    containers: BTreeMap<ContainerId, TrackedContainer>,
    consoles: ConsoleCounter,
    /// The containers with a message that is ready, in order. Some may have been sent meanwhile.
    ready: VecDeque<ContainerId>,
    removed: VecDeque<ContainerId>,
    /// Outcomes of operations that wait for the next message about their container.
    outcomes: BTreeMap<ContainerId, Vec<Ended>>,
    /// The containers whose messages are paused.
    resting: BTreeSet<ContainerId>,
    /// The containers about which a message is in flight, with the outcomes in it.
    in_flight: BTreeMap<ContainerId, Vec<Ended>>,
    /// Since when each container has had something to report. Only for the metrics.
    since: BTreeMap<ContainerId, Instant>,
    observations: u64,
    /// Drawn when the epoch began.
    epoch_began: ObservationSequence,
}

/// One message about a container.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) container: ContainerId,
    pub(super) report: Option<ContainerReport>,
    pub(super) outcomes: Vec<OperationOutcome>,
}

impl Outbox {
    pub(super) fn new(host: HostName) -> Self {
        Self {
            host,
            containers: BTreeMap::new(),
            consoles: ConsoleCounter::default(),
            ready: VecDeque::new(),
            removed: VecDeque::new(),
            outcomes: BTreeMap::new(),
            resting: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            since: BTreeMap::new(),
            observations: 0,
            epoch_began: ObservationSequence::default(),
        }
    }

    /// Must be drawn before an inspection, so that a late observation does not replace a newer one.
    pub(super) const fn next_sequence(&mut self) -> ObservationSequence {
        self.observations += 1;
        ObservationSequence(self.observations)
    }

    pub(super) fn begin(&mut self, container: ContainerId, task: TaskState, now: i64) {
        let Some(tracked) = self.tracked(container) else { return };
        tracked.begin(task);
        self.push_report(container, now);
    }

    pub(super) fn set_pull_progress(&mut self, container: ContainerId, pull: ImagePull, now: i64) {
        if let Some(tracked) = self.tracked(container) {
            tracked.set_pull_progress(pull);
            self.push_report(container, now);
        }
    }

    pub(super) fn apply_assigned(
        &mut self,
        asked: ObservationSequence,
        assigned: &AssignedContainer,
        now: i64,
    ) {
        let (sequence, is_outdated) = (self.next_sequence(), asked < self.epoch_began);
        let Some(tracked) = self.tracked(assigned.container) else { return };
        tracked.apply_assigned(assigned);
        if is_outdated {
            return;
        }
        let (is_lost, is_new) = (tracked.compare(assigned), !tracked.runs.is_numbered());
        if is_new {
            tracked.runs.number_from(sequence, assigned.last_run.clone());
        }
        if is_lost {
            tracing::info!(
                container.id = %assigned.container,
                "zun-api has lost a report of container {}: reporting it again", assigned.container
            );
        }
        if is_lost || (is_new && tracked.was_observed()) {
            self.push_report(assigned.container, now);
        }
        if is_lost || is_new {
            self.enqueue(assigned.container);
        }
    }

    /// Handles zun-api's list of all containers that it knows, which was requested at `asked`. The others are no longer
    /// reported, except those that zun-api has requested since then.
    pub(super) fn disown_others(
        &mut self,
        asked: ObservationSequence,
        known: impl Fn(&ContainerId) -> bool,
    ) {
        for (container, tracked) in &mut self.containers {
            let is_newer = tracked.create_requested.is_some_and(|requested| requested > asked);
            if tracked.hash().is_some() && !is_newer && !known(container) {
                tracked.disown();
            }
        }
    }

    /// What zun-api has acknowledged, for all containers.
    pub(super) fn digest(&self) -> Digest {
        self.containers.values().filter_map(TrackedContainer::hash).collect()
    }

    pub(super) fn begin_epoch(&mut self) -> bool {
        let is_first = self.epoch_began == ObservationSequence::default();
        self.epoch_began = self.next_sequence();
        for tracked in self.containers.values_mut() {
            tracked.begin_epoch();
        }
        !is_first
    }

    pub(super) fn current_run(&self, container: ContainerId) -> Option<(i64, bool)> {
        self.containers.get(&container)?.runs.current()
    }

    pub(super) fn process_started(&mut self, container: ContainerId, engine: &EngineId) {
        let sequence = self.next_sequence();
        if let Some(tracked) = self.containers.get_mut(&container).filter(|it| it.may_be(engine)) {
            tracked.runs.started(sequence);
        }
    }

    pub(super) fn create_requested(
        &mut self,
        container: ContainerId,
        (auto_remove, again): (bool, bool),
    ) {
        let sequence = self.next_sequence();
        let Some(tracked) = self.tracked(container) else { return };
        tracked.create_requested(sequence, auto_remove);
        if !again {
            tracked.runs.number_from(sequence, None);
        }
    }

    pub(super) fn observe(
        &mut self,
        sequence: ObservationSequence,
        container: ContainerId,
        observation: Observation,
        now: i64,
    ) -> Conclusion {
        if observation == Observation::Missing && !self.containers.contains_key(&container) {
            return Conclusion::NeedsReconcile;
        }
        let Some(tracked) = self.tracked(container) else { return Conclusion::Settled };
        let conclusion = tracked.observe(sequence, observation);
        self.push_report(container, now);
        conclusion
    }

    pub(super) fn finish(
        &mut self,
        container: ContainerId,
        (completion, ended): (Completion, Ended),
        now: i64,
    ) -> Conclusion {
        self.outcomes.entry(container).or_default().push(ended);
        let conclusion = self.finish_work(container, completion, now);
        self.enqueue(container);
        conclusion
    }

    pub(super) fn abandoned(&mut self, container: ContainerId, now: i64) {
        if let Some(tracked) = self.containers.get_mut(&container) {
            tracked.abandoned();
            self.push_report(container, now);
        }
    }

    pub(super) fn add_outcome(&mut self, container: ContainerId, ended: Ended) {
        self.outcomes.entry(container).or_default().push(ended);
        self.enqueue(container);
    }

    fn finish_work(
        &mut self,
        container: ContainerId,
        completion: Completion,
        now: i64,
    ) -> Conclusion {
        let Some(tracked) = self.containers.get_mut(&container) else { return Conclusion::Settled };
        let conclusion = tracked.finish(completion);
        self.push_report(container, now);
        conclusion
    }

    pub(super) fn process_exited(
        &mut self,
        container: ContainerId,
        (engine, exit): (&EngineId, ProcessExit),
    ) {
        let sequence = self.next_sequence();
        if let Some(tracked) = self.containers.get_mut(&container).filter(|it| it.may_be(engine)) {
            tracked.runs.exited(sequence, exit);
        }
    }

    /// zun-api expects the container, and an inspection that began at `sequence` did not find it. It was removed as
    /// `expected`, or is in error. Changes nothing after a newer observation, or while an operation runs.
    pub(super) fn absent(
        &mut self,
        sequence: ObservationSequence,
        container: ContainerId,
        expected: bool,
        now: i64,
    ) {
        let Some(tracked) = self.tracked(container) else { return };
        if tracked.is_removed() && tracked.is_idle() {
            // zun-api knew that, but its database was restored from an older copy.
            tracked.queue.forget_last();
            self.push_report(container, now);
            return;
        }
        if !tracked.may_be_absent(sequence) {
            return;
        }
        if expected {
            tracked.mark_deleted();
        } else {
            tracked.mark_lost(container);
        }
        self.push_report(container, now);
    }

    pub(super) fn count_session(&mut self, event: SessionEvent, now: i64) {
        let engine = event.container.clone();
        if self.consoles.note(event) {
            self.push_report_of_engine(&engine, now);
        }
    }

    /// The engine's events ended. The engine has stopped, so no console session is open.
    pub(super) fn events_ended(&mut self, now: i64) {
        for tracked in self.containers.values_mut() {
            tracked.runs.events_ended();
        }
        for engine in self.consoles.clear() {
            self.push_report_of_engine(&engine, now);
        }
    }

    /// The next message, about a container without a message in flight. Outcomes go with its report.
    pub(super) fn take(&mut self) -> Option<Message> {
        while let Some(container) = self.ready.pop_front() {
            if self.in_flight.contains_key(&container) {
                continue;
            }
            let tracked = self.containers.get_mut(&container);
            if tracked.as_ref().is_some_and(|tracked| !tracked.may_be_reported()) {
                continue;
            }
            let report = tracked.and_then(|tracked| tracked.queue.take());
            let ended = self.outcomes.remove(&container).unwrap_or_default();
            if report.is_none() && ended.is_empty() {
                continue;
            }
            let outcomes = ended.iter().map(Ended::message).collect();
            self.in_flight.insert(container, ended);
            return Some(Message { container, report, outcomes });
        }
        None
    }

    /// zun-api has stored the message. Returns how long the container has had something to report.
    pub(super) fn acknowledged(&mut self, container: ContainerId) -> Option<Duration> {
        let delay = self.since.remove(&container).map(|since| since.elapsed());
        for ended in self.in_flight.remove(&container).unwrap_or_default() {
            ended.acknowledge();
        }
        let Some(tracked) = self.containers.get_mut(&container) else {
            self.enqueue(container);
            return delay;
        };
        tracked.acknowledged();
        let removed = tracked.is_removed() && tracked.is_idle();
        self.enqueue(container);
        if removed && !self.removed.contains(&container) {
            self.removed.push_back(container);
        }
        if self.removed.len() > MAX_REMOVED
            && let Some(oldest) = self.removed.pop_front()
        {
            self.containers.remove(&oldest);
        }
        delay
    }

    /// zun-api cannot store the message: the container's messages are paused until [`Outbox::wake`].
    pub(super) fn rest(&mut self, container: ContainerId) {
        self.resting.insert(container);
        self.failed(container);
    }

    /// Ends the pause of the container's messages.
    pub(super) fn wake(&mut self, container: ContainerId) {
        if self.resting.remove(&container) {
            self.enqueue(container);
        }
    }

    /// The message may not have arrived.
    pub(super) fn failed(&mut self, container: ContainerId) {
        let mut ended = self.in_flight.remove(&container).unwrap_or_default();
        if !ended.is_empty() {
            let waiting = self.outcomes.entry(container).or_default();
            ended.append(waiting);
            *waiting = ended;
        }
        if let Some(tracked) = self.containers.get_mut(&container) {
            tracked.queue.failed();
        }
        self.enqueue(container);
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            statuses: self.containers.values().map(|tracked| tracked.facts.status).collect(),
            sessions: self.consoles.total(),
            unacknowledged: self.since.len(),
        }
    }

    pub(super) fn newest(&self, container: ContainerId) -> Option<ContainerReport> {
        self.containers.get(&container)?.queue.newest().cloned()
    }

    pub(super) fn create_was_requested_since(
        &self,
        asked: ObservationSequence,
        container: ContainerId,
    ) -> bool {
        let requested = self.containers.get(&container).and_then(|one| one.create_requested);
        requested.is_some_and(|requested| requested > asked)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
            && self.in_flight.is_empty()
            && self
                .containers
                .values()
                .all(|tracked| tracked.queue.is_idle() || !tracked.may_be_reported())
    }

    pub(super) fn is_known_as(&self, container: ContainerId, status: Status) -> bool {
        self.containers.get(&container).is_some_and(|tracked| tracked.is_known_as(status))
    }

    /// The containers that the engine had when they were last observed.
    pub(super) fn known_in_engine(&self) -> Vec<ContainerId> {
        let is_in_engine = |tracked: &TrackedContainer| {
            tracked.facts.engine.is_some()
                && !matches!(tracked.facts.status, Status::Deleted | Status::Error)
        };
        self.containers
            .iter()
            .filter(|(_, tracked)| is_in_engine(tracked))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Those of these containers that the engine has, by the engine's IDs.
    pub(super) fn by_engine(&self, wanted: &[ContainerId]) -> HashMap<EngineId, ContainerId> {
        let engine = |id: &ContainerId| {
            let engine = self.containers.get(id)?.facts.engine.clone()?;
            Some((engine, *id))
        };
        wanted.iter().filter_map(engine).collect()
    }

    /// Forgets acknowledged containers, and those that zun-api does not know, except these and the removed ones.
    /// Outcomes that waited for the run of a forgotten container are ready.
    pub(super) fn retain(&mut self, known: impl Fn(&ContainerId) -> bool) {
        self.containers.retain(|container, tracked| {
            (!tracked.is_idle() && tracked.runs.is_numbered())
                || tracked.is_removed()
                || known(container)
        });
        let (containers, outcomes) = (&self.containers, &self.outcomes);
        self.since.retain(|id, _| containers.contains_key(id) || outcomes.contains_key(id));
        let waiting: Vec<ContainerId> = self.outcomes.keys().copied().collect();
        for container in waiting {
            self.enqueue(container);
        }
    }

    fn tracked(&mut self, container: ContainerId) -> Option<&mut TrackedContainer> {
        if self.containers.len() >= MAX_CONTAINERS && !self.containers.contains_key(&container) {
            tracing::error!(container.id = %container, "too many containers: one is not reported");
            return None;
        }
        Some(self.containers.entry(container).or_insert_with(TrackedContainer::new))
    }

    fn push_report_of_engine(&mut self, engine: &EngineId, now: i64) {
        let found = self
            .containers
            .iter()
            .find(|(_, tracked)| tracked.facts.engine.as_ref() == Some(engine));
        if let Some(container) = found.map(|(container, _)| *container) {
            self.push_report(container, now);
        }
    }

    fn push_report(&mut self, container: ContainerId, now: i64) {
        let Some(tracked) = self.containers.get_mut(&container) else { return };
        let open = match (&tracked.facts.engine, tracked.facts.status) {
            (Some(engine), Status::Stopped | Status::Error | Status::Dead | Status::Deleted) => {
                self.consoles.ended(engine);
                0
            }
            (Some(engine), _) => self.consoles.count(engine),
            (None, _) => 0,
        };
        let report = tracked.report(container, &self.host, open);
        tracked.queue.push(report, now);
        self.enqueue(container);
    }

    fn enqueue(&mut self, container: ContainerId) {
        let reports =
            self.containers.get(&container).is_some_and(|tracked| tracked.queue.is_ready());
        let waits = reports || self.outcomes.contains_key(&container);
        if waits {
            self.since.entry(container).or_insert_with(Instant::now);
        }
        let is_held = self.resting.contains(&container) || self.in_flight.contains_key(&container);
        if waits && !is_held && !self.ready.contains(&container) {
            self.ready.push_back(container);
        }
    }
}
