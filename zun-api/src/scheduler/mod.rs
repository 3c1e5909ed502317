//! The scheduler: a pure function that selects a host for a container.
//!
//! It filters the hosts (up, enabled, zone, labels, capacity …), then selects the least loaded one, or the most loaded
//! one.

mod reason;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use zun_common::id::HostName;
use zun_common::resource::ResourceKind;
use zun_common::units::{Cpus, Gibibytes, Mebibytes, Resources};

use crate::settings::{PlacementStrategy, SchedulerSettings};
pub(crate) use reason::{FilterReason, NoValidHost, Shortage};

/// The scheduler's view of a host.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate filter")]
pub(crate) struct HostView {
    pub(crate) name: HostName,
    /// Whether its agent is up.
    pub(crate) up: bool,
    /// Whether it accepts new containers.
    pub(crate) enabled: bool,
    /// Whether its engine answers.
    pub(crate) engine_up: bool,
    /// Its total resources.
    pub(crate) total: Resources,
    /// The resources claimed by its containers.
    pub(crate) claimed: Resources,
    /// Its disk in total, and what its containers have claimed of it.
    pub(crate) disk: (Gibibytes, Gibibytes),
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// The labels of the project's containers on it, if hints concern them.
    pub(crate) neighbours: BTreeSet<Label>,
    /// The newest protocol that its agent speaks.
    pub(crate) protocol: u32,
    /// Its availability zone.
    pub(crate) zone: String,
    /// The runtimes of its engine.
    pub(crate) runtimes: Vec<String>,
    /// Why it cannot publish the requested ports; `None` if it can.
    pub(crate) ports: Option<FilterReason>,
    /// A requested resource that another host has.
    pub(crate) lacks: Option<ResourceKind>,
    /// Whether it has the image.
    pub(crate) has_image: bool,
    /// Whether it does not have the image and may not pull it.
    pub(crate) lacks_image: bool,
    /// How many networks without a subnet of their own it would have, if the container brings another one.
    pub(crate) networks: u32,
    /// Whether it has a network with some of the addresses of the one that the container brings.
    pub(crate) has_subnet: bool,
}

/// A label: its name and its value.
pub(crate) type Label = (String, String);

/// Where a container should be, as its creator asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    /// Labels that the host must have.
    pub(crate) labels: BTreeSet<Label>,
    /// Labels of containers of the project that must be on the host.
    pub(crate) affinity: BTreeSet<Label>,
    /// Labels of containers of the project that must not be on the host.
    pub(crate) anti_affinity: BTreeSet<Label>,
}

impl Hints {
    /// Whether the other containers of the project matter.
    pub(crate) fn concern_neighbours(&self) -> bool {
        !self.affinity.is_empty() || !self.anti_affinity.is_empty()
    }
}

/// What a container needs of its host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs<'a> {
    pub(crate) resources: Resources,
    /// The oldest protocol that knows everything that is requested.
    pub(crate) protocol: u32,
    pub(crate) runtime: Option<&'a str>,
    pub(crate) zone: Option<&'a str>,
    pub(crate) disk: Option<Gibibytes>,
    pub(crate) hints: &'a Hints,
    /// Whether the host may pull the image.
    pub(crate) may_pull: bool,
}

/// Selects a host for a container: of those that pass all filters, the least or the most loaded one. A host that has
/// the image is preferred, unless the difference is large.
pub(crate) fn select_host(
    needs: &Needs<'_>,
    hosts: &[HostView],
    settings: &SchedulerSettings,
) -> Result<HostName, NoValidHost> {
    let mut best: Option<(f64, &HostView)> = None;
    let mut reasons = Vec::new();
    for host in hosts {
        match load_with(needs, host, settings) {
            Err(reason) => reasons.push((host.name.clone(), reason)),
            Ok(load) => {
                let weight = match settings.strategy {
                    PlacementStrategy::Spread => load,
                    PlacementStrategy::Pack => -load,
                } - preference(needs, host, settings);
                let better = best.is_none_or(|(least, chosen)| {
                    weight < least || (weight <= least && host.name < chosen.name)
                });
                if better {
                    best = Some((weight, host));
                }
            }
        }
    }
    best.map(|(_weight, host)| host.name.clone()).ok_or(NoValidHost { reasons })
}

/// The bonus, as a difference in load, for a host that has the image. If hosts may not pull the image, the container
/// can start nowhere else.
fn preference(needs: &Needs<'_>, host: &HostView, settings: &SchedulerSettings) -> f64 {
    match (host.has_image, needs.may_pull) {
        (false, _) => 0.0,
        (true, true) => settings.image_preference,
        (true, false) => 2.0,
    }
}

/// The load of each host with the container added, or why the container does not fit.
pub(crate) fn judge_all(
    needs: &Needs<'_>,
    hosts: &[HostView],
    settings: &SchedulerSettings,
) -> Vec<(HostName, Result<f64, FilterReason>)> {
    hosts.iter().map(|host| (host.name.clone(), load_with(needs, host, settings))).collect()
}

/// Returns the load of the host with the container added, from 0 to 1, or why the container does not fit.
fn load_with(
    needs: &Needs<'_>,
    host: &HostView,
    settings: &SchedulerSettings,
) -> Result<f64, FilterReason> {
    let filters = [
        (!host.up, FilterReason::Down),
        (!host.enabled, FilterReason::Disabled),
        (!host.engine_up, FilterReason::EngineDown),
        (needs.zone.is_some_and(|zone| host.zone != zone), FilterReason::Zone),
        (host.protocol < needs.protocol, FilterReason::TooOld),
        (needs.runtime.is_some_and(|runtime| !has_runtime(host, runtime)), FilterReason::Runtime),
        (host.lacks_image, FilterReason::Image),
        (!needs.hints.labels.iter().all(|label| has(&host.labels, label)), FilterReason::Labels),
        (!needs.hints.affinity.is_subset(&host.neighbours), FilterReason::Affinity),
        (!needs.hints.anti_affinity.is_disjoint(&host.neighbours), FilterReason::AntiAffinity),
        (host.lacks == Some(ResourceKind::Volume), FilterReason::Volume),
        (host.lacks == Some(ResourceKind::Network), FilterReason::Network),
        (host.networks > settings.networks, FilterReason::Networks),
        (host.has_subnet, FilterReason::Subnet),
    ];
    if let Some((_, reason)) = filters.into_iter().find(|(is_excluded, _)| *is_excluded) {
        return Err(reason);
    }
    host.ports.map_or(Ok(()), Err)?;
    let Resources { cpus, memory } = needs.resources;
    let cpus = share_cpus(cpus, host, settings).map_err(FilterReason::Cpus)?;
    let memory = share_memory(memory, host, settings).map_err(FilterReason::Memory)?;
    let disk = needs.disk.map_or(Ok(0.0), |disk| share_disk(disk, host, settings));
    Ok(cpus.max(memory).max(disk.map_err(FilterReason::Disk)?))
}

fn has_runtime(host: &HostView, runtime: &str) -> bool {
    host.runtimes.iter().any(|known| known == runtime)
}

fn has(labels: &BTreeMap<String, String>, (name, value): &Label) -> bool {
    labels.get(name) == Some(value)
}

/// Checks whether a container can stay on its host with other limits. Only increases are checked, because a host may
/// already be overcommitted. A disabled host keeps its containers.
pub(crate) fn check_change(
    host: Option<&HostView>,
    (old, new): (Resources, Resources),
    settings: &SchedulerSettings,
) -> Result<(), NoValidHost> {
    let Some(host) = host else { return Err(NoValidHost { reasons: Vec::new() }) };
    let Resources { cpus, memory } = host.claimed;
    let others = Resources {
        cpus: Cpus::from_millis(cpus.millis().saturating_sub(old.cpus.millis())),
        memory: Mebibytes(memory.0.saturating_sub(old.memory.0)),
    };
    let without = HostView { claimed: others, ..host.clone() };
    let cpus = share_cpus(new.cpus, &without, settings).err().filter(|_| new.cpus > old.cpus);
    let memory =
        share_memory(new.memory, &without, settings).err().filter(|_| new.memory > old.memory);
    let reason = match (cpus, memory) {
        _ if !host.up => FilterReason::Down,
        _ if !host.engine_up => FilterReason::EngineDown,
        (Some(shortage), _) => FilterReason::Cpus(shortage),
        (None, Some(shortage)) => FilterReason::Memory(shortage),
        (None, None) => return Ok(()),
    };
    Err(NoValidHost { reasons: vec![(host.name.clone(), reason)] })
}

fn share_cpus(
    needed: Cpus,
    host: &HostView,
    settings: &SchedulerSettings,
) -> Result<f64, Shortage> {
    let [needed, claimed, total] =
        [needed, host.claimed.cpus, host.total.cpus].map(|cpus| u64::from(cpus.millis()));
    share(needed, claimed, (total, settings.cpu_ratio))
}

fn share_memory(
    needed: Mebibytes,
    host: &HostView,
    settings: &SchedulerSettings,
) -> Result<f64, Shortage> {
    share(needed.0, host.claimed.memory.0, (host.total.memory.0, settings.memory_ratio))
}

fn share_disk(
    needed: Gibibytes,
    host: &HostView,
    settings: &SchedulerSettings,
) -> Result<f64, Shortage> {
    let (total, claimed) = host.disk;
    share(needed.0, claimed.0, (total.0, settings.disk_ratio))
}

/// Returns the share of the overcommitted resource that would be claimed. A single container may not request more than
/// the host has, because the engine would refuse it. Claims in the database compare the same numbers.
#[expect(clippy::cast_precision_loss, reason = "no host has 2^52 MiB or thousandths of a CPU")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number in a message, which a cast limits to what it can be"
)]
fn share(needed: u64, claimed: u64, (total, ratio): (u64, f64)) -> Result<f64, Shortage> {
    let offered = total as f64 * ratio;
    let taken = claimed.saturating_add(needed) as f64;
    if needed <= total && taken <= offered {
        return Ok(fraction(taken, offered));
    }
    let free = ((offered - claimed as f64) as u64).min(total);
    Err(Shortage { needed, free })
}

fn fraction(taken: f64, offered: f64) -> f64 {
    if offered > 0.0 { taken / offered } else { 1.0 }
}
