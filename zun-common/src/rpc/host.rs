//! What a host says of itself, and what it asks of zun-api.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::container::{ConsoleListener, CreateContainer};
use super::{Call, Done, Kind};
use crate::id::{ContainerId, EngineId, HostName};
use crate::status::Status;
use crate::units::{Gibibytes, Resources};

/// What a host has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Processors and memory in all.
    pub total: Resources,
    /// The disk that containers are on.
    pub disk: Gibibytes,
    /// Such as `x86_64`.
    pub architecture: String,
    /// Such as `linux`.
    pub os_type: String,
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// The kernel's release.
    pub kernel: String,
    /// Such as `docker 20.10.24`.
    pub engine: String,
    /// The engine's runtimes.
    pub runtimes: Vec<String>,
    /// The host's labels.
    pub labels: BTreeMap<String, String>,
}

/// A sign of life, every few seconds. `inventory` is absent while the engine does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The host.
    pub host: HostName,
    /// What it has.
    pub inventory: Option<Inventory>,
    /// Where consoles are dialled; absent where the listener is not up and safe.
    pub console: Option<ConsoleListener>,
    /// Why the listener is not up and safe; absent where it is, and from older agents.
    #[serde(default)]
    pub console_trouble: Option<String>,
    /// Seconds until the next one.
    pub interval: u32,
    /// It is shutting down: no more will come.
    pub leaving: bool,
    /// When it was made, by the host's clock, in microseconds since 1970: tells which of two that arrive
    /// together is newer. 0 from older agents.
    #[serde(default)]
    pub generation: i64,
}

impl Call for Heartbeat {
    const METHOD: &'static str = "report.heartbeat";
    const KIND: Kind = Kind::Command;
    const DEADLINE: Duration = Duration::from_secs(30);
    type Reply = Done;
}

/// Asks for the host's server certificate. The key is made on the host and stays there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignHostCertificate {
    /// The host; must be the sender.
    pub host: HostName,
    /// A certificate signing request in PEM; zun-api takes its key and its alternative names.
    pub csr: String,
}

impl Call for SignHostCertificate {
    const METHOD: &'static str = "host.certificate";
    const KIND: Kind = Kind::Query;
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = HostCertificate;
}

/// A host's server certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCertificate {
    /// In PEM.
    pub certificate: String,
    /// The authorities, in PEM, the signing one first: what the host trusts in clients.
    pub ca: String,
}

/// Asks which authorities the host should trust; they change during a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetCaBundle {
    /// The host; must be the sender.
    pub host: HostName,
}

impl Call for GetCaBundle {
    const METHOD: &'static str = "host.authorities";
    const KIND: Kind = Kind::Query;
    const DEADLINE: Duration = Duration::from_secs(5);
    type Reply = CaBundle;
}

/// The authorities that a host should trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaBundle {
    /// In PEM, the signing one first.
    pub ca: String,
}

/// Asks for a grant that is good for a container that no host has. With it a host proves that its own
/// listener lets through what is granted and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignProbe {
    /// The host; must be the sender.
    pub host: HostName,
    /// A certificate signing request in PEM; zun-api takes its key alone.
    pub csr: String,
}

impl Call for SignProbe {
    const METHOD: &'static str = "host.proof";
    const KIND: Kind = Kind::Query;
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = ProbeGrant;
}

/// A host's grant to prove its listener with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeGrant {
    /// The client certificate, PEM.
    pub certificate: String,
    /// When it was signed, by zun-api's clock.
    pub signed_at: DateTime<Utc>,
}

/// Asks which containers should be on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedContainers {
    /// The host; must be the sender.
    pub host: HostName,
}

impl Call for AssignedContainers {
    const METHOD: &'static str = "host.containers";
    const KIND: Kind = Kind::Query;
    const DEADLINE: Duration = Duration::from_secs(20);
    type Reply = Assigned;
}

/// The containers that should be on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// All of them.
    pub containers: Vec<AssignedContainer>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedContainer {
    /// Which container.
    pub container: ContainerId,
    /// The last applied generation.
    pub generation: i64,
    /// As zun-api knows it.
    pub status: Status,
    /// The engine's identifier, if one was ever reported.
    pub engine: Option<EngineId>,
    /// It goes when its process ends, so its absence is not an error.
    pub auto_remove: bool,
    /// How it is made, while its status is `Creating`: the command may have been lost.
    pub create: Option<CreateContainer>,
}
