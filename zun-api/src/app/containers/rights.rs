//! The permissions that a new container needs. Options that give access to the host, or take resources from other
//! projects, are restricted.

use zun_common::engine_options::EngineOptions;

use super::{NetworkRequest, NewContainer, SourceRequest};
use crate::app::Permission;

/// The capabilities that Docker gives every container.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Kernel parameters of a container's own IPC namespace. Those of its network begin with `net.`.
const OWN_SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];
/// Log drivers that keep output on the host, or drop it.
const LOCAL_LOG_DRIVERS: [&str; 3] = ["json-file", "local", "none"];
/// Options of these drivers that only limit how much is kept.
const PLAIN_LOG_OPTIONS: [&str; 7] =
    ["compress", "env", "env-regex", "labels", "max-file", "max-size", "tag"];
/// Programs of ordinary users cannot listen on lower ports.
const LOWEST_FREE_PORT: u16 = 1024;
/// Limits with which a process can take priority over others on the host.
const PRIORITIES: [&str; 2] = ["nice", "rtprio"];

/// The permissions that the values of the request need, in the order of the policy's table. Permissions
/// that do not depend on a value are in the field table.
pub(super) fn needed(wanted: &NewContainer) -> Vec<Permission> {
    let options = &wanted.options;
    let needs = [
        (takes_low_port(wanted), Permission::TakeLowPort),
        (mounts_host_path(wanted), Permission::MountHostPath),
        (wanted.network == Some(NetworkRequest::Host), Permission::ShareNetwork),
        (adds_capability(options), Permission::AddCapability),
        (!options.devices.is_empty(), Permission::UseDevice),
        (options.gpus.is_some(), Permission::UseGpu),
        (options.pid_mode.is_some(), Permission::ShareProcesses),
        (options.ipc_mode.as_deref() == Some("host"), Permission::ShareIpc),
        (weakens_security(options), Permission::SecurityOption),
        (options.sysctls.keys().any(|name| !is_own_sysctl(name)), Permission::SetSysctl),
        (sets_priority(options), Permission::SetPriority),
        (wants_more_swap(wanted), Permission::MoreSwap),
        (!options.annotations.is_empty(), Permission::Annotate),
        (logs_elsewhere(options), Permission::ChooseLogDriver),
    ];
    needs
        .into_iter()
        .filter_map(|(is_needed, permission)| is_needed.then_some(permission))
        .collect()
}

fn takes_low_port(wanted: &NewContainer) -> bool {
    let named = wanted.ports.iter().filter_map(|port| port.host_ports);
    named.into_iter().any(|ports| ports.first < LOWEST_FREE_PORT)
}

fn mounts_host_path(wanted: &NewContainer) -> bool {
    wanted.mounts.iter().any(|mount| matches!(mount.source, SourceRequest::Host(_)))
}

fn adds_capability(options: &EngineOptions) -> bool {
    options.cap_add.iter().any(|name| !DEFAULT_CAPABILITIES.contains(&name.as_str()))
}

fn weakens_security(options: &EngineOptions) -> bool {
    options.security_opt.iter().any(|option| option != "no-new-privileges")
}

fn is_own_sysctl(name: &str) -> bool {
    let dotted = name.replace('/', ".");
    dotted.starts_with("net.")
        || dotted.starts_with("fs.mqueue.")
        || OWN_SYSCTLS.contains(&dotted.as_str())
}

fn sets_priority(options: &EngineOptions) -> bool {
    options.ulimits.keys().any(|name| PRIORITIES.contains(&name.as_str()))
}

/// Docker gives a container as much swap as memory.
fn wants_more_swap(wanted: &NewContainer) -> bool {
    let usual = wanted.resources.memory.0.saturating_mul(2);
    wanted
        .options
        .memory_swap
        .is_some_and(|swap| u64::try_from(swap).is_ok_and(|swap| swap > usual) || swap < 0)
}

fn logs_elsewhere(options: &EngineOptions) -> bool {
    let driver = options.log_driver.as_deref();
    driver.is_some_and(|driver| !LOCAL_LOG_DRIVERS.contains(&driver))
        || options.log_opts.keys().any(|name| !PLAIN_LOG_OPTIONS.contains(&name.as_str()))
}
