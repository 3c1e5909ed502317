//! Creates and removes the engine's network bridge with its packet filter rules.
//!
//! The private dockerd does not manage iptables or forwarding, because all engines of a machine would share its chains.
//! This module adds and removes the rules that the bridge and the engine's networks need. Each carries the engine's mark.
//! Containers on the bridge do not reach each other; those of a network reach each other, and no other network.

use std::path::{Path, PathBuf};

use tracing::warn;

use super::error::{EngineError, at};
use super::network::{self, Network};
use super::run::run;
use super::settings::Layout;
use zun_common::chain;
use zun_compute::driver::docker::INTERNAL;

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
const INTERFACES: &str = "/sys/class/net";
/// The mark of packets that leave the engine's networks, and so get the machine's address. The letters `ZUN`.
const LEAVING: &str = "0x5a554e";

/// The maximum number of bridges, named `zun0`, `zun1`, …
const MAX_BRIDGES: u8 = 100;

/// Creates a bridge with an address, brings it up, and returns its name.
pub(super) fn create(layout: &Layout) -> Result<String, EngineError> {
    let routes = network::taken(&run("ip", &["-4", "route", "show", "table", "all"])?);
    for number in 0..MAX_BRIDGES {
        let name = format!("zun{number}");
        if Path::new(INTERFACES).join(&name).exists() {
            continue;
        }
        let Some(network) = network::choose(number, &routes) else { continue };
        match run("ip", &["link", "add", &name, "type", "bridge"]) {
            // Another engine created the bridge in the meantime: try the next name.
            Err(EngineError::Command { stderr, .. }) if stderr.contains("exists") => {}
            Err(other) => return Err(other),
            Ok(_) => {
                set_up(layout, &name, network)?;
                return Ok(name);
            }
        }
    }
    Err(EngineError::NoFreeNetwork)
}

fn set_up(layout: &Layout, name: &str, network: Network) -> Result<(), EngineError> {
    run("ip", &["link", "set", name, "alias", &layout.mark()])?;
    run("ip", &["address", "add", &network.gateway(), "dev", name])?;
    run("ip", &["link", "set", name, "up"])?;
    if let Err(error) = add_rules(layout, name, network) {
        warn!(error = %chain(&error), "cannot set up NAT: containers on {name} cannot reach other networks");
    }
    Ok(())
}

fn add_rules(layout: &Layout, name: &str, network: Network) -> Result<(), EngineError> {
    // Rules also see the packets that the bridge itself forwards. A kernel without br_netfilter has no such file.
    let filtered = Path::new(INTERFACES).join(name).join("bridge/nf_call_iptables");
    if std::fs::write(&filtered, "1").is_err() {
        warn!("containers on {name} can reach each other: the kernel has no br_netfilter");
    }
    let mark = layout.mark();
    for rule in rules(name, &layout.network_bridges(), network) {
        let words = rule.split(' ').chain(["-m", "comment", "--comment", &mark]);
        run("iptables", &std::iter::once("-w").chain(words).collect::<Vec<_>>())?;
    }
    enable_forwarding(layout)
}

/// The rules for the bridge, and for the bridges of networks, whose names have a common prefix. Each is inserted before
/// the ones above it.
fn rules(bridge: &str, prefix: &str, network: Network) -> Vec<String> {
    const ANSWERS: &str = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
    let forward = |rule: String| format!("-I FORWARD {rule}");
    vec![
        forward(format!("-i {bridge} -j ACCEPT")),
        forward(format!("-o {bridge} {ANSWERS}")),
        forward(format!("-i {prefix}+ -j ACCEPT")),
        forward(format!("-o {prefix}+ {ANSWERS}")),
        forward(format!("-i {bridge} -o {bridge} -j DROP")),
        forward(format!("-i {bridge} -o {prefix}+ -j DROP")),
        forward(format!("-i {prefix}+ -o {bridge} -j DROP")),
        forward(format!("-i {prefix}+ -o {prefix}+ -j DROP")),
        // Internal networks.
        forward(format!("-i {prefix}{INTERNAL}+ -j DROP")),
        forward(format!("-o {prefix}{INTERNAL}+ -j DROP")),
        // Within one network, where the bridge forwards.
        forward(format!("-i {prefix}+ -o {prefix}+ -m physdev --physdev-is-bridged -j ACCEPT")),
        format!("-t nat -A POSTROUTING -s {network} ! -o {bridge} -j MASQUERADE"),
        format!("-t mangle -A FORWARD -i {prefix}+ ! -o {prefix}+ -j MARK --set-mark {LEAVING}"),
        format!("-t nat -A POSTROUTING -m mark --mark {LEAVING} -j MASQUERADE"),
    ]
}

fn enable_forwarding(layout: &Layout) -> Result<(), EngineError> {
    let path = Path::new(FORWARDING);
    let now = std::fs::read_to_string(path).map_err(at("read", path))?;
    if now.trim() == "0" {
        let note = layout.forwarding_was_off();
        std::fs::write(&note, "").map_err(at("write", &note))?;
        std::fs::write(path, "1").map_err(at("write", path))?;
    }
    Ok(())
}

/// Removes everything that [`create`] created and that still exists.
pub(super) fn remove(layout: &Layout) -> Result<(), EngineError> {
    for name in own_interfaces(layout) {
        // If a container was just starting, both ends of its veth pair are still in this namespace.
        for port in ports(&name) {
            delete_port(&port)?;
        }
        run("ip", &["link", "delete", &name])?;
    }
    remove_rules(&layout.mark())?;
    let note = layout.forwarding_was_off();
    if note.exists() {
        // Forwarding stays on if there is any other bridge, because that bridge may need it.
        if !any_bridge() {
            let path = Path::new(FORWARDING);
            std::fs::write(path, "0").map_err(at("write", path))?;
        }
        std::fs::remove_file(&note).map_err(at("remove", &note))?;
    }
    Ok(())
}

fn remove_rules(mark: &str) -> Result<(), EngineError> {
    if super::run::find("iptables").is_none() {
        return Ok(());
    }
    for table in ["filter", "nat", "mangle"] {
        let Ok(rules) = run("iptables", &["-w", "-t", table, "-S"]) else { continue };
        for rule in rules.lines().filter(|rule| rule.contains(mark)) {
            let words: Vec<&str> = rule.split_whitespace().collect();
            let Some(("-A", rest)) = words.split_first().map(|(first, rest)| (*first, rest)) else {
                continue;
            };
            run("iptables", &[&["-w", "-t", table, "-D"][..], rest].concat())?;
        }
    }
    Ok(())
}

fn interfaces() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(INTERFACES) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// The marked bridge, and the bridges of the engine's networks, which dockerd creates.
fn own_interfaces(layout: &Layout) -> Vec<String> {
    let (mark, prefix) = (layout.mark(), layout.network_bridges());
    let own = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.to_owned();
        let alias = std::fs::read_to_string(path.join("ifalias")).unwrap_or_default();
        (alias.trim() == mark || name.starts_with(&prefix)).then_some(name)
    };
    interfaces().into_iter().filter_map(own).collect()
}

/// Returns the interfaces of a bridge.
fn ports(bridge: &str) -> Vec<String> {
    let directory = Path::new(INTERFACES).join(bridge).join("brif");
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// Deletes an interface. Succeeds if the kernel has already removed it together with the other end of the pair.
fn delete_port(port: &str) -> Result<(), EngineError> {
    let deleted = run("ip", &["link", "delete", port]);
    if Path::new(INTERFACES).join(port).exists() { deleted.map(drop) } else { Ok(()) }
}

fn any_bridge() -> bool {
    interfaces().iter().any(|path| path.join("bridge").is_dir())
}
