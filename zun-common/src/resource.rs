//! What containers share on a host: volumes and networks of a project, and how a container uses them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::ResourceId;

/// The kind of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A directory that outlives its containers.
    Volume,
    /// A network of a host.
    Network,
}

impl ResourceKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Volume, Self::Network];

    /// The kind in messages and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Network => "network",
        }
    }

    /// Returns the resource's name in the engine. It has the id, so resources of two projects are never the same one, even
    /// if they have the same name.
    pub fn engine_name(self, id: ResourceId) -> String {
        format!("zun-{}-{id}", self.as_str())
    }
}

/// A mount of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    #[serde(flatten)]
    pub source: MountSource,
    /// The path in the container.
    pub target: String,
    /// Whether the container can only read it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MountSource {
    /// A named volume.
    Volume {
        /// Its id.
        id: ResourceId,
        /// Its name in the project.
        name: String,
    },
    /// A volume without a name, which is removed with the container.
    Anonymous,
    /// A file with this content, which the container gets before its first start.
    File {
        /// The content.
        #[serde(with = "crate::rpc::exec::base64_bytes")]
        content: Vec<u8>,
    },
    /// A path of the host.
    Host {
        /// The path.
        path: String,
    },
}

/// The network of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum NetworkMode {
    /// No network but loopback.
    None,
    /// The host's own.
    Host,
    /// A network of the project.
    Named(NamedNetwork),
}

/// A network of the project, and the container's place in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedNetwork {
    /// Its id.
    pub id: ResourceId,
    /// Its name in the project.
    pub name: String,
    /// How the host creates it.
    #[serde(default)]
    pub options: NetworkOptions,
    /// Additional names of the container in the network, besides its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The container's address; the engine's choice if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// How a host creates a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkOptions {
    /// Its addresses, such as `10.5.0.0/24`; the engine's choice if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// Whether its containers are cut off from everything outside the network (Docker: internal).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub internal: bool,
}
