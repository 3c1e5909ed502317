//! Reports of a host about itself, and its queries to zun-api.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::container::ConsoleListener;
use super::digest::ReportHash;
use super::report::LastRun;
use super::{Call, Done};
use crate::id::{ClusterId, ContainerId, EngineId, Epoch, HostName};
use crate::status::Status;
use crate::units::{Gibibytes, Resources};

/// The resources and properties of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// CPUs and memory in total.
    pub total: Resources,
    /// Size of the disk that holds the containers.
    pub disk: Gibibytes,
    /// CPU architecture, such as `x86_64`.
    pub architecture: String,
    /// Operating system type, such as `linux`.
    pub os_type: String,
    /// Operating system, such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Engine and version, such as `docker 20.10.24`.
    pub engine: String,
    /// Runtimes of the engine.
    pub runtimes: Vec<String>,
    /// Labels of the host.
    pub labels: BTreeMap<String, String>,
    /// The address on which it publishes ports; `None` from older agents, which publish none.
    #[serde(default)]
    pub publish_address: Option<IpAddr>,
    /// Its availability zone; `None` from older agents, which are in the default one.
    #[serde(default)]
    pub availability_zone: Option<String>,
}

/// The state of a host, which each heartbeat carries. `inventory` is absent while the engine does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The host.
    pub host: HostName,
    /// Its resources and properties.
    pub inventory: Option<Inventory>,
    /// The listener for consoles; absent if it is not up or failed its security check.
    pub console: Option<ConsoleListener>,
    /// Why there is no listener; absent if there is one, and from older agents.
    #[serde(default)]
    pub console_trouble: Option<String>,
    /// Seconds until the next heartbeat.
    pub interval: u32,
    /// Whether the agent is shutting down and this is its last heartbeat.
    pub leaving: bool,
    /// Its number within the agent's epoch. zun-api uses it to detect an older heartbeat that arrives after a leaving
    /// agent's last one.
    #[serde(default)]
    pub generation: i64,
    /// Containers of this cluster that zun-api does not know; `None` until the agent has compared.
    #[serde(default)]
    pub strays: Option<Vec<StrayContainer>>,
}

/// A container with the label of this cluster that zun-api does not know, such as after a restore of its database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrayContainer {
    /// The ID from its label.
    pub container: ContainerId,
    /// Its display name, from its label.
    pub name: Option<String>,
    /// Its status.
    pub status: Status,
    /// Its limits.
    pub limits: Resources,
}

/// Removes a stray container. The host refuses one that it does not count as a stray.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveStray {
    /// The cluster, whose label the container must have.
    pub cluster: ClusterId,
    /// The container.
    pub container: ContainerId,
}

impl Call for RemoveStray {
    const METHOD: &'static str = "host.remove_stray";
    const DEADLINE: Duration = Duration::from_mins(1);
    type Reply = Done;
}

/// The largest number of images that a host reports.
pub const MOST_IMAGES: usize = 256;

/// The longest name of an image that a host reports, in bytes.
pub const LONGEST_IMAGE: usize = 255;

/// The images that a host has. zun-api prefers a host with the image of a new container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportHostImages {
    /// The host.
    pub host: HostName,
    /// The agent's epoch.
    pub epoch: Epoch,
    /// Their names with tags: at most [`MOST_IMAGES`], of at most [`LONGEST_IMAGE`] bytes.
    pub images: BTreeSet<String>,
}

impl Call for ReportHostImages {
    const METHOD: &'static str = "host.images";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = Done;
}

/// Requests the host's server certificate. The key is created on the host and stays there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignHostCertificate {
    /// The host. It must be the sender.
    pub host: HostName,
    /// Certificate signing request in PEM. zun-api uses its key and its subject alternative names.
    pub csr: String,
}

impl Call for SignHostCertificate {
    const METHOD: &'static str = "host.certificate";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = HostCertificate;
}

/// A host's server certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCertificate {
    /// The certificate in PEM.
    pub certificate: String,
    /// The CAs in PEM, the signing one first. The host trusts client certificates that they signed.
    pub ca: String,
}

/// Requests the CAs that the host should trust. They change during a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetCaBundle {
    /// The host. It must be the sender.
    pub host: HostName,
}

impl Call for GetCaBundle {
    const METHOD: &'static str = "host.authorities";
    const DEADLINE: Duration = Duration::from_secs(5);
    type Reply = CaBundle;
}

/// The CAs that a host should trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaBundle {
    /// The CAs in PEM, the signing one first.
    pub ca: String,
}

/// Requests a grant for a container that does not exist. The host uses it to check that its own listener allows
/// granted calls and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignProbe {
    /// The host. It must be the sender.
    pub host: HostName,
    /// Certificate signing request in PEM. zun-api uses only its key.
    pub csr: String,
}

impl Call for SignProbe {
    const METHOD: &'static str = "host.proof";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = ProbeGrant;
}

/// The grant that a host uses to check its listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeGrant {
    /// The client certificate in PEM.
    pub certificate: String,
    /// When zun-api signed it, by zun-api's clock.
    pub signed_at: DateTime<Utc>,
}

/// Requests the containers that should be on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedContainers {
    /// The host. It must be the sender.
    pub host: HostName,
    /// The agent's epoch; `None` from older agents.
    #[serde(default)]
    pub epoch: Option<Epoch>,
}

impl Call for AssignedContainers {
    const METHOD: &'static str = "host.containers";
    const DEADLINE: Duration = Duration::from_secs(20);
    type Reply = Assigned;
}

/// The containers that should be on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// All containers.
    pub containers: Vec<AssignedContainer>,
}

/// A container that should be on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedContainer {
    /// The container.
    pub container: ContainerId,
    /// The status in zun-api's database.
    pub status: Status,
    /// The engine's ID, if the host ever reported one.
    pub engine: Option<EngineId>,
    /// Whether the container is removed when its process ends. If so, a missing container is not an error.
    pub auto_remove: bool,
    /// Whether a rebuild is open. If so, a missing container is not an error.
    #[serde(default)]
    pub is_rebuilding: bool,
    /// Its newest run; `None` before the first one.
    #[serde(default)]
    pub last_run: Option<LastRun>,
    /// What the database has of the agents' reports; `None` if there was none, or if the container was deleted.
    #[serde(default)]
    pub reported: Option<ReportHash>,
}
