//! Reports of agents to zun-api. A report has the whole state of a container, so only the newest one matters.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Call, Done};
use crate::api::v1::container::ImagePull;
use crate::id::{ContainerId, EngineId, Epoch, HostName};
use crate::ports::PublishedPort;
use crate::status::{EndReason, Health, Status, TaskState};

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
    /// The engine's ID, once it has one.
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
    /// The runs that are new or have changed since zun-api last acknowledged a report, in order.
    #[serde(default)]
    pub runs: Vec<RunReport>,
    /// The part of its state that exists only while it runs.
    #[serde(default)]
    pub live: LiveState,
}

/// A run of a container: one execution of its process, from start to exit. The agent numbers them, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// Its number among the runs of the container.
    pub number: i64,
    /// The engine's text for the time of the start. It is only compared for equality, because clocks step.
    pub raw_started: Option<String>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// How it ended, once it has.
    pub end: Option<RunEnd>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// When, if that is known.
    pub at: Option<DateTime<Utc>>,
    /// The exit code, if it is known.
    pub exit_code: Option<i64>,
    /// Why.
    pub reason: EndReason,
    /// The engine's message, if it could not start the process.
    pub message: Option<String>,
}

/// The newest run of a container in zun-api's database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// Its number.
    pub number: i64,
    /// The engine's text for the time of the start.
    pub raw_started: Option<String>,
    /// Whether its end is known.
    pub has_ended: bool,
}

/// The most characters of the output of a health check.
pub const LONGEST_HEALTH_OUTPUT: usize = 1000;

/// The part of a container's state that exists only while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LiveState {
    /// Its health status; `None` without a health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// The output of its last health check, if that failed: at most [`LONGEST_HEALTH_OUTPUT`] characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_output: Option<String>,
    /// Its addresses, by the name of the network.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<String, Vec<IpAddr>>,
    /// Its published ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PublishedPort>,
}

impl LiveState {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A container with Zun's label that zun-api may not know: a stray.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownContainer {
    /// The ID from the container's name.
    pub container: ContainerId,
    /// The host.
    pub host: HostName,
    /// The engine's ID.
    pub engine: EngineId,
    /// The agent's epoch; `None` from older agents.
    #[serde(default)]
    pub epoch: Option<Epoch>,
}

impl Call for UnknownContainer {
    const METHOD: &'static str = "report.unknown";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = Done;
}
