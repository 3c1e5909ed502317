//! Converts the engine options and the health check to Docker's types. Every struct is destructured, so that the compiler
//! reports a field that is not converted.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HealthConfig, HostConfig,
    HostConfigLogConfig, ResourcesUlimits,
};
use zun_common::engine_options::{Device, EngineOptions, Gpus, Healthcheck, Ulimit};

use super::super::DriverError;
use zun_common::grant::ApiVersion;

/// The oldest API that has annotations. Older ones ignore them.
const ANNOTATIONS_API: ApiVersion = ApiVersion { major: 1, minor: 43 };
const NANOSECONDS: u64 = 1_000_000_000;
const MEBIBYTE: i64 = 1 << 20;

/// Adds the options to a container.
pub(super) fn apply(options: &EngineOptions, body: &mut ContainerCreateBody) {
    let EngineOptions {
        init,
        tmpfs,
        shm_size,
        memory_swap,
        cpu_shares,
        pids_limit,
        ulimits,
        cap_add,
        cap_drop,
        security_opt,
        group_add,
        sysctls,
        stop_timeout,
        domainname,
        extra_hosts,
        dns,
        dns_search,
        dns_options,
        log_driver,
        log_opts,
        annotations,
        devices,
        gpus,
        pid_mode,
        ipc_mode,
        platform: _given_with_the_request,
        publish_all: _done_before_creation,
        expose: _exposed_with_the_published,
    } = options;
    body.stop_timeout = stop_timeout.map(i64::from);
    body.domainname.clone_from(domainname);
    let host = body.host_config.get_or_insert_default();
    host.init = init.then_some(true);
    host.tmpfs = map(tmpfs);
    host.shm_size = shm_size.map(|size| i64::try_from(size.bytes()).unwrap_or(i64::MAX));
    host.memory_swap = memory_swap.map(swap);
    host.cpu_shares = cpu_shares.map(i64::from);
    host.pids_limit = *pids_limit;
    host.ulimits = list(ulimits.iter().map(ulimit));
    host.cap_add = texts(cap_add);
    host.cap_drop = texts(cap_drop);
    host.security_opt = texts(security_opt);
    host.group_add = texts(group_add);
    host.sysctls = map(sysctls);
    host.extra_hosts = texts(extra_hosts);
    host.dns = list(dns.iter().map(IpAddr::to_string));
    host.dns_search = texts(dns_search);
    host.dns_options = texts(dns_options);
    host.log_config = log_config(log_driver.as_ref(), log_opts);
    host.annotations = map(annotations);
    host.devices = list(devices.iter().map(device));
    host.device_requests = gpus.as_ref().map(|gpus| vec![device_request(gpus)]);
    host.pid_mode.clone_from(pid_mode);
    host.ipc_mode.clone_from(ipc_mode);
}

/// Refuses options that this Docker would ignore.
pub(super) fn check(options: &EngineOptions, version: ApiVersion) -> Result<(), DriverError> {
    if options.annotations.is_empty() || version >= ANNOTATIONS_API {
        return Ok(());
    }
    let words = format!(
        "annotations need at least Docker's API {ANNOTATIONS_API} (Docker 24), and this host has {version}"
    );
    Err(DriverError::Invalid { words })
}

/// Converts a health check. Docker's 0 means that the image's value holds.
pub(super) fn healthcheck(check: &Healthcheck) -> HealthConfig {
    let Healthcheck { cmd, interval, retries, timeout, start_period, disable } = check;
    let nanoseconds = |seconds: u64| i64::try_from(seconds.saturating_mul(NANOSECONDS)).ok();
    let test = if *disable {
        Some(vec!["NONE".to_owned()])
    } else {
        cmd.as_ref().map(|cmd| vec!["CMD-SHELL".to_owned(), cmd.clone()])
    };
    HealthConfig {
        test,
        interval: interval.and_then(nanoseconds),
        timeout: timeout.and_then(nanoseconds),
        retries: retries.and_then(|retries| i64::try_from(retries).ok()),
        start_period: start_period.and_then(nanoseconds),
        start_interval: None,
    }
}

/// Converts a sum of memory and swap in MiB to bytes. -1 is unlimited.
fn swap(mebibytes: i64) -> i64 {
    if mebibytes < 0 { -1 } else { mebibytes.saturating_mul(MEBIBYTE) }
}

fn ulimit((name, limit): (&String, &Ulimit)) -> ResourcesUlimits {
    let Ulimit { soft, hard } = *limit;
    ResourcesUlimits { name: Some(name.clone()), soft: Some(soft), hard: Some(hard) }
}

fn device(device: &Device) -> DeviceMapping {
    let Device { host_path, container_path, permissions } = device;
    DeviceMapping {
        path_on_host: Some(host_path.clone()),
        path_in_container: Some(container_path.clone()),
        cgroup_permissions: Some(permissions.clone()),
    }
}

/// Docker's -1 means all.
fn device_request(gpus: &Gpus) -> DeviceRequest {
    let (count, device_ids) = match gpus {
        Gpus::All => (Some(-1), None),
        Gpus::Count(count) => (Some(i64::from(*count)), None),
        Gpus::Devices(ids) => (None, Some(ids.clone())),
    };
    let capabilities = Some(vec![vec!["gpu".to_owned()]]);
    DeviceRequest { count, device_ids, capabilities, ..DeviceRequest::default() }
}

fn log_config(
    driver: Option<&String>,
    options: &BTreeMap<String, String>,
) -> Option<HostConfigLogConfig> {
    if driver.is_none() && options.is_empty() {
        return None;
    }
    Some(HostConfigLogConfig { typ: driver.cloned(), config: map(options) })
}

fn map(pairs: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    let pairs = pairs.iter().map(|(name, value)| (name.clone(), value.clone()));
    Some(pairs.collect()).filter(|pairs: &HashMap<_, _>| !pairs.is_empty())
}

fn texts(texts: &[String]) -> Option<Vec<String>> {
    list(texts.iter().cloned())
}

fn list<T>(items: impl Iterator<Item = T>) -> Option<Vec<T>> {
    Some(items.collect()).filter(|items: &Vec<T>| !items.is_empty())
}

/// The sum of memory and swap after a change of the memory. The usual sum, twice the memory, stays twice the memory;
/// another one stays as it is, but not below the memory.
pub(super) fn changed_swap(host: &HostConfig, memory: i64) -> i64 {
    match (host.memory, host.memory_swap) {
        (_, Some(-1)) => -1,
        (Some(was @ 1..), Some(swap @ 1..)) if swap != was.saturating_mul(2) => swap.max(memory),
        _ => memory.saturating_mul(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_memory_keeps_what_was_said_about_swap() {
        let host = |memory, memory_swap| HostConfig {
            memory: Some(memory),
            memory_swap: Some(memory_swap),
            ..HostConfig::default()
        };
        assert_eq!(changed_swap(&host(64, 128), 100), 200);
        assert_eq!(changed_swap(&host(64, 64), 32), 64);
        assert_eq!(changed_swap(&host(64, 64), 100), 100);
        assert_eq!(changed_swap(&host(64, 100), 80), 100);
        assert_eq!(changed_swap(&host(64, -1), 100), -1);
        assert_eq!(changed_swap(&HostConfig::default(), 100), 200);
    }

    #[test]
    fn gpus_are_requests_for_devices_with_that_capability() {
        let request = |text: &str| device_request(&text.parse().expect("GPUs"));
        assert_eq!(request("all").count, Some(-1));
        assert_eq!(request("2").count, Some(2));
        let two = request("device=0,1");
        assert_eq!((two.count, two.device_ids.map(|ids| ids.len())), (None, Some(2)));
        assert_eq!(two.capabilities, Some(vec![vec!["gpu".to_owned()]]));
    }

    #[test]
    fn a_check_of_health_is_a_shell_command_or_none() {
        let check = Healthcheck {
            cmd: Some("true".to_owned()),
            interval: Some(5),
            ..Healthcheck::default()
        };
        let docker = healthcheck(&check);
        assert_eq!(docker.test, Some(vec!["CMD-SHELL".to_owned(), "true".to_owned()]));
        assert_eq!((docker.interval, docker.timeout), (Some(5_000_000_000), None));
        let off = healthcheck(&Healthcheck { disable: true, ..Healthcheck::default() });
        assert_eq!(off.test, Some(vec!["NONE".to_owned()]));
    }
}
