//! What a correct service does not do.

use std::fmt;
use std::time::Duration;

/// The kind of a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A deleted container existed again.
    Resurrected,
    /// A container that nobody deleted did not exist.
    Lost,
    /// A container existed that nobody created.
    FromNowhere,
    /// One name belonged to two containers.
    NameDoubled,
    /// A name was refused as taken although it was free.
    NameNotFree,
    /// One container was deleted twice.
    DeletedTwice,
    /// Two attempts with the same idempotency key got different answers.
    KeyAnsweredDifferently,
    /// What was requested once was done more than once.
    DoneTwice,
    /// What was reported as done was not done.
    NotDone,
    /// What was refused was done.
    DoneThoughRefused,
    /// The history is too complex to decide.
    Undecided,
}

/// A violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its kind.
    pub kind: Kind,
    /// When the answer arrived that has no explanation.
    pub at: Duration,
    /// The index of the entry with that answer.
    pub entry: usize,
    /// The name, container, key or token that it is about.
    pub about: String,
    /// What happened.
    pub words: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, at, entry, about, words } = self;
        write!(out, "{kind:?} at {:.3} s, entry {entry}, {about}: {words}", at.as_secs_f64())
    }
}
