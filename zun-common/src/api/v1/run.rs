//! Runs of a container: each execution of its process, from start to exit. Not in OpenStack Zun's API.

use chrono::NaiveDateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::ContainerId;
use crate::status::EndReason;

/// A run of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Its number among the runs of the container, from 1.
    pub number: i64,
    /// When it began; null if it has not, or if that is not known.
    #[serde(with = "super::time", default)]
    #[schemars(with = "Option<String>")]
    pub started_at: Option<NaiveDateTime>,
    /// When it ended.
    #[serde(with = "super::time", default)]
    #[schemars(with = "Option<String>")]
    pub finished_at: Option<NaiveDateTime>,
    /// The exit code, if it is known.
    pub exit_code: Option<i64>,
    /// Why it ended; null until it has.
    pub reason: Option<EndReason>,
    /// Details of the reason, if there are any, such as the engine's error.
    pub message: Option<String>,
}

/// Response of `GET /v1/containers/{id}/runs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunList {
    /// The newest runs, the newest first. At most 20.
    pub runs: Vec<Run>,
}

/// Body of `POST /v1/containers/{id}/wait`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitRequest {
    /// The number of the run; the newest if absent, or the first if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// Seconds to wait; 30 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Whether to wait only until the run has begun.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begun: bool,
    /// Whether to wait up to a second longer for the reason of a SIGKILL: the engine says a moment later that the
    /// container was out of memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub explain: bool,
}

/// Response of `POST /v1/containers/{id}/wait`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waited {
    /// The container.
    pub uuid: ContainerId,
    /// The run. If the timeout passed first, it has not ended yet.
    pub run: Run,
}
