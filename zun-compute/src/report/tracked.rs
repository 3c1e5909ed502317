//! One container: its state in the engine, the operation in progress, and its reports.

use zun_common::api::v1::container::ImagePull;
use zun_common::id::{ContainerId, EngineId, HostName};
use zun_common::rpc::digest::ReportHash;
use zun_common::rpc::host::AssignedContainer;
use zun_common::rpc::report::ContainerReport;
use zun_common::status::{Status, TaskState};

use super::facts::{
    Completion, Facts, Failure, Observation, ObservationSequence, PersistentFailure,
};
use super::queue::ReportQueue;
use super::runs::RunLog;
use crate::driver::ContainerInfo;

/// What zun-api has stored of a container's reports.
#[derive(Debug, Clone, Copy, Default)]
struct Confirmed {
    /// The number of the newest run.
    run: i64,
    /// The part of the digest; `None` if the container does not count in it.
    hash: Option<ReportHash>,
}

/// What follows from an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conclusion {
    /// Nothing: it was applied, or it was too old.
    Settled,
    /// The agent must ask zun-api: the container is missing, or the numbers of its runs are not known.
    NeedsReconcile,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(super) struct TrackedContainer {
    pub(super) facts: Facts,
    pub(super) queue: ReportQueue,
    pub(super) runs: RunLog,
    task: Option<TaskState>,
    /// Whether the operation in progress replaces it.
    is_rebuilding: bool,
    pull: Option<ImagePull>,
    failure: Option<PersistentFailure>,
    auto_remove: Option<bool>,
    /// Drawn when zun-api requested the container from this agent process.
    pub(super) create_requested: Option<ObservationSequence>,
    /// What zun-api has stored of its reports, as far as is known.
    confirmed: Confirmed,
    missing_in_task: bool,
    /// Whether the agent has asked zun-api about it, because its runs have no numbers.
    asked: bool,
    /// The number of its newest run before the operation in progress.
    run_before_task: Option<i64>,
    /// The sequence of the newest observation.
    sequence: ObservationSequence,
}

impl TrackedContainer {
    pub(super) fn new() -> Self {
        Self {
            facts: Facts::unknown(),
            queue: ReportQueue::default(),
            runs: RunLog::default(),
            task: None,
            is_rebuilding: false,
            pull: None,
            failure: None,
            auto_remove: None,
            create_requested: None,
            confirmed: Confirmed::default(),
            missing_in_task: false,
            asked: false,
            run_before_task: None,
            sequence: ObservationSequence::default(),
        }
    }

    /// Applies what zun-api knows of the container, unless it was observed here already.
    pub(super) fn apply_assigned(&mut self, assigned: &AssignedContainer) {
        self.auto_remove = Some(assigned.auto_remove);
        if self.facts.status == Status::Unknown && self.facts.engine.is_none() {
            self.facts.status = assigned.status;
            self.facts.engine.clone_from(&assigned.engine);
        }
    }

    pub(super) const fn create_requested(
        &mut self,
        sequence: ObservationSequence,
        auto_remove: bool,
    ) {
        self.create_requested = Some(sequence);
        self.auto_remove = Some(auto_remove);
    }

    /// An epoch begins. What is reported next depends on what zun-api knows.
    pub(super) fn begin_epoch(&mut self) {
        self.runs.forget();
        self.queue.clear();
        self.asked = false;
        self.confirmed = Confirmed::default();
    }

    /// zun-api has stored the report in flight.
    pub(super) fn acknowledged(&mut self) {
        let Some(report) = self.queue.acknowledged() else { return };
        self.runs.acknowledge(&report.runs);
        let newest = report.runs.iter().map(|run| run.number).max();
        self.confirmed.run = self.confirmed.run.max(newest.unwrap_or_default());
        let is_going = matches!(report.status, Status::Deleting | Status::Deleted);
        let state = (report.status.as_str(), report.task_state.map(TaskState::as_str));
        let hash = ReportHash::of(report.container, self.confirmed.run, state);
        self.confirmed.hash = (!is_going).then_some(hash);
    }

    /// Compares what zun-api has stored of the container's reports. Returns whether zun-api has lost a report that it
    /// acknowledged in this epoch, which must be sent again.
    pub(super) fn compare(&mut self, assigned: &AssignedContainer) -> bool {
        let is_lost = self.queue.was_acknowledged() && self.confirmed.hash != assigned.reported;
        let run = assigned.last_run.as_ref().map_or(0, |last| last.number);
        self.confirmed = Confirmed { run, hash: assigned.reported };
        if is_lost {
            self.queue.forget_last();
            self.runs.repeat();
        }
        is_lost
    }

    /// zun-api does not know the container, or no longer.
    pub(super) fn disown(&mut self) {
        self.begin_epoch();
        self.asked = true;
    }

    /// Its part of the digest.
    pub(super) const fn hash(&self) -> Option<ReportHash> {
        self.confirmed.hash
    }

    pub(super) fn begin(&mut self, task: TaskState) {
        if self.task.is_none() {
            self.run_before_task = self.runs.last_number();
        }
        self.is_rebuilding |= task == TaskState::Rebuilding;
        self.task = Some(task);
        self.pull = None;
        self.failure = None;
        self.facts.reason = None;
        let creates = matches!(task, TaskState::ImagePulling | TaskState::Creating);
        if creates && self.facts.engine.is_none() {
            self.facts.status = Status::Creating;
        }
    }

    /// The operation in progress was abandoned. The next observation shows its effect.
    pub(super) fn abandoned(&mut self) {
        self.task = None;
        self.is_rebuilding = false;
        self.pull = None;
        self.missing_in_task = false;
    }

    pub(super) fn set_pull_progress(&mut self, pull: ImagePull) {
        self.pull = Some(pull).filter(|_| self.task == Some(TaskState::ImagePulling));
    }

    /// Applies an observation whose inspection began at `sequence`, unless it is older than the newest one.
    pub(super) fn observe(
        &mut self,
        sequence: ObservationSequence,
        observation: Observation,
    ) -> Conclusion {
        if sequence < self.sequence {
            return Conclusion::Settled;
        }
        self.sequence = sequence;
        match observation {
            Observation::Found(info) => {
                self.apply(sequence, *info);
                if !self.runs.is_numbered() && !std::mem::replace(&mut self.asked, true) {
                    return Conclusion::NeedsReconcile;
                }
            }
            Observation::Missing if self.task.is_some() && !self.is_removing() => {
                self.missing_in_task = true;
            }
            Observation::Missing => return self.missing(self.is_removing()),
        }
        Conclusion::Settled
    }

    /// The operation ended. If the engine did not answer, the facts stay as they are.
    pub(super) fn finish(&mut self, completion: Completion) -> Conclusion {
        let Completion { sequence, observation, failure } = completion;
        let missing = observation
            .as_ref()
            .map_or(self.missing_in_task, |observation| *observation == Observation::Missing);
        let removing = self.is_removing();
        let starts = matches!(self.task, Some(TaskState::Starting | TaskState::Rebooting));
        if let Some(Observation::Found(info)) = &observation {
            self.runs.observe(sequence, info, self.task);
        }
        if let Some(failure) = failure.as_ref().filter(|_| starts) {
            self.runs.not_started(self.run_before_task, failure);
        }
        // A rebuild that failed before the new one was started has left the container as it was, or removed it.
        let failure = failure.filter(|_| missing || starts || !self.is_rebuilding);
        self.task = None;
        self.is_rebuilding = false;
        self.pull = None;
        self.missing_in_task = false;
        self.sequence = self.sequence.max(sequence);
        match (observation, failure) {
            (_, failure) if missing => return self.finish_missing(removing, failure.as_ref()),
            (Some(Observation::Found(info)), Some(failure)) => {
                self.failure = Some(PersistentFailure::new(failure, &info));
                self.apply(sequence, *info);
            }
            (Some(Observation::Found(info)), None) => self.apply(sequence, *info),
            (_, Some(failure)) => failure.mark(&mut self.facts),
            (_, None) => {}
        }
        Conclusion::Settled
    }

    fn finish_missing(&mut self, removing: bool, failure: Option<&Failure>) -> Conclusion {
        let Some(failure) = failure.filter(|_| !removing) else { return self.missing(removing) };
        failure.mark(&mut self.facts);
        self.facts.status = Status::Error;
        match (self.facts.engine.is_some(), self.auto_remove) {
            (true, Some(true)) => {
                self.mark_deleted();
                Conclusion::Settled
            }
            (true, None) => Conclusion::NeedsReconcile,
            (true, Some(false)) | (false, _) => Conclusion::Settled,
        }
    }

    /// Whether the container counts as absent if an inspection that began at `sequence` did not find it.
    pub(super) fn may_be_absent(&self, sequence: ObservationSequence) -> bool {
        sequence >= self.sequence
            && self.task.is_none()
            && !matches!(self.facts.status, Status::Deleted)
    }

    /// The container is missing as expected.
    pub(super) fn mark_deleted(&mut self) {
        self.task = None;
        self.pull = None;
        self.failure = None;
        self.runs.removed();
        if is_active(self.facts.status) {
            self.facts.exit_code = self.runs.last_exit_code();
        }
        self.facts.status = Status::Deleted;
    }

    /// The container is missing and should exist. An earlier error says more, so it stays.
    pub(super) fn mark_lost(&mut self, container: ContainerId) {
        self.runs.removed();
        self.failure = None;
        if self.facts.status != Status::Error || self.facts.reason.is_none() {
            self.facts.status = Status::Error;
            self.facts.reason = Some(format!("No such container: {container}"));
        }
    }

    fn missing(&mut self, removing: bool) -> Conclusion {
        let known = self.facts.engine.is_some();
        if removing || (known && self.auto_remove == Some(true)) {
            self.mark_deleted();
            return Conclusion::Settled;
        }
        let settled = matches!(self.facts.status, Status::Deleted | Status::Error);
        if settled || !known { Conclusion::Settled } else { Conclusion::NeedsReconcile }
    }

    fn is_removing(&self) -> bool {
        self.task == Some(TaskState::Deleting)
    }

    fn apply(&mut self, sequence: ObservationSequence, info: ContainerInfo) {
        self.runs.observe(sequence, &info, self.task);
        let failure = self.failure.take().filter(|failure| failure.still_applies(&info));
        let exit_code = info.exit_code.or_else(|| self.code_of_last_run(&info));
        self.facts = Facts { exit_code, ..Facts::of(info) };
        let did_not_run = matches!(self.facts.status, Status::Created | Status::Stopped);
        if did_not_run && self.facts.reason.is_some() {
            self.facts.status = Status::Error;
        }
        if let Some(failure) = &failure {
            failure.mark(&mut self.facts);
        }
        self.failure = failure;
        self.missing_in_task = false;
    }

    /// The exit code of the run before this one.
    fn code_of_last_run(&self, info: &ContainerInfo) -> Option<i64> {
        let is_known = !matches!(self.facts.status, Status::Creating | Status::Created);
        let known = self.facts.exit_code.filter(|_| is_known);
        if is_active(info.status) { self.runs.last_exit_code().or(known) } else { None }
    }

    /// Whether this engine status is already known. During an operation it need not match: the result is reported when
    /// the operation ends.
    pub(super) fn is_known_as(&self, status: Status) -> bool {
        let did_not_run = matches!(status, Status::Created | Status::Stopped);
        let is_failed = self.facts.status == Status::Error && did_not_run;
        self.task.is_some() || self.facts.status == status || is_failed
    }

    /// Whether there is something to report: it was observed, or an operation began.
    pub(super) fn was_observed(&self) -> bool {
        self.task.is_some() || self.sequence != ObservationSequence::default()
    }

    /// Whether an event of the container with this engine's ID is about it. A late one may be about the container that
    /// a rebuild has replaced.
    pub(super) fn may_be(&self, engine: &EngineId) -> bool {
        self.facts.engine.as_ref().is_none_or(|known| known == engine)
    }

    pub(super) fn is_removed(&self) -> bool {
        self.facts.status == Status::Deleted
    }

    /// Whether it may be reported: the number of its newest run is known, or it was removed, so no run follows. zun-api
    /// names no run of a container whose removal it has accepted.
    pub(super) fn may_be_reported(&self) -> bool {
        self.runs.is_numbered() || self.is_removed()
    }

    /// Whether no operation is in progress and everything is acknowledged.
    pub(super) const fn is_idle(&self) -> bool {
        self.task.is_none() && self.queue.is_idle()
    }

    pub(super) fn report(
        &self,
        container: ContainerId,
        host: &HostName,
        attached: u32,
    ) -> ContainerReport {
        let Facts { status, reason, engine, exit_code, oom_killed, started_at, finished_at, live } =
            self.facts.clone();
        let status = match (self.is_removing(), self.is_rebuilding) {
            (true, _) => Status::Deleting,
            (false, true) => Status::Rebuilding,
            (false, false) => status,
        };
        ContainerReport {
            container,
            host: host.clone(),
            generation: 0,
            status,
            task_state: self.task,
            status_reason: reason,
            engine,
            exit_code,
            oom_killed,
            started_at,
            finished_at,
            attached,
            image_pull: self.pull.clone(),
            runs: self.runs.unacknowledged(),
            live,
        }
    }
}

const fn is_active(status: Status) -> bool {
    matches!(status, Status::Running | Status::Paused)
}
