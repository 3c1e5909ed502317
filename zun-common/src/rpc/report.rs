//! What agents tell zun-api. A report is the agent's whole knowledge of a container, so the newest is
//! enough and an older one can be dropped.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Call, Done, Kind};
use crate::api::v1::container::ImagePull;
use crate::id::{ContainerId, EngineId, HostName};
use crate::status::{Status, TaskState};

/// How a container is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerReport {
    /// Which container.
    pub container: ContainerId,
    /// The reporting host; refused where the container is another host's.
    pub host: HostName,
    /// Rises with each report of a container, also over restarts of the agent: microseconds since 1970,
    /// or one more than the last where the clock stands. Only a newer one is applied.
    pub generation: i64,
    /// What it is.
    pub status: Status,
    /// What is being done to it.
    pub task_state: Option<TaskState>,
    /// Why it is so, where that needs words.
    pub status_reason: Option<String>,
    /// The engine's identifier, once it has one.
    pub engine: Option<EngineId>,
    /// The exit code of the last run.
    pub exit_code: Option<i64>,
    /// The kernel killed it for want of memory.
    pub oom_killed: bool,
    /// When its process started.
    pub started_at: Option<DateTime<Utc>>,
    /// When its process ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How many consoles are open.
    pub attached: u32,
    /// How its image comes along, while it does.
    #[serde(default)]
    pub image_pull: Option<ImagePull>,
}

impl Call for ContainerReport {
    const METHOD: &'static str = "report.container";
    const KIND: Kind = Kind::Command;
    const DEADLINE: Duration = Duration::from_hours(24);
    type Reply = Done;
}

/// A container that carries our label and that zun-api does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownContainer {
    /// The id in its name.
    pub container: ContainerId,
    /// The host.
    pub host: HostName,
    /// The engine's identifier.
    pub engine: EngineId,
}

impl Call for UnknownContainer {
    const METHOD: &'static str = "report.unknown";
    const KIND: Kind = Kind::Command;
    const DEADLINE: Duration = Duration::from_hours(1);
    type Reply = Done;
}
