//! Recordings of console sessions: the policy of a container, and the description of a recording.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{ContainerId, ExecId, ProjectId, RecordingId};

/// The label of a container with its policy.
pub const LABEL: &str = "zun.record";

/// Whether the sessions of a container are recorded. In ascending order of strictness.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "messages", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RecordPolicy {
    /// They are not recorded.
    #[default]
    Off,
    /// They are recorded as far as possible. Gaps are marked in the recording.
    BestEffort,
    /// No session without a recording: if it cannot begin, the session does not; if it cannot continue, input is held,
    /// and the session ends after 30 seconds.
    Required,
}

/// How long a session whose recording is required continues without one, in seconds.
pub const GRACE_SECONDS: u64 = 30;

/// The text is not a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a recording policy: it must be off, best-effort or required")]
pub struct InvalidRecordPolicy(String);

impl RecordPolicy {
    /// All policies.
    pub const ALL: [Self; 3] = [Self::Off, Self::BestEffort, Self::Required];

    /// The policy as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::BestEffort => "best-effort",
            Self::Required => "required",
        }
    }

    /// Whether sessions are not recorded.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

impl fmt::Display for RecordPolicy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for RecordPolicy {
    type Err = InvalidRecordPolicy;
    fn from_str(text: &str) -> Result<Self, InvalidRecordPolicy> {
        let found = Self::ALL.into_iter().find(|policy| policy.as_str() == text);
        found.ok_or_else(|| InvalidRecordPolicy(text.chars().take(80).collect()))
    }
}

/// Metadata of a recording. It is the content of a file next to the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingInfo {
    /// Its ID.
    pub id: RecordingId,
    /// The project of the container.
    pub project: ProjectId,
    /// The container.
    pub container: ContainerId,
    /// The container's name when the recording began.
    pub container_name: String,
    /// The exec; absent for the container's main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecId>,
    /// Whether the process has a terminal.
    pub tty: bool,
    /// The policy that applied when it began.
    pub policy: RecordPolicy,
    /// When it began, in milliseconds since the Unix epoch.
    pub started: u64,
    /// When it ended, in milliseconds since the Unix epoch; absent while it is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    /// How the session ended, in a few words; empty while it is in progress.
    #[serde(default)]
    pub end: String,
}

/// A recording that a host keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRecording {
    /// What it is of.
    pub info: RecordingInfo,
    /// The size of its file, in bytes.
    pub size: u64,
}

/// The beginning of the paths of recordings at the console gate.
pub const RECORDING_PATHS: &str = "/recordings/v1/";

/// Returns the path of a recording at the console gate.
pub fn recording_path(id: RecordingId) -> String {
    format!("{RECORDING_PATHS}{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_text_and_the_stricter_one_is_greater() {
        for policy in RecordPolicy::ALL {
            assert_eq!(policy.as_str().parse(), Ok(policy));
            let json = serde_json::to_value(policy).expect("JSON");
            assert_eq!(json.as_str(), Some(policy.as_str()));
        }
        assert!(RecordPolicy::Off < RecordPolicy::BestEffort);
        assert!(RecordPolicy::BestEffort < RecordPolicy::Required);
        let error = "always".parse::<RecordPolicy>().expect_err("not a policy").to_string();
        assert_eq!(
            error,
            "`always` is not a recording policy: it must be off, best-effort or required"
        );
    }
}
