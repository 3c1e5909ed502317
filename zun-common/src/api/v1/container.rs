//! Requests and responses about containers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chrono::NaiveDateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resource::{MountField, NetField};
use super::version::Link;
use crate::engine_options::{EngineOptions, Healthcheck};
use crate::id::{ContainerId, HostName};
use crate::ports::PublishedPort;
use crate::recording::RecordPolicy;
use crate::status::{Health, Status, TaskState};

/// When the engine restarts a container. The field names are OpenStack Zun's and Docker's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestartPolicy {
    /// `no`, `always`, `on-failure` or `unless-stopped`.
    #[serde(rename = "Name")]
    pub name: String,
    /// Maximum number of restarts with `on-failure`; "0" is unlimited.
    #[serde(rename = "MaximumRetryCount", default)]
    pub maximum_retry_count: String,
}

/// Body of `POST /v1/containers`, as the client `zun` sends it. zun-api parses the body field by field, so that
/// each error names the field, the value and the rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct CreateContainer {
    /// The image, such as `cirros` or `host/name:tag`.
    pub image: String,
    /// Name; random if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Command and arguments; the image's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Replacement for the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// CPUs, 0.1 to 16; the service's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Memory in MiB, 6 to 8192; the service's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Host name inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Whether stdin stays open.
    #[serde(default)]
    pub interactive: bool,
    /// Whether the container gets a terminal.
    #[serde(default)]
    pub tty: bool,
    /// Whether the end of the first console's input also closes the process's stdin. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stdin_once: bool,
    /// Initial size of the terminal, `[rows, columns]`. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u16; 2]>,
    /// User, and optionally group, to run as. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether the root file system is read-only. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Signal that a stop sends first; the image's own if absent. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Whether the container is removed when its process ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_remove: bool,
    /// When the engine restarts the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    /// `always`, `ifnotpresent` or `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<String>,
    /// Host to run on; administrators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Availability zone to run in; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    /// Constraints on the host: `label:NAME`, `affinity:NAME` or `anti_affinity:NAME`, each with the value of a label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hints: BTreeMap<String, String>,
    /// Whether it has full access to the host (extended privileges), if the policy allows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// Runtime, if the policy allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Maximum size of its writable layer in GiB, 1 to 160; unlimited if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
    /// How its health is checked; the image's setting if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Whether it is restarted when it becomes unhealthy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_heal: bool,
    /// Additional options of the engine. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "EngineOptions::is_empty")]
    pub engine_options: EngineOptions,
    /// Ports to publish, such as `80/tcp`, each with its addresses and ports on the host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Vec<PortBinding>>,
    /// Name or ID of the registry login; if absent, the project's login for the image's registry, if it has exactly
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// Mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountField>,
    /// Its network, at most one; the host's default one if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nets: Vec<NetField>,
    /// Whether its sessions are recorded; the operator's setting if absent. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordPolicy>,
}

/// Where on the host a port is published. Not in OpenStack Zun's API, where the object is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortBinding {
    /// The address; the host's own setting if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_address: Option<IpAddr>,
    /// The port; a free one if absent or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
    /// The last port of a range that begins with `host_port`: its first free port is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_host_port: Option<u16>,
}

/// An address of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// The address.
    pub addr: IpAddr,
    /// 4 or 6.
    pub version: u8,
}

/// How a container's health is checked, in responses. OpenStack Zun calls the command `cmd` in requests and `test`
/// here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShownHealthcheck {
    /// A shell command; the image's if null.
    pub test: Option<String>,
    /// Seconds between two checks.
    pub interval: Option<u64>,
    /// Failures in a row after which it is unhealthy.
    pub retries: Option<u64>,
    /// Seconds that one check may take.
    pub timeout: Option<u64>,
    /// Seconds after the start in which failures do not count. Not in OpenStack Zun's API.
    #[serde(default)]
    pub start_period: Option<u64>,
    /// Whether the image's check is switched off. Not in OpenStack Zun's API.
    #[serde(default)]
    pub disable: bool,
}

impl From<Healthcheck> for ShownHealthcheck {
    fn from(check: Healthcheck) -> Self {
        let Healthcheck { cmd: test, interval, retries, timeout, start_period, disable } = check;
        Self { test, interval, retries, timeout, start_period, disable }
    }
}

/// When the engine pulls an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PullPolicy {
    /// Always.
    Always,
    /// If the host does not have the image.
    #[default]
    IfNotPresent,
    /// Never. A missing image is an error.
    Never,
}

/// Progress of an image pull.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ImagePull {
    /// The image's layers, in the engine's order.
    pub layers: Vec<PulledLayer>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PulledLayer {
    /// The engine's short ID of the layer.
    pub id: String,
    /// The engine's word for its state, such as `Downloading`.
    pub state: String,
    /// Bytes done in this state.
    #[serde(default)]
    pub current: u64,
    /// Bytes in total; 0 if unknown.
    #[serde(default)]
    pub total: u64,
}

/// A container in the API's responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct Container {
    /// UUID.
    pub uuid: ContainerId,
    /// Links; absent in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Name.
    pub name: String,
    /// Project that owns it.
    pub project_id: String,
    /// User who created it.
    pub user_id: String,
    /// Image.
    pub image: String,
    /// CPUs.
    pub cpu: f64,
    /// Always `shared`.
    pub cpu_policy: String,
    /// Memory in MiB, as a string as in OpenStack Zun.
    pub memory: String,
    /// Command and arguments.
    pub command: Option<Vec<String>>,
    /// Entry point.
    pub entrypoint: Option<Vec<String>>,
    /// Current status.
    pub status: Status,
    /// Reason for the status.
    pub status_reason: Option<String>,
    /// Detail such as `Exited(0) 8 mins ago`.
    pub status_detail: Option<String>,
    /// The operation in progress.
    pub task_state: Option<TaskState>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// Host name inside the container.
    pub hostname: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether stdin stays open.
    pub interactive: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Number of open consoles. Not in OpenStack Zun's API.
    pub attached: u32,
    /// Exit code of the last run that has ended, also while the next one runs. Not in OpenStack Zun's API.
    pub exit_code: Option<i64>,
    /// Whether the container is removed when its process ends.
    pub auto_remove: bool,
    /// Whether it is restarted when it becomes unhealthy.
    pub auto_heal: bool,
    /// When the engine restarts the container.
    pub restart_policy: Option<RestartPolicy>,
    /// User, and optionally group, that it runs as; null if none was requested. Not in OpenStack Zun's API.
    #[serde(default)]
    pub user: Option<String>,
    /// Whether the root file system is read-only. Not in OpenStack Zun's API.
    #[serde(default)]
    pub read_only: bool,
    /// Signal that stops it; null if none was requested. Not in OpenStack Zun's API.
    #[serde(default)]
    pub stop_signal: Option<String>,
    /// When the image is pulled: `always`, `ifnotpresent` or `never`; administrators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Progress of the image pull while it runs. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull: Option<ImagePull>,
    /// Always `docker`.
    pub image_driver: String,
    /// Its published ports, by their numbers in the container.
    pub ports: BTreeSet<u16>,
    /// Its published ports with their addresses on the host. Not in OpenStack Zun's API.
    #[serde(default)]
    pub published_ports: Vec<PublishedPort>,
    /// Its own addresses while it runs, by the name of the network.
    pub addresses: BTreeMap<String, Vec<Address>>,
    /// Its health status while it runs; null without a health check. Not in OpenStack Zun's API.
    #[serde(default)]
    pub health: Option<Health>,
    /// The output of its last health check while it runs, if that failed. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_output: Option<String>,
    /// Not supported; always null.
    pub security_groups: Option<Vec<String>>,
    /// Maximum size of its writable layer in GiB; 0 if unlimited.
    pub disk: u64,
    /// How its health is checked; null if the request did not say.
    pub healthcheck: Option<ShownHealthcheck>,
    /// Whether it has full access to the host (extended privileges); shown to administrators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// The requested runtime; shown to administrators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Additional options of the engine. Not in OpenStack Zun's API.
    #[serde(default)]
    pub engine_options: EngineOptions,
    /// UUID of the login to the registry with which the host pulls the image; null without one.
    pub registry_id: Option<String>,
    /// Its mounts, without the content of files. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountField>,
    /// Its network, if one was requested: a name, `none` or `host`. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Whether its sessions are recorded on its host. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "RecordPolicy::is_off")]
    pub record: RecordPolicy,
    /// When it was created.
    #[serde(with = "super::time")]
    #[schemars(with = "Option<String>")]
    pub created_at: Option<NaiveDateTime>,
    /// When it last changed.
    #[serde(with = "super::time")]
    #[schemars(with = "Option<String>")]
    pub updated_at: Option<NaiveDateTime>,
    /// When its process last started. Not in OpenStack Zun's API.
    #[serde(with = "super::time", default)]
    #[schemars(with = "Option<String>")]
    pub started_at: Option<NaiveDateTime>,
    /// When one of its runs last ended; null before that. Not in OpenStack Zun's API.
    #[serde(with = "super::time", default)]
    #[schemars(with = "Option<String>")]
    pub finished_at: Option<NaiveDateTime>,
    /// The number of its newest run; absent before the first. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// Host; administrators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
}

/// Response of `GET /v1/containers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerList {
    /// One page of containers.
    pub containers: Vec<Container>,
    /// Address of the next page, if this one is full.
    pub next: Option<String>,
}

/// Body of `PATCH /v1/containers/{id}`. Absent fields stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateContainer {
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// CPUs, 0.1 to 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Memory in MiB, 6 to 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

/// Response of `GET /v1/containers/{id}/stats`. The field names are OpenStack Zun's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerStats {
    /// Name of the container.
    #[serde(rename = "CONTAINER")]
    pub container: String,
    /// CPU usage; 100 is one CPU.
    #[serde(rename = "CPU %")]
    pub cpu_percent: f64,
    /// Memory usage in MiB.
    #[serde(rename = "MEM USAGE(MiB)")]
    pub memory_usage: f64,
    /// Memory limit in MiB.
    #[serde(rename = "MEM LIMIT(MiB)")]
    pub memory_limit: f64,
    /// Memory usage as a percentage of the limit.
    #[serde(rename = "MEM %")]
    pub memory_percent: f64,
    /// Bytes read from and written to disks, `read/written`.
    #[serde(rename = "BLOCK I/O(B)")]
    pub block: String,
    /// Bytes received from and sent to networks, `received/sent`.
    #[serde(rename = "NET I/O(B)")]
    pub network: String,
    /// Number of processes and threads. Not in OpenStack Zun's API.
    #[serde(rename = "PIDS", default)]
    pub processes: u64,
}

/// Response of `GET /v1/containers/{id}/top`. The field names are OpenStack Zun's and Docker's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerTop {
    /// Column titles.
    #[serde(rename = "Titles")]
    pub titles: Vec<String>,
    /// One row for each process.
    #[serde(rename = "Processes")]
    pub processes: Vec<Vec<String>>,
}
