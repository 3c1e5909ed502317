//! Why hosts do not fit.

use std::collections::BTreeMap;
use std::fmt;

use zun_common::id::HostName;

/// So many hosts are named in a message.
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
    Labels,
    Affinity,
    AntiAffinity,
    Ports,
    PortAddress,
    Volume,
    Network,
    /// It has as many networks as it may have.
    Networks,
    /// It has a network with some of the addresses of the requested one, which it does not have yet.
    Subnet,
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
    pub(crate) const fn for_tenants(self) -> &'static str {
        self.group().1
    }

    /// The place among the filters, and what hosts with this reason are.
    const fn group(self) -> (usize, &'static str) {
        match self {
            Self::Down => (0, "down"),
            Self::Disabled => (1, "disabled"),
            Self::EngineDown => (2, "without a running Docker"),
            Self::Zone => (3, "in other availability zones"),
            Self::TooOld => (4, "with an agent too old for the requested options"),
            Self::Runtime => (5, "without the requested runtime"),
            Self::Labels => (6, "without the requested labels"),
            Self::Affinity => (7, "without the containers of the affinity hints"),
            Self::AntiAffinity => (8, "with containers of the anti-affinity hints"),
            Self::Ports => (9, "with a requested port in use"),
            Self::PortAddress => (10, "that do not publish ports on this address"),
            Self::Volume => (11, "without the requested volume, which another host has"),
            Self::Network => (12, "without the requested network, which another host has"),
            Self::Networks => (13, "at the limit of networks (scheduler.networks)"),
            Self::Subnet => (14, "with a network of overlapping addresses"),
            Self::Cpus(_) => (15, "without enough free CPUs"),
            Self::Memory(_) => (16, "without enough free memory"),
            Self::Disk(_) => (17, "without enough free disk"),
        }
    }
}

impl fmt::Display for FilterReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Cpus(Shortage { needed, free }) => {
                write!(out, "needs {} CPUs, {} free", decimal(needed), decimal(free))
            }
            Self::Memory(Shortage { needed, free }) => {
                write!(out, "needs {needed} MiB of memory, {free} free")
            }
            Self::Disk(Shortage { needed, free }) => {
                write!(out, "needs {needed} GiB of disk, {free} free")
            }
            Self::Down
            | Self::Disabled
            | Self::EngineDown
            | Self::Zone
            | Self::TooOld
            | Self::Runtime
            | Self::Labels
            | Self::Affinity
            | Self::AntiAffinity
            | Self::Ports
            | Self::PortAddress
            | Self::Volume
            | Self::Network
            | Self::Networks
            | Self::Subnet => out.write_str(self.group().1),
        }
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
        let mut counts: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for (_host, reason) in &self.reasons {
            *counts.entry(reason.group()).or_default() += 1;
        }
        let words: Vec<String> =
            counts.iter().map(|((_place, group), count)| format!("{count} {group}")).collect();
        write!(out, "0 of {} hosts fit: {}.", self.reasons.len(), words.join(", "))
    }
}
