//! Requests to the engine that OpenStack Zun's API has no fields for: the rest of `docker run`. In the API they are the
//! object `engine_options`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ports::ContainerPort;
use crate::units::Mebibytes;

/// Options of the engine. If one is absent or empty, the engine's default applies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "messages", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct EngineOptions {
    /// Whether a small init process reaps zombies and forwards signals.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub init: bool,
    /// Temporary file systems: the path in the container, and mount options such as `size=64m,mode=1777`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, String>,
    /// Size of `/dev/shm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Mebibytes>,
    /// Memory and swap together, in MiB; -1 is unlimited. Without it, as much swap as memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swap: Option<i64>,
    /// Weight among the containers of a host when its CPUs are busy; the engine's default is 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<u32>,
    /// Maximum number of processes; -1 is unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<i64>,
    /// Resource limits of each process, by name, such as `nofile`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Capabilities beyond the engine's default, without `CAP_`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities to drop, without `CAP_`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// Security options, such as `no-new-privileges`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<String>,
    /// Additional groups of the process, by name or number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_add: Vec<String>,
    /// Kernel parameters of the container's namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Seconds from the stop signal to SIGKILL, unless a stop sets another time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<u32>,
    /// Domain name inside the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// Lines for `/etc/hosts`, `NAME:ADDRESS`. The address `host-gateway` is the host's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    /// DNS servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
    /// DNS search domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// Options for `/etc/resolv.conf`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_options: Vec<String>,
    /// Where the engine writes output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_driver: Option<String>,
    /// Options of the log driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub log_opts: BTreeMap<String, String>,
    /// Annotations for the runtime.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Devices of the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// GPUs of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "messages", schemars(with = "Option<String>"))]
    pub gpus: Option<Gpus>,
    /// PID namespace: `host`, or absent for one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid_mode: Option<String>,
    /// `none`, `private`, `shareable` or `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc_mode: Option<String>,
    /// Platform of the image, such as `linux/arm64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Whether each port that the image or `expose` names is published, on a free port of the host at each start.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub publish_all: bool,
    /// Ports to expose in addition to those of the image, such as `80/tcp`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "messages", schemars(with = "Vec<String>"))]
    pub expose: Vec<ContainerPort>,
}

impl EngineOptions {
    /// Whether nothing is requested.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it sets `publish_all` or `expose`, which agents support since [`PUBLISH_ALL_PROTOCOL`](crate::rpc::operation::PUBLISH_ALL_PROTOCOL).
    pub const fn asks_for_ports(&self) -> bool {
        self.publish_all || !self.expose.is_empty()
    }
}

/// A resource limit of each process. -1 is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "messages", derive(schemars::JsonSchema))]
pub struct Ulimit {
    /// The limit, which the process may raise.
    pub soft: i64,
    /// The highest limit.
    pub hard: i64,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "messages", derive(schemars::JsonSchema))]
pub struct Device {
    /// Its path on the host.
    pub host_path: String,
    /// Its path in the container.
    pub container_path: String,
    /// `r`, `w` and `m` (mknod).
    pub permissions: String,
}

/// GPUs of a host. As text `all`, a number, or `device=` with IDs, such as `device=0,1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Gpus {
    /// All of them.
    All,
    /// This many, chosen by the engine.
    Count(u32),
    /// Those with these indexes or UUIDs.
    Devices(Vec<String>),
}

/// The largest number of GPUs.
const MOST_GPUS: u32 = 64;

/// The text names no GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "GPUs must be `all`, a number from 1 to {MOST_GPUS}, or `device=` with ids such as `device=0,1`"
)]
pub struct InvalidGpus;

impl FromStr for Gpus {
    type Err = InvalidGpus;

    fn from_str(text: &str) -> Result<Self, InvalidGpus> {
        let is_id = |id: &str| {
            let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':');
            (1..=64).contains(&id.len()) && id.bytes().all(is_fine)
        };
        match text.strip_prefix("device=") {
            Some(ids) => {
                let ids: Vec<String> = ids.split(',').map(str::to_owned).collect();
                let fits = ids.len() <= 64 && ids.iter().all(|id| is_id(id));
                fits.then_some(Self::Devices(ids)).ok_or(InvalidGpus)
            }
            None if text == "all" => Ok(Self::All),
            None => {
                let count = text.parse().ok().filter(|count| (1..=MOST_GPUS).contains(count));
                count.map(Self::Count).ok_or(InvalidGpus)
            }
        }
    }
}

impl TryFrom<String> for Gpus {
    type Error = InvalidGpus;

    fn try_from(text: String) -> Result<Self, InvalidGpus> {
        text.parse()
    }
}

impl From<Gpus> for String {
    fn from(gpus: Gpus) -> Self {
        match gpus {
            Gpus::All => "all".to_owned(),
            Gpus::Count(count) => count.to_string(),
            Gpus::Devices(ids) => format!("device={}", ids.join(",")),
        }
    }
}

/// A health check. Absent fields have the image's value, or else the engine's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Healthcheck {
    /// A shell command; the image's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<String>,
    /// Seconds between two checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
    /// Failures in a row after which it is unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u64>,
    /// Seconds that one check may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Seconds after the start in which failures do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<u64>,
    /// Whether the image's check is switched off.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_all_a_number_or_some_by_id() {
        for text in ["all", "1", "64", "device=0", "device=0,GPU-8a1b:0"] {
            let gpus: Gpus = text.parse().expect("good text");
            assert_eq!(String::from(gpus), text);
        }
        for bad in ["", "0", "-1", "65", "none", "device=", "device=0,", "device=a b", "all,0"] {
            assert_eq!(bad.parse::<Gpus>(), Err(InvalidGpus), "{bad}");
        }
    }
}
