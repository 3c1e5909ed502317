//! Volumes and networks of a project on a host, and how a container uses them.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

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

    /// Returns the resource's name in the engine. It has the ID, so resources of two projects are never the same one, even
    /// if they have the same name.
    pub fn engine_name(self, id: ResourceId) -> String {
        format!("zun-{}-{id}", self.as_str())
    }
}

/// An IPv4 network, such as `10.5.0.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Subnet {
    /// Its address. There may be bits beyond the prefix.
    pub address: Ipv4Addr,
    /// The length of its prefix, 0 to 32.
    pub prefix: u32,
}

/// The text is not an IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not an IPv4 network such as `10.5.0.0/24`")]
pub struct NotASubnet;

impl FromStr for Ipv4Subnet {
    type Err = NotASubnet;

    fn from_str(text: &str) -> Result<Self, NotASubnet> {
        let (address, prefix) = text.split_once('/').ok_or(NotASubnet)?;
        let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
        let is_plain = digits && (prefix == "0" || !prefix.starts_with('0'));
        let address = address.parse().map_err(|_invalid| NotASubnet)?;
        let prefix = prefix.parse().ok().filter(|prefix| is_plain && *prefix <= 32);
        Ok(Self { address, prefix: prefix.ok_or(NotASubnet)? })
    }
}

impl Ipv4Subnet {
    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        let prefix = self.prefix.min(other.prefix);
        let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or_default();
        self.address.to_bits() & mask == other.address.to_bits() & mask
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
        /// Its ID.
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
    /// Its ID.
    pub id: ResourceId,
    /// Its name in the project.
    pub name: String,
    /// How the host creates it.
    #[serde(default)]
    pub options: NetworkOptions,
    /// Additional names of the container in the network.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_networks_overlap_if_they_have_an_address_in_common() {
        let subnet = |text: &str| text.parse::<Ipv4Subnet>().expect("a network");
        for (one, other) in [
            ("10.5.0.0/24", "10.5.0.0/24"),
            ("10.5.0.0/24", "10.0.0.0/8"),
            ("10.5.0.0/16", "10.5.200.0/24"),
            ("10.5.0.0/24", "0.0.0.0/0"),
        ] {
            let (one, other) = (subnet(one), subnet(other));
            assert!(one.overlaps(other) && other.overlaps(one), "{one:?} {other:?}");
        }
        for (one, other) in [("10.5.0.0/24", "10.5.1.0/24"), ("10.5.0.0/25", "10.5.0.128/25")] {
            let (one, other) = (subnet(one), subnet(other));
            assert!(!one.overlaps(other) && !other.overlaps(one), "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_network_is_an_address_and_the_length_of_its_prefix() {
        for bad in
            ["", "10.5.0.0", "10.5.0.0/", "10.5.0.0/33", "10.5.0.0/08", "10.5.0.0/+8", "fd00::/8"]
        {
            assert_eq!(bad.parse::<Ipv4Subnet>(), Err(NotASubnet), "{bad}");
        }
    }
}
