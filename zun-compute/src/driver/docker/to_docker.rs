//! Converts the driver's types to Docker's. Every struct is destructured, so that the compiler reports a
//! field that is not converted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, ExecConfig, HostConfig, PortBinding, PortMap,
    RestartPolicy as DockerPolicy, RestartPolicyNameEnum,
};
use zun_common::id::ContainerId;
use zun_common::image_name::ImageName;
use zun_common::ports::{ContainerPort, PublishedPort};
use zun_common::recording;
use zun_common::restart::Restart;
use zun_common::rpc::container::{ConsoleSpec, ContainerSpec};
use zun_common::rpc::exec::ExecSpec;
use zun_common::units::{Resources, TerminalSize};

use super::super::DriverError;
use super::attachments;
use super::engine_options;
use super::{
    LABEL_CLUSTER, LABEL_CONTAINER, LABEL_NAME, LABEL_PREFIX, LABEL_PROJECT, LABEL_REBUILD,
    LABEL_RESTART,
};

/// Converts the specification of a container.
#[expect(clippy::too_many_lines, reason = "each field has a line, so that none is forgotten")]
pub(in crate::driver) fn container(
    container: ContainerId,
    spec: &ContainerSpec,
) -> Result<ContainerCreateBody, DriverError> {
    let ContainerSpec {
        cluster,
        rebuild,
        project,
        name,
        image,
        pull: _done_before_creation,
        command,
        entrypoint,
        environment,
        labels,
        workdir,
        hostname,
        user,
        console,
        resources,
        restart,
        auto_remove,
        read_only,
        stop_signal,
        privileged,
        runtime,
        disk,
        healthcheck,
        options,
        ports,
        registry: _used_by_the_pull,
        mounts,
        network,
        record,
    } = spec;
    if *auto_remove && restart.is_some_and(|restart| restart != Restart::No) {
        let words =
            "a container that is removed when its process ends cannot have a restart policy";
        return Err(DriverError::Invalid { words: words.to_owned() });
    }
    let ConsoleSpec { tty, stdin_open, stdin_once, size } = *console;
    let mut all_labels = user_labels(labels)?;
    all_labels.extend([
        (LABEL_CONTAINER.to_owned(), container.to_string()),
        (LABEL_PROJECT.to_owned(), project.to_string()),
        (LABEL_NAME.to_owned(), name.clone()),
    ]);
    all_labels.extend(cluster.iter().map(|id| (LABEL_CLUSTER.to_owned(), id.to_string())));
    all_labels.extend(rebuild.iter().map(|id| (LABEL_REBUILD.to_owned(), id.to_string())));
    all_labels.extend(restart.and_then(restart_label).map(|text| (LABEL_RESTART.to_owned(), text)));
    if !record.is_off() {
        all_labels.insert(recording::LABEL.to_owned(), record.to_string());
    }
    let host = HostConfig {
        restart_policy: restart.map(policy),
        // Never Docker's own: a job that ran and vanished while its agent was down could not be distinguished from one that
        // was never created. zun-api requests the removal with the transaction that stores the end of the run.
        auto_remove: None,
        readonly_rootfs: Some(*read_only),
        console_size: size.map(console_size),
        privileged: Some(*privileged),
        port_bindings: bindings(ports),
        mounts: attachments::mounts(project, mounts),
        network_mode: network.as_ref().map(attachments::network_mode),
        runtime: runtime.clone(),
        storage_opt: disk.map(|size| HashMap::from([("size".to_owned(), format!("{}g", size.0))])),
        ..limits(*resources)
    };
    let mut body = ContainerCreateBody {
        image: Some(image.parse::<ImageName>()?.to_string()),
        cmd: command.clone(),
        entrypoint: entrypoint.as_deref().map(entry_point),
        env: Some(environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(all_labels),
        working_dir: workdir.clone(),
        hostname: hostname.clone(),
        user: user.clone(),
        tty: Some(tty),
        open_stdin: Some(stdin_open),
        stdin_once: Some(stdin_once),
        attach_stdin: Some(stdin_open),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        stop_signal: stop_signal.clone(),
        exposed_ports: exposed(ports, &options.expose),
        networking_config: attachments::endpoint(name, network.as_ref()),
        healthcheck: healthcheck.as_ref().map(engine_options::healthcheck),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    };
    engine_options::apply(options, &mut body);
    Ok(body)
}

/// Detach keys that nobody types: zun has its own, which Docker must not take. Docker holds back the first key until the
/// next one and takes only ASCII characters here, so the first is one that hardly any program uses (ctrl-^).
const NO_DETACH_KEYS: &str = "\u{1e},\u{1f},\u{1e},\u{1f},\u{1e},\u{1f}";

/// Converts the specification of an exec.
pub(in crate::driver) fn exec(spec: &ExecSpec) -> Result<ExecConfig, DriverError> {
    let ExecSpec { command, tty, stdin, environment, user, workdir, privileged, size } = spec;
    if command.is_empty() {
        return Err(DriverError::Invalid { words: "the command must not be empty".to_owned() });
    }
    Ok(ExecConfig {
        attach_stdin: Some(*stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        console_size: size.filter(|_| *tty).map(console_size),
        detach_keys: Some(NO_DETACH_KEYS.to_owned()),
        tty: Some(*tty),
        env: Some(environment.clone()),
        cmd: Some(command.clone()),
        privileged: Some(*privileged),
        user: user.clone(),
        working_dir: workdir.clone(),
    })
}

/// Converts an entrypoint. An empty one must reset the image's entrypoint: Docker expects a list with one empty string.
fn entry_point(words: &[String]) -> Vec<String> {
    if words.is_empty() { vec![String::new()] } else { words.to_vec() }
}

/// Converts to whole seconds, rounded up.
pub(super) fn seconds(grace: Duration) -> i32 {
    let whole = grace.as_secs().saturating_add(u64::from(grace.subsec_nanos() > 0));
    i32::try_from(whole).unwrap_or(i32::MAX)
}

/// Returns the user's labels. Refuses a label with Zun's prefix.
fn user_labels(labels: &BTreeMap<String, String>) -> Result<HashMap<String, String>, DriverError> {
    if let Some(forged) = labels.keys().find(|name| name.starts_with(LABEL_PREFIX)) {
        let words =
            format!("label `{forged}` is not valid: the prefix `{LABEL_PREFIX}` is reserved");
        return Err(DriverError::Invalid { words });
    }
    Ok(labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn policy(restart: Restart) -> DockerPolicy {
    let (name, retries) = match restart {
        Restart::No => (RestartPolicyNameEnum::NO, 0),
        Restart::Always => (RestartPolicyNameEnum::ALWAYS, 0),
        Restart::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, 0),
        Restart::OnFailure { retries } => (RestartPolicyNameEnum::ON_FAILURE, retries),
    };
    DockerPolicy { name: Some(name), maximum_retry_count: Some(retries.into()) }
}

/// The text of [`LABEL_RESTART`] for a policy by which Docker starts a stopped container when it starts itself.
fn restart_label(restart: Restart) -> Option<String> {
    match restart {
        Restart::No | Restart::UnlessStopped => None,
        Restart::Always => Some("always".to_owned()),
        Restart::OnFailure { retries } => Some(format!("on-failure:{retries}")),
    }
}

/// Parses the text of [`LABEL_RESTART`].
pub(super) fn labelled_policy(text: &str) -> Option<DockerPolicy> {
    match text.split_once(':') {
        None if text == "always" => Some(policy(Restart::Always)),
        Some(("on-failure", retries)) => {
            Some(policy(Restart::OnFailure { retries: retries.parse().ok()? }))
        }
        None | Some(_) => None,
    }
}

/// The policy of a stopped container.
pub(super) fn no_restart() -> DockerPolicy {
    policy(Restart::No)
}

/// Converts resource limits. 0 means no limit.
fn limits(Resources { cpus, memory }: Resources) -> HostConfig {
    let nano_cpus = i64::from(cpus.millis()).saturating_mul(1_000_000);
    let bytes = i64::try_from(memory.bytes()).unwrap_or(i64::MAX);
    HostConfig {
        nano_cpus: (nano_cpus > 0).then_some(nano_cpus),
        memory: (bytes > 0).then_some(bytes),
        ..HostConfig::default()
    }
}

/// Converts new resource limits. Docker's `MemorySwap` is the sum of memory and swap.
pub(super) fn update(resources: Resources, before: &HostConfig) -> ContainerUpdateBody {
    let HostConfig { nano_cpus, memory, .. } = limits(resources);
    let memory_swap = memory.map(|memory| engine_options::changed_swap(before, memory));
    ContainerUpdateBody { nano_cpus, memory, memory_swap, ..ContainerUpdateBody::default() }
}

/// The container's sides of published ports, and the ports that are only exposed, such as `80/tcp`.
fn exposed(published: &[PublishedPort], others: &[ContainerPort]) -> Option<Vec<String>> {
    let published = published.iter().map(PublishedPort::inside);
    let ports = published.chain(others.iter().copied());
    let names: BTreeSet<String> = ports.map(|port| port.to_string()).collect();
    Some(names.into_iter().collect()).filter(|names: &Vec<String>| !names.is_empty())
}

/// The host's sides of published ports.
fn bindings(ports: &[PublishedPort]) -> Option<PortMap> {
    let mut all = PortMap::new();
    for published in ports {
        let PublishedPort { port, protocol, host_address, host_port } = published;
        let binding = PortBinding {
            host_ip: Some(host_address.to_string()),
            host_port: Some(host_port.to_string()),
        };
        let bindings = all.entry(format!("{port}/{protocol}")).or_default();
        bindings.get_or_insert_default().push(binding);
    }
    Some(all).filter(|all| !all.is_empty())
}

fn console_size(TerminalSize { rows, columns }: TerminalSize) -> Vec<usize> {
    vec![rows.into(), columns.into()]
}

#[cfg(test)]
mod tests {
    use zun_common::units::{Cpus, Mebibytes};

    use super::*;

    fn spec() -> ContainerSpec {
        ContainerSpec {
            command: Some(vec!["/bin/sh".to_owned()]),
            environment: BTreeMap::from([("A".to_owned(), "b=c".to_owned())]),
            labels: BTreeMap::from([("mine".to_owned(), "yes".to_owned())]),
            console: ConsoleSpec {
                tty: true,
                stdin_open: true,
                stdin_once: false,
                size: Some(TerminalSize { rows: 24, columns: 80 }),
            },
            resources: Resources { cpus: Cpus::from_millis(1500), memory: Mebibytes(64) },
            ..ContainerSpec::of_image("p".parse().expect("a project"), "test", "cirros")
        }
    }

    #[test]
    fn a_specification_is_converted_to_docker() {
        let id = ContainerId::random();
        let body = container(id, &spec()).expect("a good spec");
        assert_eq!(body.image.as_deref(), Some("cirros:latest"));
        assert_eq!(body.env, Some(vec!["A=b=c".to_owned()]));
        assert_eq!(
            (body.tty, body.open_stdin, body.stdin_once),
            (Some(true), Some(true), Some(false))
        );
        let labels = body.labels.expect("labels");
        assert_eq!(labels.get(LABEL_CONTAINER), Some(&id.to_string()));
        assert_eq!(labels.get("mine").map(String::as_str), Some("yes"));
        let host = body.host_config.expect("a host part");
        assert_eq!(host.nano_cpus, Some(1_500_000_000));
        assert_eq!(host.memory, Some(64 << 20));
        assert_eq!(host.console_size, Some(vec![24, 80]));
    }

    #[test]
    fn an_empty_entrypoint_resets_that_of_the_image() {
        let entrypoint = |words: Option<Vec<String>>| {
            let spec = ContainerSpec { entrypoint: words, ..spec() };
            container(ContainerId::random(), &spec).expect("a good spec").entrypoint
        };
        assert_eq!(entrypoint(None), None);
        assert_eq!(entrypoint(Some(Vec::new())), Some(vec![String::new()]));
        assert_eq!(entrypoint(Some(vec!["sh".to_owned()])), Some(vec!["sh".to_owned()]));
    }

    #[test]
    fn a_label_with_the_reserved_prefix_is_refused() {
        let mut forged = spec();
        forged.labels.insert(LABEL_CONTAINER.to_owned(), "x".to_owned());
        let error = container(ContainerId::random(), &forged).expect_err("a forged label");
        assert!(error.to_string().contains("label `zun.container` is not valid"), "{error}");
    }

    #[test]
    fn a_grace_period_is_rounded_up() {
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(3)), 3);
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::MAX), i32::MAX);
    }
}
