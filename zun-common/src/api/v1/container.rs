//! Containers: what a client asks for and what it is shown.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use super::version::Link;
use crate::id::{ContainerId, HostName};
use crate::status::{Status, TaskState};

/// When the engine runs a container again by itself. The names are Zun's (and Docker's).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// `no`, `always`, `on-failure` or `unless-stopped`.
    #[serde(rename = "Name")]
    pub name: String,
    /// At most so many times, with `on-failure`; "0" is for ever.
    #[serde(rename = "MaximumRetryCount", default)]
    pub maximum_retry_count: String,
}

/// The body of `POST /v1/containers`, as our own client writes it. zun-api reads the body itself, field
/// by field, so that each refusal names the field, the value and the rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct CreateContainer {
    /// The image, such as `cirros` or `host/name:tag`.
    pub image: String,
    /// A name; a random one is made where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The command and its arguments; the image's own where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Replaces the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Processors, 0.1 to 16; 1 where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Memory in MiB, 4 to 8192; 512 where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// The host name inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Keep stdin open.
    #[serde(default)]
    pub interactive: bool,
    /// Allocate a terminal.
    #[serde(default)]
    pub tty: bool,
    /// The end of the first console's input is the end of the process's input. Beside Zun's API.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stdin_once: bool,
    /// The terminal's first size, `[rows, columns]`. Beside Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u16; 2]>,
    /// The user (and group) to run as. Beside Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The root file system cannot be written. Beside Zun's API.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// The signal that `stop` begins with. Beside Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Removed when its process ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_remove: bool,
    /// When the engine runs it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    /// `always`, `ifnotpresent` or `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<String>,
    /// The host to run on; administrators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullPolicy {
    /// Each time.
    Always,
    /// When the host has none.
    #[default]
    IfNotPresent,
    /// Not at all: no image is an error.
    Never,
}

/// How an image comes along.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImagePull {
    /// Its layers, in the order in which the engine told of them.
    pub layers: Vec<PulledLayer>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulledLayer {
    /// The engine's short identifier of it.
    pub id: String,
    /// The engine's word, such as `Downloading`.
    pub state: String,
    /// Bytes so far, of what the state is about.
    #[serde(default)]
    pub current: u64,
    /// Bytes in all; 0 where they are not known.
    #[serde(default)]
    pub total: u64,
}

/// A container as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct Container {
    /// Its identifier.
    pub uuid: ContainerId,
    /// Links; absent in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project_id: String,
    /// Who made it.
    pub user_id: String,
    /// Its image.
    pub image: String,
    /// Processors.
    pub cpu: f64,
    /// `shared`.
    pub cpu_policy: String,
    /// Memory in MiB, as a text (Zun's way).
    pub memory: String,
    /// The command.
    pub command: Option<Vec<String>>,
    /// The entry point.
    pub entrypoint: Option<Vec<String>>,
    /// What it is now.
    pub status: Status,
    /// Why.
    pub status_reason: Option<String>,
    /// More words, such as `Exited(0) 8 mins ago`.
    pub status_detail: Option<String>,
    /// What is being done to it.
    pub task_state: Option<TaskState>,
    /// Environment.
    pub environment: BTreeMap<String, String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// The host name inside.
    pub hostname: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Stdin is kept open.
    pub interactive: bool,
    /// It has a terminal.
    pub tty: bool,
    /// How many consoles are open. Beside Zun's API.
    pub attached: u32,
    /// The exit code of its last run. Beside Zun's API.
    pub exit_code: Option<i64>,
    /// Removed when its process ends.
    pub auto_remove: bool,
    /// Not offered yet; always false.
    pub auto_heal: bool,
    /// When the engine runs it again.
    pub restart_policy: Option<RestartPolicy>,
    /// The user (and group) that it runs as, where one was asked for. Beside Zun's API.
    #[serde(default)]
    pub user: Option<String>,
    /// The root file system cannot be written. Beside Zun's API.
    #[serde(default)]
    pub read_only: bool,
    /// The signal that a stop begins with, where one was asked for. Beside Zun's API.
    #[serde(default)]
    pub stop_signal: Option<String>,
    /// When its image is pulled: `always`, `ifnotpresent` or `never`; administrators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// How its image comes along, while it does. Beside Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull: Option<ImagePull>,
    /// `docker`.
    pub image_driver: String,
    /// Ports; none yet.
    pub ports: Vec<u16>,
    /// Addresses by network; none yet.
    pub addresses: BTreeMap<String, Vec<serde_json::Value>>,
    /// None yet.
    pub security_groups: Option<Vec<String>>,
    /// Disk in GiB; 0 is no limit.
    pub disk: u64,
    /// None yet.
    pub healthcheck: Option<serde_json::Value>,
    /// None yet.
    pub registry_id: Option<String>,
    /// When it was asked for.
    #[serde(with = "super::time")]
    pub created_at: Option<NaiveDateTime>,
    /// When it was last changed.
    #[serde(with = "super::time")]
    pub updated_at: Option<NaiveDateTime>,
    /// When its process last started. Beside Zun's API.
    #[serde(with = "super::time", default)]
    pub started_at: Option<NaiveDateTime>,
    /// Its host; administrators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
}

/// The body of `GET /v1/containers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerList {
    /// One page of them.
    pub containers: Vec<Container>,
    /// The address of the next page, if the page is full.
    pub next: Option<String>,
}

/// The body of `PATCH /v1/containers/{id}`: what is to be different.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateContainer {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Processors, 0.1 to 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Memory in MiB, 4 to 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

/// The answer of `GET /v1/containers/{id}/stats`. The names are Zun's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerStats {
    /// Its name.
    #[serde(rename = "CONTAINER")]
    pub container: String,
    /// 100 is one processor.
    #[serde(rename = "CPU %")]
    pub cpu_percent: f64,
    /// Memory.
    #[serde(rename = "MEM USAGE(MiB)")]
    pub memory_usage: f64,
    /// Its limit.
    #[serde(rename = "MEM LIMIT(MiB)")]
    pub memory_limit: f64,
    /// Of the limit.
    #[serde(rename = "MEM %")]
    pub memory_percent: f64,
    /// Bytes read from disks and written, `read/written`.
    #[serde(rename = "BLOCK I/O(B)")]
    pub block: String,
    /// Bytes received from networks and sent, `received/sent`.
    #[serde(rename = "NET I/O(B)")]
    pub network: String,
    /// Processes and threads. Beside Zun's API.
    #[serde(rename = "PIDS", default)]
    pub processes: u64,
}

/// The answer of `GET /v1/containers/{id}/top`. The names are Zun's (and Docker's).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerTop {
    /// The columns.
    #[serde(rename = "Titles")]
    pub titles: Vec<String>,
    /// A row each.
    #[serde(rename = "Processes")]
    pub processes: Vec<Vec<String>>,
}
