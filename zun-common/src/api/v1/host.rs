//! Responses about compute hosts and their agents.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::version::Link;

/// A compute host in the API's responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub struct Host {
    /// UUID.
    pub uuid: String,
    /// Links.
    pub links: Vec<Link>,
    /// Name.
    pub hostname: String,
    /// Memory in MiB.
    pub mem_total: u64,
    /// Memory claimed by containers, in MiB.
    pub mem_used: u64,
    /// Number of containers on the host.
    pub total_containers: u64,
    /// CPUs.
    pub cpus: f64,
    /// CPUs claimed by containers.
    pub cpu_used: f64,
    /// CPU architecture, such as `x86_64`.
    pub architecture: String,
    /// Operating system type, such as `linux`.
    pub os_type: String,
    /// Operating system, such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Release of the kernel.
    pub kernel_version: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Disk in GiB.
    pub disk_total: u64,
    /// Disk claimed by containers that have a limit for it, in GiB.
    pub disk_used: u64,
    /// Always false, even on hosts that can limit the disk of a container.
    pub disk_quota_supported: bool,
    /// Runtimes of the engine.
    pub runtimes: Vec<String>,
    /// Not supported; always false.
    pub enable_cpu_pinning: bool,
    /// Engine and version. Not in OpenStack Zun's API.
    pub engine: String,
    /// Address for console connections; null if the host has none. Not in OpenStack Zun's API.
    pub console: Option<String>,
    /// `up`, `down`, or `recovering`: its agent knows operations that the database does not. Not in OpenStack Zun's API.
    #[serde(default)]
    pub state: String,
    /// Why it is not up, or why another agent was refused, and what to do. Not in OpenStack Zun's API.
    #[serde(default)]
    pub state_reason: Option<String>,
    /// Whether it gets no new containers, because its service was disabled. Not in OpenStack Zun's API.
    #[serde(default)]
    pub disabled: bool,
    /// Containers of this cluster on the host that the service does not know. Not in OpenStack Zun's API.
    #[serde(default)]
    pub strays: Vec<Stray>,
}

/// A container of this cluster that the service does not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stray {
    /// UUID.
    pub uuid: String,
    /// Name; null if it has none.
    pub name: Option<String>,
    /// Status, such as `Running`.
    pub status: String,
    /// CPUs that it may use; 0 means no limit.
    pub cpu: f64,
    /// Memory that it may use, in MiB; 0 means no limit.
    pub memory: u64,
}

/// Response of `GET /v1/hosts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostList {
    /// One page of hosts.
    pub hosts: Vec<Host>,
    /// Address of the next page, if this one is full.
    pub next: Option<String>,
}

/// An agent in the API's responses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Sequence number.
    pub id: i32,
    /// The agent's host.
    pub host: String,
    /// Always `zun-compute`.
    pub binary: String,
    /// `up` or `down`.
    pub state: String,
    /// Whether no new containers are placed on the host.
    pub disabled: bool,
    /// Reason for disabling.
    pub disabled_reason: Option<String>,
    /// Whether an administrator has marked it as down, even if it sends heartbeats.
    pub forced_down: bool,
    /// The availability zone of the host.
    pub availability_zone: String,
    /// Why consoles on the host are unavailable; null if they are available. Not in OpenStack Zun's API.
    pub console_trouble: Option<String>,
    /// Number of heartbeats.
    pub report_count: i64,
    /// Time of the last heartbeat.
    #[serde(with = "super::time")]
    #[schemars(with = "Option<String>")]
    pub last_seen_up: Option<NaiveDateTime>,
    /// Time of the first heartbeat.
    #[serde(with = "super::time")]
    #[schemars(with = "Option<String>")]
    pub created_at: Option<NaiveDateTime>,
    /// Time of the last change.
    #[serde(with = "super::time")]
    #[schemars(with = "Option<String>")]
    pub updated_at: Option<NaiveDateTime>,
}

/// Response of `GET /v1/services`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceList {
    /// All agents.
    pub services: Vec<Service>,
}

/// A response about one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceBody<T> {
    /// The service.
    pub service: T,
}

/// A service that was enabled or disabled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceState {
    /// Its host.
    pub host: String,
    /// Its program.
    pub binary: String,
    /// Whether no new containers are placed on the host.
    pub disabled: bool,
    /// Reason for disabling.
    pub disabled_reason: Option<String>,
}

/// A service that was forced down, or no longer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceDown {
    /// Its host.
    pub host: String,
    /// Its program.
    pub binary: String,
    /// Whether an administrator has marked it as down.
    pub forced_down: bool,
}

/// An availability zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AvailabilityZone {
    /// Its name.
    pub availability_zone: String,
}

/// Response of `GET /v1/availability_zones`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AvailabilityZoneList {
    /// One page of zones.
    pub availability_zones: Vec<AvailabilityZone>,
    /// Address of the next page, if this one is full.
    pub next: Option<String>,
}
