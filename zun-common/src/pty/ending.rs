//! How a session ended.

use serde::{Deserialize, Serialize};
use serde_json::json;

/// Channel 3: how a session ended. All fields except `zun` are those of Kubernetes' `Status`, so Kubernetes clients
/// understand the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// `Success` if the process exited with 0 or the client detached, otherwise `Failure`.
    pub status: String,
    /// Kubernetes' reason: `NonZeroExitCode` or `InternalError`; absent on success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Kubernetes' details: the exit code as a cause.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub details: serde_json::Value,
    /// What Zun knows beyond that.
    pub zun: ProcessEnd,
}

/// What Zun knows about the end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessEnd {
    /// Why the session ended.
    pub reason: EndingReason,
    /// The exit code of the process, or the one that a shell would use if it could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Whether the kernel killed the process because it ran out of memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub out_of_memory: bool,
    /// How many bytes of stdout there were in all.
    #[serde(default)]
    pub stdout_bytes: u64,
    /// How many bytes of stderr there were in all.
    #[serde(default)]
    pub stderr_bytes: u64,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndingReason {
    /// The process exited.
    Exited,
    /// The process could not be started.
    NotStarted,
    /// The client detached. The process keeps running.
    Detached,
    /// The process ended, and the container was started again.
    Restarted,
    /// The container was removed before its process ended.
    Removed,
    /// The client's rights were revoked.
    Revoked,
    /// The engine ended the stream, and nothing says how the process ended.
    EngineLost,
    /// A reason of a newer gate.
    #[serde(other)]
    Other,
}

impl Ending {
    /// An end without an exit code.
    pub fn new(reason: EndingReason, message: impl Into<String>) -> Self {
        let success = reason == EndingReason::Detached;
        Self {
            status: if success { "Success" } else { "Failure" }.to_owned(),
            reason: (!success).then(|| "InternalError".to_owned()),
            message: message.into(),
            details: serde_json::Value::Null,
            zun: ProcessEnd {
                reason,
                exit_code: None,
                out_of_memory: false,
                stdout_bytes: 0,
                stderr_bytes: 0,
            },
        }
    }

    /// The end of a process with an exit code. `message` is empty unless there is more to say than the code.
    pub fn with_code(reason: EndingReason, code: i64, message: impl Into<String>) -> Self {
        let mut ending = Self::new(reason, message);
        ending.zun.exit_code = Some(code);
        if code == 0 {
            "Success".clone_into(&mut ending.status);
            ending.reason = None;
        } else {
            ending.reason = Some("NonZeroExitCode".to_owned());
            let cause = json!({ "reason": "ExitCode", "message": code.to_string() });
            ending.details = json!({ "causes": [cause] });
        }
        ending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_kubernetes_finds_the_exit_code() {
        let ending = Ending::with_code(EndingReason::Exited, 42, "");
        let json = serde_json::to_value(&ending).unwrap();
        assert_eq!(json["status"], "Failure");
        assert_eq!(json["reason"], "NonZeroExitCode");
        assert_eq!(json["details"]["causes"][0], json!({ "reason": "ExitCode", "message": "42" }));
        let success = Ending::with_code(EndingReason::Exited, 0, "");
        assert_eq!((success.status.as_str(), success.reason), ("Success", None));
    }

    #[test]
    fn a_reason_of_a_newer_gate_is_understood_as_other() {
        let json = r#"{ "status": "Failure", "zun": { "reason": "Evicted" } }"#;
        let ending: Ending = serde_json::from_str(json).unwrap();
        assert_eq!(ending.zun.reason, EndingReason::Other);
    }
}
