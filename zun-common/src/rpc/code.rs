//! The reply to a refused call: a code for programs and a human-readable message.

use serde::{Deserialize, Serialize};

/// Why a call was refused. A newer peer may send codes that this build does not know; they become
/// [`Code::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A field of the call is not valid.
    BadRequest,
    /// The container, exec or image does not exist.
    NotFound,
    /// The container's status does not allow the call.
    Conflict,
    /// A queue is full. A retry may succeed.
    Busy,
    /// The agent is shutting down. A retry may succeed.
    Closing,
    /// The deadline passed before the work began.
    Expired,
    /// The receiver does not know the method.
    UnknownMethod,
    /// The protocol version is newer than the receiver's.
    Unsupported,
    /// The message is larger than 16 MiB.
    TooLarge,
    /// The caller may not do this.
    Forbidden,
    /// The bus delivered the call a second time. The work may have been done the first time, and is not done again.
    Uncertain,
    /// The sender's epoch is not the host's current one: another agent of the host has registered since.
    StaleEpoch,
    /// The console listener is not up, or failed its security check.
    NoConsole,
    /// The host's administrator has not set this up. The message names the setting.
    NotOffered,
    /// What the caller has started, such as a command, did not end in time, and keeps running.
    Unfinished,
    /// The engine refused the request or failed.
    Engine,
    /// The engine does not answer.
    EngineDown,
    /// A bug. The log of the refusing service has details.
    Internal,
    /// A code that this build does not know.
    #[serde(other)]
    Unknown,
}

/// A refusal. The message may be shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The code, for programs.
    pub code: Code,
    /// The human-readable message.
    pub message: String,
}

impl Problem {
    /// Creates a refusal.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_parses_as_unknown() {
        let problem: Problem =
            serde_json::from_str(r#"{"code":"quantum_entangled","message":"?","more":1}"#)
                .expect("a problem");
        assert_eq!(problem.code, Code::Unknown);
    }
}
