//! The state of a container in the engine, and the results of work on it.

use chrono::{DateTime, Utc};
use zun_common::id::EngineId;
use zun_common::rpc::report::LiveState;
use zun_common::status::Status;

use crate::driver::ContainerInfo;

/// The part of a report that comes from the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
    pub(crate) engine: Option<EngineId>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) oom_killed: bool,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) live: LiveState,
}

impl Facts {
    /// Before the first observation.
    pub(crate) fn unknown() -> Self {
        Self {
            status: Status::Unknown,
            reason: None,
            engine: None,
            exit_code: None,
            oom_killed: false,
            started_at: None,
            finished_at: None,
            live: LiveState::default(),
        }
    }

    /// The facts of an inspection.
    pub(crate) fn of(info: ContainerInfo) -> Self {
        let ContainerInfo {
            container: _,
            engine,
            status,
            reason,
            exit_code,
            oom_killed,
            tty: _,
            stdin: _,
            started_at,
            raw_started: _,
            finished_at,
            live,
            cluster: _,
            rebuild: _,
            name: _,
            limits: _,
        } = info;
        Self {
            status,
            reason,
            engine: Some(engine),
            exit_code,
            oom_killed,
            started_at,
            finished_at,
            live,
        }
    }
}

/// A number that is drawn before an inspection: of two observations, the one whose inspection began later counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct ObservationSequence(pub(super) u64);

/// The result of an inspection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Observation {
    /// The engine has the container.
    Found(Box<ContainerInfo>),
    /// The engine has no such container.
    Missing,
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The message for the user.
    pub(crate) reason: String,
    /// The exit code that a shell would return, if the command could not be run.
    pub(crate) exit_code: Option<i64>,
    /// Whether the container gets the status `Error`.
    pub(crate) fatal: bool,
}

/// How an operation ended.
#[derive(Debug)]
pub(crate) struct Completion {
    /// Drawn before the inspection.
    pub(crate) sequence: ObservationSequence,
    /// The inspection after the work; `None` if the engine did not answer.
    pub(crate) observation: Option<Observation>,
    /// Why the operation failed, if it did.
    pub(crate) failure: Option<Failure>,
}

/// A failure, and the container's state at that time. It is reported until that state changes.
#[derive(Debug)]
pub(super) struct PersistentFailure {
    failure: Failure,
    at: (Status, Option<DateTime<Utc>>),
}

impl PersistentFailure {
    pub(super) fn new(failure: Failure, info: &ContainerInfo) -> Self {
        Self { failure, at: (info.status, info.started_at) }
    }

    pub(super) fn still_applies(&self, info: &ContainerInfo) -> bool {
        self.at == (info.status, info.started_at)
    }

    pub(super) fn mark(&self, facts: &mut Facts) {
        self.failure.mark(facts);
    }
}

/// Whether the container has a process, or will have one soon.
pub(super) const fn is_active(status: Status) -> bool {
    matches!(status, Status::Running | Status::Paused | Status::Restarting)
}

impl Failure {
    pub(super) fn mark(&self, facts: &mut Facts) {
        facts.reason = Some(self.reason.clone());
        if self.exit_code.is_some() {
            facts.exit_code = self.exit_code;
        }
        // A running process is not an error, even if an operation on it failed.
        if self.fatal && !is_active(facts.status) {
            facts.status = Status::Error;
        }
    }
}
