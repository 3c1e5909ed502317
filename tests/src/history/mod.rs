//! The history of a test: each request with the times of its call and of its answer. [`check`] decides whether the
//! service, which may serve many clients at once, could have given these answers by performing the requests one after
//! the other, each at some moment between its call and its answer (*linearizability*).
//!
//! ```text
//!  entries ── keys ──> requests ──┬── names ──> one sequence per name ──┐
//!                                 └── lives ──> one sequence per ID ────┴── search ──> violations
//! ```
//! A request that got no answer may have been performed at any time after its call, or never.

mod keys;
mod lives;
mod names;
mod once;
mod recorder;
mod search;
mod violation;

use std::collections::BTreeMap;
use std::time::Duration;

use zun_common::id::ContainerId;

pub use once::{Attempt, Outcome, at_most_once};
pub use recorder::{Open, Recorder};
pub use violation::{Kind, Violation};

/// One request of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The client that sent it.
    pub client: usize,
    /// The idempotency key. Requests with the same key are attempts of one request.
    pub key: Option<String>,
    /// What was requested.
    pub call: Call,
    /// When it was sent, on the clock of the history.
    pub called: Duration,
    /// When the answer arrived, or when the client gave up.
    pub answered: Duration,
    /// The answer.
    pub answer: Answer,
}

impl Entry {
    /// Notes the container of a create without an answer. `created` has the containers by the key of the create.
    pub fn learn_created(&mut self, created: &BTreeMap<String, ContainerId>) {
        let is_create = matches!(self.call, Call::Create { .. });
        if is_create && self.answer == (Answer::Unknown { created: None }) {
            let found = self.key.as_ref().and_then(|key| created.get(key));
            self.answer = Answer::Unknown { created: found.copied() };
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Create a container with this name.
    Create {
        /// The name.
        name: String,
    },
    /// Delete a container.
    Delete {
        /// The container.
        id: ContainerId,
    },
    /// Give a container another name.
    Rename {
        /// The container.
        id: ContainerId,
        /// The new name.
        to: String,
    },
    /// Do something else with a container, such as starting it.
    Act {
        /// The container.
        id: ContainerId,
    },
    /// Show a container by its ID.
    Show {
        /// The container.
        id: ContainerId,
    },
    /// Show a container by its name.
    Find {
        /// The name.
        name: String,
    },
    /// List all containers.
    List,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The container is accepted.
    Created(ContainerId),
    /// The request is accepted or done.
    Done,
    /// A show found this container.
    Found {
        /// The container.
        id: ContainerId,
        /// Its name.
        name: String,
    },
    /// A list returned these containers, each with its name.
    Listed(BTreeMap<ContainerId, String>),
    /// The name belongs to another container.
    NameTaken,
    /// The container does not exist.
    NotFound,
    /// The container exists, but its status does not allow the request.
    WrongStatus,
    /// The service did not accept the request, for a reason that says nothing about the container.
    Refused,
    /// No answer, or one that does not say whether the request was accepted. `created` is the container that a create
    /// turned out to have created.
    Unknown {
        /// The container.
        created: Option<ContainerId>,
    },
}

/// Checks a history, and returns everything in it that no correct service does. Checks each name and each container only
/// up to its first violation.
pub fn check(entries: &[Entry]) -> Vec<Violation> {
    let (requests, mut violations) = keys::merge(entries);
    violations.extend(names::check(&requests));
    violations.extend(lives::check(&requests));
    violations.sort_by_key(|violation| violation.at);
    violations
}

/// A request after the attempts with the same key were merged.
#[derive(Debug, Clone)]
struct Request {
    /// The index of the entry with the answer.
    entry: usize,
    call: Call,
    called: Duration,
    /// None if it may be performed later, or never.
    answered: Option<Duration>,
    answer: Answer,
}
