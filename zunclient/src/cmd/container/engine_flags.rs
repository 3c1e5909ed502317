//! The options of `run` and `create` that reach the engine: limits, rights, network, health and logs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use clap::Args;
use zun_common::api::v1::container::PortBinding;
use zun_common::api::v1::resource::{MountField, NetField};
use zun_common::engine_options::{Device, EngineOptions, Gpus, Healthcheck, Ulimit};
use zun_common::units::Mebibytes;

use super::container_flags::given;
use super::limits::{gibibytes, seconds, shm, swap, ulimit};
use super::mounts::{Mounts, mounts};
use super::publish::{expose, exposed_ports};
use crate::cmd::Failure;
use crate::exit::Exit;

#[derive(Debug, Args)]
#[command(next_help_heading = "Process")]
pub(super) struct InitFlags {
    /// Run a small init process that reaps zombies and forwards signals
    #[arg(long)]
    init: bool,
    /// Seconds to wait after the stop signal before killing (default 10)
    #[arg(long, value_name = "SECONDS")]
    stop_timeout: Option<u32>,
    /// Additional group of the process, by name or number (repeatable)
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Resources")]
pub(super) struct LimitFlags {
    /// Limit of memory and swap together; -1 is unlimited (default twice the memory)
    #[arg(long, value_name = "SIZE", value_parser = swap, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// CPU weight relative to other containers when the host is busy, 2 to 262144 (default 1024)
    #[arg(short = 'c', long, value_name = "NUMBER")]
    cpu_shares: Option<u32>,
    /// Maximum number of processes; -1 is unlimited
    #[arg(long, value_name = "NUMBER")]
    pids_limit: Option<i64>,
    /// Limit of each process, such as nofile=1024:2048 (repeatable)
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = ulimit)]
    ulimit: Vec<(String, Ulimit)>,
    /// Size of /dev/shm in MiB, or with unit k, m or g (default 64m)
    #[arg(long, value_name = "SIZE", value_parser = shm, allow_hyphen_values = true)]
    shm_size: Option<u64>,
    /// Maximum size of the container's writable layer: size=10g
    #[arg(long, value_name = "size=SIZE", value_parser = gibibytes)]
    storage_opt: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Mounts")]
pub(super) struct MountFlags {
    /// Mount a volume, which is created if it is missing (repeatable)
    #[arg(short, long, value_name = "NAME:DIR[:ro]")]
    volume: Vec<String>,
    /// Mount as type=volume, tmpfs, file or bind, such as type=file,source=./app.conf,target=/etc/app.conf (repeatable)
    #[arg(long, value_name = "type=TYPE,...")]
    mount: Vec<String>,
    /// Temporary file system, such as /run:size=64m (repeatable)
    #[arg(long, value_name = "DIR[:OPTIONS]")]
    tmpfs: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(super) struct NetworkFlags {
    /// Network of the project, or none (default the host's default network)
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// Additional name of the container in the network (repeatable)
    #[arg(long, value_name = "NAME")]
    network_alias: Vec<String>,
    /// IPv4 address in the network, which must have been created with --subnet
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// Publish a port on the host, such as 8080:80 or 80 (repeatable)
    #[arg(short, long, value_name = "[IP:][HOST:]PORT[/udp]")]
    publish: Vec<String>,
    /// Publish each port of the image on a free port of the host
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Port to expose in addition to those of the image, such as 80 or 53/udp, for --publish-all (repeatable)
    #[arg(long, value_name = "PORT[-PORT][/udp]")]
    expose: Vec<String>,
    /// Host name inside the container
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
    /// Domain name inside the container
    #[arg(long, value_name = "NAME")]
    domainname: Option<String>,
    /// Name and address to add to /etc/hosts, also NAME=ADDRESS (repeatable)
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<String>,
    /// DNS server (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<IpAddr>,
    /// DNS search domain (repeatable)
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// Option for /etc/resolv.conf, such as ndots:2 (repeatable)
    #[arg(long, value_name = "OPTION")]
    dns_option: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Health")]
pub(super) struct HealthFlags {
    /// Shell command that exits with 0 if the container is healthy
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,
    /// Time between checks, such as 30s or 1m (default from the image, or 30s)
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    health_interval: Option<u64>,
    /// Time that a check may take (default from the image, or 30s)
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    health_timeout: Option<u64>,
    /// Failures in a row that make it unhealthy (default from the image, or 3)
    #[arg(long, value_name = "NUMBER")]
    health_retries: Option<u64>,
    /// Time after the start in which failures do not count (default from the image, or 0s)
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    health_start_period: Option<u64>,
    /// Disable the image's health check
    #[arg(
        long,
        conflicts_with_all = ["health_cmd", "health_interval", "health_timeout", "health_retries", "health_start_period"]
    )]
    no_healthcheck: bool,
    /// Restart the container when it becomes unhealthy
    #[arg(long)]
    auto_heal: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Logs")]
pub(super) struct LogFlags {
    /// Where the engine writes output: json-file, local or none
    #[arg(long, value_name = "DRIVER")]
    log_driver: Option<String>,
    /// Option of the log driver, such as max-size=10m (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    log_opt: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Privileges (most need the operator's permission)")]
pub(super) struct PrivilegeFlags {
    /// Capability to drop, or ALL (repeatable)
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Capability to add, or ALL (repeatable)
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Security option, such as no-new-privileges (repeatable)
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Kernel parameter of the container (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    sysctl: Vec<String>,
    /// Device of the host to add to the container (repeatable)
    #[arg(long, value_name = "PATH[:PATH][:rwm]")]
    device: Vec<String>,
    /// GPUs of the host: all, a number, or device=ID[,ID]
    #[arg(long, value_name = "GPUS")]
    gpus: Option<Gpus>,
    /// Give the container full access to the host (extended privileges)
    #[arg(long)]
    privileged: bool,
    /// PID namespace to use: host
    #[arg(long, value_name = "MODE")]
    pid: Option<String>,
    /// IPC namespace: none, private, shareable or host
    #[arg(long, value_name = "MODE")]
    ipc: Option<String>,
    /// OCI runtime of the host's Docker, such as runsc (default Docker's own)
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
    /// Annotation for the runtime (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Placement")]
pub(super) struct PlatformFlags {
    /// Platform of the image, such as linux/arm64 (default the host's)
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
}

/// All of these options.
#[derive(Debug, Args)]
pub(super) struct EngineFlags {
    #[command(flatten)]
    init: InitFlags,
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    platform: PlatformFlags,
    #[command(flatten)]
    mounts: MountFlags,
    #[command(flatten)]
    network: NetworkFlags,
    #[command(flatten)]
    health: HealthFlags,
    #[command(flatten)]
    logs: LogFlags,
    #[command(flatten)]
    rights: PrivilegeFlags,
}

impl EngineFlags {
    /// The fields of the request that OpenStack Zun's API has no fields for.
    pub(super) fn options(&self) -> Result<EngineOptions, Failure> {
        let Self { init, limits, platform, mounts: _, network, health: _, logs, rights } = self;
        Ok(EngineOptions {
            init: init.init,
            tmpfs: self.all_mounts()?.tmpfs.into_iter().collect(),
            shm_size: limits.shm_size.map(Mebibytes),
            memory_swap: limits.memory_swap,
            cpu_shares: limits.cpu_shares,
            pids_limit: limits.pids_limit,
            ulimits: limits.ulimit.iter().cloned().collect(),
            cap_add: rights.cap_add.clone(),
            cap_drop: rights.cap_drop.clone(),
            security_opt: rights
                .security_opt
                .iter()
                .map(|text| security_option(text))
                .collect::<Result<_, _>>()?,
            group_add: init.group_add.clone(),
            sysctls: pairs("--sysctl", &rights.sysctl)?,
            stop_timeout: init.stop_timeout,
            domainname: given(network.domainname.as_ref()),
            extra_hosts: network.add_host.iter().map(|text| extra_host(text)).collect(),
            dns: network.dns.clone(),
            dns_search: network.dns_search.clone(),
            dns_options: network.dns_option.clone(),
            log_driver: given(logs.log_driver.as_ref()),
            log_opts: pairs("--log-opt", &logs.log_opt)?,
            annotations: pairs("--annotation", &rights.annotation)?,
            devices: rights.device.iter().map(|text| device(text)).collect::<Result<_, _>>()?,
            gpus: rights.gpus.clone(),
            pid_mode: given(rights.pid.as_ref()),
            ipc_mode: given(rights.ipc.as_ref()),
            platform: given(platform.platform.as_ref()),
            publish_all: network.publish_all,
            expose: expose(&network.expose)?,
        })
    }

    /// The health check, if an option asks for one.
    pub(super) fn healthcheck(&self) -> Option<Healthcheck> {
        let health = &self.health;
        let check = Healthcheck {
            cmd: given(health.health_cmd.as_ref()),
            interval: health.health_interval,
            retries: health.health_retries,
            timeout: health.health_timeout,
            start_period: health.health_start_period,
            disable: health.no_healthcheck,
        };
        Some(check).filter(|check| *check != Healthcheck::default())
    }

    pub(super) const fn auto_heal(&self) -> bool {
        self.health.auto_heal
    }

    /// What is mounted.
    pub(super) fn mounts(&self) -> Result<Vec<MountField>, Failure> {
        Ok(self.all_mounts()?.mounts)
    }

    fn all_mounts(&self) -> Result<Mounts, Failure> {
        let MountFlags { volume, mount, tmpfs } = &self.mounts;
        mounts(volume, mount, tmpfs)
    }

    /// The network, if one is requested. `default` and `bridge` are the host's own.
    pub(super) fn nets(&self) -> Result<Vec<NetField>, Failure> {
        let NetworkFlags { network, network_alias, ip, .. } = &self.network;
        if network.len() > 1 {
            let words = "a container has one network: use --network once";
            return Err(Failure::with_exit(words, Exit::ZUN_FAILED));
        }
        let requested = given(network.first());
        if let Some(network) =
            requested.filter(|name| !matches!(name.as_str(), "default" | "bridge"))
        {
            let address = ip.map(|address| address.to_string());
            return Ok(vec![NetField { network, address, aliases: network_alias.clone() }]);
        }
        if ip.is_some() || !network_alias.is_empty() {
            let words = "--ip and --network-alias need --network with a network of the project; create one with `zun network create`";
            return Err(Failure::with_exit(words, Exit::ZUN_FAILED));
        }
        Ok(Vec::new())
    }

    /// The ports to publish.
    pub(super) fn exposed_ports(&self) -> Result<BTreeMap<String, Vec<PortBinding>>, Failure> {
        exposed_ports(&self.network.publish)
    }

    pub(super) fn hostname(&self) -> Option<String> {
        given(self.network.hostname.as_ref())
    }

    /// Maximum size of the container's writable layer in GiB.
    pub(super) const fn disk(&self) -> Option<u64> {
        self.limits.storage_opt
    }

    pub(super) const fn privileged(&self) -> bool {
        self.rights.privileged
    }

    pub(super) fn runtime(&self) -> Option<String> {
        given(self.rights.runtime.as_ref())
    }
}

/// Reads the file of a seccomp profile, as docker does.
fn security_option(text: &str) -> Result<String, Failure> {
    match text.strip_prefix("seccomp=") {
        None | Some("unconfined" | "builtin") => Ok(text.to_owned()),
        Some(file) => {
            std::fs::read_to_string(file).map(|profile| format!("seccomp={profile}")).map_err(
                |cause| Failure::new(format!("cannot read the seccomp profile {file}: {cause}")),
            )
        }
    }
}

fn pairs(flag: &str, given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err(Failure::new(format!("cannot use {flag} `{text}`: use NAME=VALUE"))),
    };
    given.iter().map(pair).collect()
}

/// A second part is either a path or, without a slash, the permissions.
fn device(text: &str) -> Result<Device, Failure> {
    let is_mode = |part: &str| !part.contains('/');
    let (path, container_path, permissions) = match text.split(':').collect::<Vec<_>>()[..] {
        [path] => (path, path, "rwm"),
        [path, mode] if is_mode(mode) => (path, path, mode),
        [path, inside] => (path, inside, "rwm"),
        [path, inside, mode] => (path, inside, mode),
        _ => {
            let words = format!("cannot use --device `{text}`: use PATH[:PATH][:rwm]");
            return Err(Failure::new(words));
        }
    };
    Ok(Device {
        host_path: path.to_owned(),
        container_path: container_path.to_owned(),
        permissions: permissions.to_owned(),
    })
}

/// `NAME:ADDRESS`, which Docker also takes as `NAME=ADDRESS`, and with brackets around the address.
fn extra_host(text: &str) -> String {
    match text.split_once([':', '=']) {
        Some((name, address)) => {
            let inner = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            format!("{name}:{}", inner.unwrap_or(address))
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extra_host_has_dockers_forms() {
        for (given, sent) in [
            ("db:10.0.0.5", "db:10.0.0.5"),
            ("db=10.0.0.5", "db:10.0.0.5"),
            ("db:::1", "db:::1"),
            ("db=[::1]", "db:::1"),
            ("db", "db"),
        ] {
            assert_eq!(extra_host(given), sent);
        }
    }

    #[test]
    fn a_device_has_up_to_three_parts() {
        let parts = |text| {
            let device = device(text).expect("a device");
            (device.host_path, device.container_path, device.permissions)
        };
        let same = |path: &str, inside: &str, mode: &str| {
            (path.to_owned(), inside.to_owned(), mode.to_owned())
        };
        assert_eq!(parts("/dev/a"), same("/dev/a", "/dev/a", "rwm"));
        assert_eq!(parts("/dev/a:r"), same("/dev/a", "/dev/a", "r"));
        assert_eq!(parts("/dev/a:/dev/b"), same("/dev/a", "/dev/b", "rwm"));
        assert_eq!(parts("/dev/a:/dev/b:rw"), same("/dev/a", "/dev/b", "rw"));
        assert!(device("/a:/b:r:w").is_err());
    }
}
