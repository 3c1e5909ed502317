//! Hosts and services.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use super::version::Link;

/// A compute host as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Its identifier.
    pub uuid: String,
    /// Links.
    pub links: Vec<Link>,
    /// Its name.
    pub hostname: String,
    /// MiB.
    pub mem_total: u64,
    /// MiB claimed by containers.
    pub mem_used: u64,
    /// Containers on it.
    pub total_containers: u64,
    /// Processors.
    pub cpus: f64,
    /// Processors claimed by containers.
    pub cpu_used: f64,
    /// Such as `x86_64`.
    pub architecture: String,
    /// `linux`.
    pub os_type: String,
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// The kernel's release.
    pub kernel_version: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// GiB.
    pub disk_total: u64,
    /// GiB claimed by containers.
    pub disk_used: u64,
    /// The engine can limit a container's disk.
    pub disk_quota_supported: bool,
    /// The engine's runtimes.
    pub runtimes: Vec<String>,
    /// Not offered yet; always false.
    pub enable_cpu_pinning: bool,
    /// The engine and its version. Beside Zun's API.
    pub engine: String,
    /// Where consoles are dialled; null where that is not possible. Beside Zun's API.
    pub console: Option<String>,
}

/// The body of `GET /v1/hosts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostList {
    /// One page of them.
    pub hosts: Vec<Host>,
    /// The address of the next page, if the page is full.
    pub next: Option<String>,
}

/// An agent as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// A number.
    pub id: i32,
    /// Its host.
    pub host: String,
    /// `zun-compute`.
    pub binary: String,
    /// `up` or `down`.
    pub state: String,
    /// No new containers go there.
    pub disabled: bool,
    /// Why.
    pub disabled_reason: Option<String>,
    /// Taken as down whatever it says.
    pub forced_down: bool,
    /// `nova`, as Zun's default.
    pub availability_zone: String,
    /// Why consoles on its host cannot be dialled; null where they can. Beside Zun's API.
    pub console_trouble: Option<String>,
    /// Heartbeats so far.
    pub report_count: i64,
    /// The last heartbeat.
    #[serde(with = "super::time")]
    pub last_seen_up: Option<NaiveDateTime>,
    /// The first heartbeat.
    #[serde(with = "super::time")]
    pub created_at: Option<NaiveDateTime>,
    /// The last change.
    #[serde(with = "super::time")]
    pub updated_at: Option<NaiveDateTime>,
}

/// The body of `GET /v1/services`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceList {
    /// All of them.
    pub services: Vec<Service>,
}
