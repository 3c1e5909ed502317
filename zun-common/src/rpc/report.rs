//! Reports of agents to zun-api. A report has the whole state of a container, so only the newest one matters.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Call, Done};
use crate::api::v1::container::ImagePull;
use crate::id::{ContainerId, EngineId, HostName};
use crate::status::{Status, TaskState};

/// The state of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerReport {
    /// The container.
    pub container: ContainerId,
    /// The reporting host. zun-api refuses reports about another host's containers.
    pub host: HostName,
    /// Increases with each report within the agent's epoch. zun-api applies only newer reports, by epoch and then
    /// generation.
    pub generation: i64,
    /// Status.
    pub status: Status,
    /// The operation in progress.
    pub task_state: Option<TaskState>,
    /// Reason for the status, if it needs one.
    pub status_reason: Option<String>,
    /// The engine's id, once it has one.
    pub engine: Option<EngineId>,
    /// Exit code of the last run.
    pub exit_code: Option<i64>,
    /// Whether the process was killed because the container ran out of memory.
    pub oom_killed: bool,
    /// When its process started.
    pub started_at: Option<DateTime<Utc>>,
    /// When its process ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Number of open consoles.
    pub attached: u32,
    /// Progress of the image pull while it runs.
    #[serde(default)]
    pub image_pull: Option<ImagePull>,
}

/// A container with Zun's label that zun-api may not know: a stray.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownContainer {
    /// The id from the container's name.
    pub container: ContainerId,
    /// The host.
    pub host: HostName,
    /// The engine's id.
    pub engine: EngineId,
}

impl Call for UnknownContainer {
    const METHOD: &'static str = "report.unknown";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = Done;
}
