//! Ports of containers that are published on their host.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::status::UnknownName;

/// A transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "messages", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Its text on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => Err(UnknownName { kind: "Protocol", value: text.chars().take(80).collect() }),
        }
    }
}

/// A port of a container. As text `80/tcp`; without a protocol it is TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerPort {
    /// The number, from 1.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl fmt::Display for ContainerPort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.port, self.protocol)
    }
}

/// The text is not a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a port must be a number from 1 to 65535, with /tcp or /udp, such as `80/tcp`")]
pub struct InvalidPort;

impl FromStr for ContainerPort {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let is_plain = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| is_plain && *port > 0).ok_or(InvalidPort)?;
        let protocol = protocol.parse().map_err(|_unknown| InvalidPort)?;
        Ok(Self { port, protocol })
    }
}

impl TryFrom<String> for ContainerPort {
    type Error = InvalidPort;

    fn try_from(text: String) -> Result<Self, InvalidPort> {
        text.parse()
    }
}

impl From<ContainerPort> for String {
    fn from(port: ContainerPort) -> Self {
        port.to_string()
    }
}

/// The largest number of published ports of a container.
pub const MOST_PUBLISHED: usize = 1024;

/// The largest number of ports of a container that `publish_all` adds. Nothing claims them, and the host needs such
/// ports for connections of its own.
pub const MOST_PUBLISHED_ALL: usize = 64;

/// A port of a container on an address of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "messages", derive(schemars::JsonSchema))]
pub struct PublishedPort {
    /// The port in the container.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The address of the host.
    pub host_address: IpAddr,
    /// The port of the host. In a specification, 0 lets the engine choose a free one at each start.
    pub host_port: u16,
}

impl PublishedPort {
    /// The port of the container.
    pub const fn inside(&self) -> ContainerPort {
        ContainerPort { port: self.port, protocol: self.protocol }
    }
}

impl fmt::Display for PublishedPort {
    /// `80/tcp -> 127.0.0.1:8080`, as Docker shows it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, protocol, host_address, host_port } = *self;
        write!(out, "{port}/{protocol} -> {}", SocketAddr::new(host_address, host_port))
    }
}

/// Ports of a host, of which one is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostPorts {
    /// The first one, not 0.
    pub first: u16,
    /// The last one, not before the first.
    pub last: u16,
}

impl HostPorts {
    /// The port, if there is only one.
    pub const fn single(self) -> Option<u16> {
        if self.first == self.last { Some(self.first) } else { None }
    }
}

impl fmt::Display for HostPorts {
    /// `8080`, or `8080-8082`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(port) => write!(out, "{port}"),
            None => write!(out, "{}-{}", self.first, self.last),
        }
    }
}

/// A port of a container that is to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRequest {
    /// The port in the container.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The address of the host; the host's own setting if `None`.
    pub host_address: Option<IpAddr>,
    /// The port of the host, or several of which the first free one is used; any free one if `None`.
    pub host_ports: Option<HostPorts>,
}

/// Whether a host whose setting is `own` may publish on the address: on loopback, on `own`, and, if `own` is all
/// addresses, on each of them.
pub fn may_publish(own: IpAddr, wanted: IpAddr) -> bool {
    wanted.is_loopback()
        || wanted == own
        || (own.is_unspecified() && (own.is_ipv6() || wanted.is_ipv4()))
}

/// Whether two addresses cannot have the same port: they are the same, or one is all addresses.
pub fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_unspecified() || other.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_a_container_has_a_number_and_a_protocol() {
        let port = |text: &str| text.parse::<ContainerPort>().map(|port| port.to_string());
        assert_eq!(port("80"), Ok("80/tcp".to_owned()));
        assert_eq!(port("53/udp"), Ok("53/udp".to_owned()));
        for bad in ["", "0", "65536", "+80", "80/sctp", "80/", "/tcp", "80-81"] {
            assert_eq!(port(bad), Err(InvalidPort), "{bad}");
        }
    }

    #[test]
    fn a_host_publishes_beyond_loopback_only_where_its_setting_says() {
        let may = |own: &str, wanted: &str| {
            may_publish(own.parse().expect("an address"), wanted.parse().expect("an address"))
        };
        assert!(may("127.0.0.1", "127.0.0.1") && may("127.0.0.1", "::1"));
        assert!(!may("127.0.0.1", "0.0.0.0") && !may("127.0.0.1", "192.0.2.1"));
        assert!(may("192.0.2.1", "192.0.2.1") && !may("192.0.2.1", "0.0.0.0"));
        assert!(may("0.0.0.0", "192.0.2.1") && !may("0.0.0.0", "::") && may("::", "0.0.0.0"));
    }
}
