//! What must happen at most once, such as the run of a command: compares the answers with what was counted where the
//! command ran.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Kind, Violation};

/// A request to do something once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What the command writes when it runs.
    pub token: String,
    /// What the answer says.
    pub outcome: Outcome,
    /// When the answer arrived.
    pub answered: Duration,
}

/// What the answer to an attempt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It ran.
    Ran,
    /// It did not run, and will not.
    Refused,
    /// It may have run.
    Unknown,
}

/// Compares the attempts with the number of times that each token was written.
pub fn at_most_once(attempts: &[Attempt], written: &BTreeMap<String, usize>) -> Vec<Violation> {
    let judge = |(entry, attempt): (usize, &Attempt)| {
        let count = written.get(&attempt.token).copied().unwrap_or_default();
        let kind = match (attempt.outcome, count) {
            (Outcome::Ran, 1) | (Outcome::Refused, 0) | (Outcome::Unknown, 0 | 1) => return None,
            (Outcome::Ran, 0) => Kind::NotDone,
            (Outcome::Refused, _) => Kind::DoneThoughRefused,
            (Outcome::Ran | Outcome::Unknown, _) => Kind::DoneTwice,
        };
        Some(Violation {
            kind,
            at: attempt.answered,
            entry,
            about: attempt.token.clone(),
            words: format!("the answer was {:?}, and it ran {count} times", attempt.outcome),
        })
    };
    attempts.iter().enumerate().filter_map(judge).collect()
}
