//! What is said over the bus when a call is refused: a code that a program acts on, and words.

use serde::{Deserialize, Serialize};

/// Why a call was refused. A peer may be newer than this build, so a code can be [`Code::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A field of the call is wrong.
    BadRequest,
    /// The container, exec or image is not there.
    NotFound,
    /// Not in this status.
    Conflict,
    /// The mailbox or the queue is full; worth another try.
    Busy,
    /// The agent is shutting down; worth another try.
    Closing,
    /// The deadline had passed before the work began.
    Expired,
    /// The method is not known here.
    UnknownMethod,
    /// The protocol version is newer than this build's.
    Unsupported,
    /// Larger than 16 MiB.
    TooLarge,
    /// The caller may not do this.
    Forbidden,
    /// The console endpoint is not up or not safe.
    NoConsole,
    /// The engine refused or failed.
    Engine,
    /// The engine does not answer.
    EngineDown,
    /// A defect; the log of the refusing side says more.
    Internal,
    /// A code that this build does not know.
    #[serde(other)]
    Unknown,
}

/// A refusal, with words that may be shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
}

impl Problem {
    /// A refusal.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_from_the_future_is_unknown_and_not_an_error() {
        let problem: Problem =
            serde_json::from_str(r#"{"code":"quantum_entangled","message":"?","more":1}"#)
                .expect("a problem");
        assert_eq!(problem.code, Code::Unknown);
    }
}
