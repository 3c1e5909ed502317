//! What is known of a container, apart from what is being done to it.

use chrono::{DateTime, Utc};
use zun_common::id::EngineId;
use zun_common::status::Status;

use crate::driver::ContainerInfo;

/// The part of a report that the engine is the truth of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
    pub(crate) engine: Option<EngineId>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) oom_killed: bool,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

impl Facts {
    /// Nobody looked yet.
    pub(crate) const fn unknown() -> Self {
        Self {
            status: Status::Unknown,
            reason: None,
            engine: None,
            exit_code: None,
            oom_killed: false,
            started_at: None,
            finished_at: None,
        }
    }

    /// As the engine shows it.
    pub(crate) fn of(seen: ContainerInfo) -> Self {
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
            finished_at,
        } = seen;
        Self {
            status,
            reason,
            engine: Some(engine),
            exit_code,
            oom_killed,
            started_at,
            finished_at,
        }
    }
}

/// Drawn before a look at the engine: of two looks, the one that was begun later holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Ticket(pub(super) u64);

/// How the engine was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It has the container.
    Seen(Box<ContainerInfo>),
    /// It has no such container.
    Gone,
}

/// Why a command did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In words that may be shown to the user.
    pub(crate) reason: String,
    /// The exit code that a shell would give, where the command could not be run.
    pub(crate) exit_code: Option<i64>,
    /// The container is in error, not only the command.
    pub(crate) fatal: bool,
}

/// How a piece of work ended.
#[derive(Debug)]
pub(crate) struct Ending {
    /// Drawn before the look.
    pub(crate) ticket: Ticket,
    /// How the engine was found afterwards; `None` where it did not answer.
    pub(crate) sight: Option<Sight>,
    /// Why the work was not done, where it was not.
    pub(crate) failure: Option<Failure>,
}

/// A failure and how the container was then. It is told until the container is otherwise.
#[derive(Debug)]
pub(super) struct Held {
    failure: Failure,
    at: (Status, Option<DateTime<Utc>>),
}

impl Held {
    pub(super) fn new(failure: Failure, seen: &ContainerInfo) -> Self {
        Self { failure, at: (seen.status, seen.started_at) }
    }

    pub(super) fn still(&self, seen: &ContainerInfo) -> bool {
        self.at == (seen.status, seen.started_at)
    }

    pub(super) fn mark(&self, facts: &mut Facts) {
        self.failure.mark(facts);
    }
}

impl Failure {
    pub(super) fn mark(&self, facts: &mut Facts) {
        facts.reason = Some(self.reason.clone());
        if self.exit_code.is_some() {
            facts.exit_code = self.exit_code;
        }
        if self.fatal {
            facts.status = Status::Error;
        }
    }
}
