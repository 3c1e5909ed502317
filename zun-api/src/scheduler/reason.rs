//! Why hosts do not fit.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use zun_common::id::HostName;
use zun_common::ports::{HostPorts, Protocol, PublishedPort};

/// The maximum number of hosts that a message names.
const MAX_NAMED: usize = 10;

/// What a host lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shortage {
    pub(crate) needed: u64,
    pub(crate) free: u64,
}

/// Why a host was filtered out, in the order of the filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilterReason {
    Down,
    Disabled,
    EngineDown,
    Zone,
    TooOld,
    Runtime,
    /// It does not have the image and may not pull it.
    Image,
    Labels,
    Affinity,
    AntiAffinity,
    Volume,
    Network,
    /// It has as many networks as it may have.
    Networks,
    /// It has a network with some of the addresses of the requested one, which it does not have yet.
    Subnet,
    /// A container has this port.
    Port(PublishedPort),
    /// Containers have all of these ports.
    PortRange(HostPorts, Protocol),
    /// Fewer ports are free than are to be published on ports of the host's choice.
    FreePorts,
    /// It publishes ports on this address only, which is not the requested one.
    PortAddress(IpAddr),
    /// In thousandths.
    Cpus(Shortage),
    /// In MiB.
    Memory(Shortage),
    /// In GiB.
    Disk(Shortage),
}

impl FilterReason {
    /// Describes the hosts that were refused for this reason, without amounts, which would reveal the usage of other
    /// projects.
    pub(crate) fn for_tenants(self) -> Cow<'static, str> {
        self.group().1
    }

    /// The place among the filters, and what hosts with this reason are.
    fn group(self) -> (usize, Cow<'static, str>) {
        let (place, words) = match self {
            Self::Down => (0, "down"),
            Self::Disabled => (1, "disabled"),
            Self::EngineDown => (2, "without a running Docker"),
            Self::Zone => (3, "in other availability zones"),
            Self::TooOld => (4, "with an agent too old for the requested options"),
            Self::Runtime => (5, "without the requested runtime"),
            Self::Image => (6, "without the image, which hosts may not pull (pull policy `never`)"),
            Self::Labels => (7, "without the requested labels"),
            Self::Affinity => (8, "without the containers of the affinity hints"),
            Self::AntiAffinity => (9, "with containers of the anti-affinity hints"),
            Self::Volume => (10, "without the requested volume, which another host has"),
            Self::Network => (11, "without the requested network, which another host has"),
            Self::Networks => (12, "at the limit of networks (scheduler.networks)"),
            Self::Subnet => (13, "with a network of overlapping addresses"),
            Self::Port(PublishedPort { host_port, protocol, .. }) => {
                return (14, format!("with port {host_port}/{protocol} in use").into());
            }
            Self::PortRange(ports, protocol) => {
                return (15, format!("with all ports of {ports}/{protocol} in use").into());
            }
            Self::FreePorts => (16, "with too few free ports"),
            Self::PortAddress(_) => (17, "that do not publish ports on this address"),
            Self::Cpus(_) => (18, "without enough free CPUs"),
            Self::Memory(_) => (19, "without enough free memory"),
            Self::Disk(_) => (20, "without enough free disk"),
        };
        (place, words.into())
    }
}

impl fmt::Display for FilterReason {
    /// The reason as administrators see it, to be read after the host's name.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match *self {
            Self::Cpus(Shortage { needed, free }) => {
                return write!(out, "needs {} CPUs, {} free", decimal(needed), decimal(free));
            }
            Self::Memory(Shortage { needed, free }) => {
                return write!(out, "needs {needed} MiB of memory, {free} free");
            }
            Self::Disk(Shortage { needed, free }) => {
                return write!(out, "needs {needed} GiB of disk, {free} free");
            }
            Self::Port(PublishedPort { host_address, host_port, protocol, .. }) => {
                let address = SocketAddr::new(host_address, host_port);
                return write!(out, "port {address}/{protocol} is in use");
            }
            Self::PortRange(ports, protocol) => {
                return write!(out, "all ports of {ports}/{protocol} are in use");
            }
            Self::PortAddress(own) => {
                return write!(out, "publishes ports on {own} only (ports.address)");
            }
            Self::Down => "down",
            Self::Disabled => "disabled",
            Self::EngineDown => "Docker is not running",
            Self::Zone => "in another availability zone",
            Self::TooOld => "its agent is too old for the requested options",
            Self::Runtime => "does not have the requested runtime",
            Self::Image => "does not have the image, and may not pull it (pull policy `never`)",
            Self::Labels => "does not have the requested labels",
            Self::Affinity => "does not have the containers of the affinity hints",
            Self::AntiAffinity => "has containers of the anti-affinity hints",
            Self::FreePorts => "too few ports are free",
            Self::Volume => "another host has the requested volume",
            Self::Network => "another host has the requested network",
            Self::Networks => "at the limit of networks (scheduler.networks)",
            Self::Subnet => "has a network of overlapping addresses",
        };
        out.write_str(words)
    }
}

/// Thousandths as a decimal number without trailing zeros.
fn decimal(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// No host fits. The message is for tenants, so it names no hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoValidHost {
    pub(crate) reasons: Vec<(HostName, FilterReason)>,
}

impl NoValidHost {
    /// The message for those who may see hosts: the reason of each.
    pub(crate) fn by_host(&self) -> String {
        let named = self.reasons.iter().take(MAX_NAMED);
        let mut words: Vec<String> =
            named.map(|(host, reason)| format!("{host}: {reason}")).collect();
        if let Some(more @ 1..) = self.reasons.len().checked_sub(MAX_NAMED) {
            words.push(format!("and {more} more"));
        }
        format!("{self} {}.", words.join("; "))
    }
}

impl fmt::Display for NoValidHost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reasons.is_empty() {
            return out.write_str("No host has registered yet: start zun-compute on one.");
        }
        let mut counts: BTreeMap<(usize, Cow<'_, str>), usize> = BTreeMap::new();
        for (_host, reason) in &self.reasons {
            *counts.entry(reason.group()).or_default() += 1;
        }
        let words: Vec<String> =
            counts.iter().map(|((_place, group), count)| format!("{count} {group}")).collect();
        write!(out, "0 of {} hosts fit: {}.", self.reasons.len(), words.join(", "))
    }
}
