//! The scheduler: a pure function that selects a host for a container.
//!
//! It filters the hosts (up, enabled, engine up, CPUs, memory), then selects the least loaded one.

use std::collections::BTreeMap;
use std::fmt;

use zun_common::id::HostName;
use zun_common::units::{Cpus, Mebibytes, Resources};

use crate::settings::SchedulerSettings;

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
    /// The newest protocol that its agent speaks.
    pub(crate) protocol: u32,
    /// The runtimes of its engine.
    pub(crate) runtimes: Vec<String>,
    /// Whether it can publish the requested ports.
    pub(crate) ports: PortsFit,
}

/// Whether a host can publish the ports of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortsFit {
    Fit,
    /// A container has one of them, or too few are free.
    Taken,
    /// It does not publish on the requested address.
    NotThere,
}

/// What a container needs of its host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs<'a> {
    pub(crate) resources: Resources,
    /// The oldest protocol that knows everything that is requested.
    pub(crate) protocol: u32,
    pub(crate) runtime: Option<&'a str>,
}

/// Why a host was filtered out, in the order of the filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FilterReason {
    Down,
    Disabled,
    EngineDown,
    TooOld,
    Runtime,
    Ports,
    PortAddress,
    Cpus,
    Memory,
}

impl FilterReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Disabled => "disabled",
            Self::EngineDown => "without a running Docker",
            Self::TooOld => "with an agent too old for the requested options",
            Self::Runtime => "without the requested runtime",
            Self::Ports => "without these ports free",
            Self::PortAddress => "that do not publish ports on this address",
            Self::Cpus => "without enough free CPUs",
            Self::Memory => "without enough free memory",
        }
    }
}

/// No host fits. The message is for tenants, so it names no hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoValidHost {
    pub(crate) reasons: Vec<(HostName, FilterReason)>,
}

impl fmt::Display for NoValidHost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reasons.is_empty() {
            return out.write_str("No host has ever connected.");
        }
        let mut counts: BTreeMap<FilterReason, usize> = BTreeMap::new();
        for (_host, reason) in &self.reasons {
            *counts.entry(*reason).or_default() += 1;
        }
        let words: Vec<String> =
            counts.iter().map(|(reason, count)| format!("{count} {}", reason.as_str())).collect();
        write!(out, "0 of {} hosts fit: {}.", self.reasons.len(), words.join(", "))
    }
}

/// Selects a host for a container.
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
                let better = best.is_none_or(|(least, chosen)| {
                    load < least || (load <= least && host.name < chosen.name)
                });
                if better {
                    best = Some((load, host));
                }
            }
        }
    }
    best.map(|(_load, host)| host.name.clone()).ok_or(NoValidHost { reasons })
}

/// Returns the load of the host with the container added, from 0 to 1, or why the container does not fit.
fn load_with(
    needs: &Needs<'_>,
    host: &HostView,
    settings: &SchedulerSettings,
) -> Result<f64, FilterReason> {
    if !host.up {
        return Err(FilterReason::Down);
    }
    if !host.enabled {
        return Err(FilterReason::Disabled);
    }
    if !host.engine_up {
        return Err(FilterReason::EngineDown);
    }
    if host.protocol < needs.protocol {
        return Err(FilterReason::TooOld);
    }
    if needs.runtime.is_some_and(|runtime| host.runtimes.iter().all(|known| known != runtime)) {
        return Err(FilterReason::Runtime);
    }
    match host.ports {
        PortsFit::Fit => {}
        PortsFit::Taken => return Err(FilterReason::Ports),
        PortsFit::NotThere => return Err(FilterReason::PortAddress),
    }
    let Resources { cpus, memory } = needs.resources;
    let cpus = share_cpus(cpus, host, settings).ok_or(FilterReason::Cpus)?;
    let memory = share_memory(memory, host, settings).ok_or(FilterReason::Memory)?;
    Ok(cpus.max(memory))
}

/// Checks whether a container can stay on its host with other limits. Only what grows must fit, because a host can offer
/// less than its containers have. A disabled host keeps its containers.
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
    let reason = if !host.up {
        FilterReason::Down
    } else if !host.engine_up {
        FilterReason::EngineDown
    } else if new.cpus > old.cpus && share_cpus(new.cpus, &without, settings).is_none() {
        FilterReason::Cpus
    } else if new.memory > old.memory && share_memory(new.memory, &without, settings).is_none() {
        FilterReason::Memory
    } else {
        return Ok(());
    };
    Err(NoValidHost { reasons: vec![(host.name.clone(), reason)] })
}

fn share_cpus(requested: Cpus, host: &HostView, settings: &SchedulerSettings) -> Option<f64> {
    let [requested, claimed, total] =
        [requested, host.claimed.cpus, host.total.cpus].map(|cpus| u64::from(cpus.millis()));
    share(requested, claimed, (total, settings.cpu_ratio))
}

fn share_memory(
    requested: Mebibytes,
    host: &HostView,
    settings: &SchedulerSettings,
) -> Option<f64> {
    share(requested.0, host.claimed.memory.0, (host.total.memory.0, settings.memory_ratio))
}

/// Returns the share of the overcommitted resource that would be claimed. A single container may not request more than
/// the host has, because the engine would refuse it. Claims in the database compare the same numbers.
#[expect(clippy::cast_precision_loss, reason = "no host has 2^52 MiB or thousandths of a CPU")]
fn share(requested: u64, claimed: u64, (total, ratio): (u64, f64)) -> Option<f64> {
    let offered = total as f64 * ratio;
    let taken = claimed.saturating_add(requested) as f64;
    (requested <= total && taken <= offered).then(|| fraction(taken, offered))
}

fn fraction(taken: f64, offered: f64) -> f64 {
    if offered > 0.0 { taken / offered } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXACT: SchedulerSettings = SchedulerSettings { cpu_ratio: 1.0, memory_ratio: 1.0 };

    fn resources(millis: u32, mib: u64) -> Resources {
        Resources { cpus: Cpus::from_millis(millis), memory: Mebibytes(mib) }
    }

    fn plain(resources: Resources) -> Needs<'static> {
        Needs { resources, protocol: 0, runtime: None }
    }

    fn host(name: &str, total: Resources, claimed: Resources) -> HostView {
        HostView {
            name: name.parse().unwrap(),
            up: true,
            enabled: true,
            engine_up: true,
            total,
            claimed,
            protocol: 3,
            runtimes: vec!["runc".to_owned()],
            ports: PortsFit::Fit,
        }
    }

    #[test]
    fn the_least_loaded_host_is_chosen() {
        let hosts = [
            host("a", resources(4000, 4096), resources(2000, 512)),
            host("b", resources(4000, 4096), resources(1000, 512)),
        ];
        assert_eq!(
            select_host(&plain(resources(1000, 512)), &hosts, &EXACT).unwrap().as_str(),
            "b"
        );
    }

    #[test]
    fn equally_loaded_hosts_are_selected_by_name() {
        let hosts = [
            host("b", resources(4000, 4096), resources(0, 0)),
            host("a", resources(4000, 4096), resources(0, 0)),
        ];
        assert_eq!(
            select_host(&plain(resources(1000, 512)), &hosts, &EXACT).unwrap().as_str(),
            "a"
        );
    }

    #[test]
    fn each_filter_gives_its_reason() {
        let room = resources(4000, 4096);
        let none = resources(0, 0);
        let hosts = [
            HostView { up: false, ..host("a", room, none) },
            HostView { enabled: false, ..host("b", room, none) },
            HostView { engine_up: false, ..host("c", room, none) },
            host("d", resources(500, 4096), none),
            host("e", room, resources(0, 4000)),
            host("f", room, resources(0, 4000)),
        ];
        let refusal = select_host(&plain(resources(1000, 512)), &hosts, &EXACT).unwrap_err();
        insta::assert_snapshot!(refusal, @"0 of 6 hosts fit: 1 down, 1 disabled, 1 without a running Docker, 1 without enough free CPUs, 2 without enough free memory.");
        insta::assert_snapshot!(select_host(&plain(none), &[], &EXACT).unwrap_err(), @"No host has ever connected.");
    }

    #[test]
    fn a_host_knows_the_options_and_has_the_runtime() {
        let room = host("a", resources(4000, 4096), resources(0, 0));
        let old = HostView { protocol: 2, ..room.clone() };
        let needs = Needs { protocol: 3, ..plain(resources(1, 1)) };
        assert!(select_host(&needs, std::slice::from_ref(&room), &EXACT).is_ok());
        let refusal = select_host(&needs, &[old], &EXACT).unwrap_err();
        insta::assert_snapshot!(refusal, @"0 of 1 hosts fit: 1 with an agent too old for the requested options.");
        let needs = |runtime| Needs { runtime: Some(runtime), ..plain(resources(1, 1)) };
        assert!(select_host(&needs("runc"), std::slice::from_ref(&room), &EXACT).is_ok());
        let refusal = select_host(&needs("kata"), &[room], &EXACT).unwrap_err();
        insta::assert_snapshot!(refusal, @"0 of 1 hosts fit: 1 without the requested runtime.");
    }

    #[test]
    fn a_ratio_overcommits_but_one_container_cannot_exceed_the_total() {
        let ratio = SchedulerSettings { cpu_ratio: 2.0, memory_ratio: 1.0 };
        let full = host("a", resources(1000, 4096), resources(1000, 0));
        assert!(
            select_host(&plain(resources(1000, 4)), std::slice::from_ref(&full), &ratio).is_ok()
        );
        assert!(select_host(&plain(resources(1001, 4)), &[full], &ratio).is_err());
    }

    #[test]
    fn a_change_needs_room_only_for_what_grows() {
        // Its inventory has shrunk: it offers less memory than is claimed.
        let shrunk = host("a", resources(4000, 1024), resources(2000, 2048));
        let shrunk = HostView { enabled: false, ..shrunk };
        let change = |old, new| check_change(Some(&shrunk), (old, new), &EXACT);
        let held = resources(1000, 512);
        assert_eq!(change(held, resources(1000, 256)), Ok(()));
        assert_eq!(change(held, resources(3000, 512)), Ok(()));
        let reason = |new| change(held, new).unwrap_err().reasons.remove(0).1;
        assert_eq!(reason(resources(3001, 256)), FilterReason::Cpus);
        assert_eq!(reason(resources(1000, 513)), FilterReason::Memory);
        let down = HostView { up: false, ..shrunk.clone() };
        let mut refusal = check_change(Some(&down), (held, held), &EXACT).unwrap_err();
        assert_eq!(refusal.reasons.remove(0).1, FilterReason::Down);
        assert!(check_change(None, (held, held), &EXACT).is_err());
    }

    fn some_resources() -> impl Strategy<Value = Resources> {
        (0..20_000_u32, 0..20_000_u64).prop_map(|(millis, mib)| resources(millis, mib))
    }

    proptest! {
        #[test]
        fn no_host_is_overcommitted(
            totals in proptest::collection::vec(some_resources(), 0..5),
            requests in proptest::collection::vec(some_resources(), 0..40),
        ) {
            let mut hosts: Vec<HostView> = totals
                .iter()
                .enumerate()
                .map(|(number, total)| host(&format!("h{number}"), *total, resources(0, 0)))
                .collect();
            for requested in requests {
                match select_host(&plain(requested), &hosts, &EXACT) {
                    Ok(name) => {
                        let chosen = hosts.iter_mut().find(|host| host.name == name).unwrap();
                        chosen.claimed.cpus =
                            Cpus::from_millis(chosen.claimed.cpus.millis() + requested.cpus.millis());
                        chosen.claimed.memory.0 += requested.memory.0;
                        prop_assert!(chosen.claimed.cpus <= chosen.total.cpus);
                        prop_assert!(chosen.claimed.memory <= chosen.total.memory);
                    }
                    Err(refusal) => prop_assert_eq!(refusal.reasons.len(), hosts.len()),
                }
            }
        }
    }
}
