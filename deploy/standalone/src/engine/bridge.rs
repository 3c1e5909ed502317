//! Creates and removes the engine's network bridge with its packet filter rules.
//!
//! The private dockerd does not manage iptables or forwarding, because all engines of a machine would share its chains.
//! This module adds and removes the three rules that the bridge needs. Each carries the engine's mark.

use std::path::{Path, PathBuf};

use tracing::warn;

use super::error::{EngineError, at};
use super::network::{self, Network};
use super::run::run;
use super::settings::Layout;
use zun_common::chain;

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
const INTERFACES: &str = "/sys/class/net";

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
    let mark = layout.mark();
    let comment = ["-m", "comment", "--comment", mark.as_str()];
    let network = network.to_string();
    let answers = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"];
    let outward = ["-w", "-I", "FORWARD", "-i", name, "-j", "ACCEPT"];
    let inward = [&["-w", "-I", "FORWARD", "-o", name][..], &answers[..]].concat();
    let masquerade = [
        "-w",
        "-t",
        "nat",
        "-A",
        "POSTROUTING",
        "-s",
        &network,
        "!",
        "-o",
        name,
        "-j",
        "MASQUERADE",
    ];
    for rule in [&outward[..], &inward, &masquerade] {
        run("iptables", &[rule, &comment[..]].concat())?;
    }
    enable_forwarding(layout)
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
    for name in marked_interfaces(&layout.mark()) {
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
    for table in ["filter", "nat"] {
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

fn marked_interfaces(mark: &str) -> Vec<String> {
    interfaces()
        .into_iter()
        .filter(|path| {
            std::fs::read_to_string(path.join("ifalias")).is_ok_and(|alias| alias.trim() == mark)
        })
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect()
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
