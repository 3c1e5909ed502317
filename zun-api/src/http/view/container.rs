//! Containers in the API's responses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use zun_common::api::v1::container::{Address, Container, RestartPolicy, ShownHealthcheck};
use zun_common::rpc::report::LiveState;
use zun_common::status::Status;

use super::{ViewContext, detail};
use crate::app::Caller;
use crate::db::container::{FormatVersion, Record, Spec};

/// A container with links.
pub(in crate::http) fn container(
    record: &Record,
    caller: &Caller,
    view_context: &ViewContext,
) -> Container {
    let links = view_context.base.links("containers", &record.id.to_string());
    Container { links, ..container_in_list(record, caller, view_context) }
}

/// A container without links, for lists.
#[expect(clippy::too_many_lines, reason = "each field has a line, so that none is forgotten")]
pub(in crate::http) fn container_in_list(
    record: &Record,
    caller: &Caller,
    view_context: &ViewContext,
) -> Container {
    // The engine may have published more than was claimed.
    let published: BTreeSet<_> =
        record.spec.ports.iter().chain(&record.live.ports).copied().collect();
    let is_admin = caller.identity.is_admin();
    let Spec {
        version: FormatVersion,
        name,
        image,
        pull,
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
        ports: _shown_with_the_engines,
        registry,
    } = record.spec.clone();
    Container {
        uuid: record.id,
        links: Vec::new(),
        name,
        project_id: record.project.to_string(),
        user_id: record.user.to_string(),
        image,
        cpu: resources.cpus.as_f64(),
        cpu_policy: "shared".to_owned(),
        memory: resources.memory.0.to_string(),
        command,
        entrypoint,
        status: record.status,
        status_reason: reason(record),
        status_detail: detail::status_detail(record, view_context.now),
        task_state: record.task_state,
        environment,
        workdir,
        hostname,
        labels,
        interactive: console.stdin_open,
        tty: console.tty,
        attached: record.attached,
        exit_code: record.exit_code,
        auto_remove,
        auto_heal: false,
        restart_policy: restart.map(RestartPolicy::from),
        user,
        read_only,
        stop_signal,
        image_pull_policy: Some(pull).filter(|_| is_admin),
        image_pull: record.image_pull.clone(),
        image_driver: "docker".to_owned(),
        ports: published.iter().map(|published| published.port).collect(),
        published_ports: published.into_iter().collect(),
        addresses: addresses(&record.live),
        health: record.live.health,
        security_groups: None,
        disk: disk.unwrap_or_default().0,
        healthcheck: healthcheck.map(ShownHealthcheck::from),
        privileged: Some(privileged).filter(|_| is_admin),
        runtime: runtime.filter(|_| is_admin),
        engine_options: options,
        registry_id: registry.map(|registry| registry.to_string()),
        created_at: Some(record.created_at),
        updated_at: Some(record.updated_at),
        started_at: record.started_at,
        finished_at: record.finished_at,
        run: Some(record.run).filter(|run| *run > 0),
        host: record.host.clone().filter(|_| is_admin),
    }
}

/// The addresses, by network, in OpenStack Zun's form.
fn addresses(live: &LiveState) -> BTreeMap<String, Vec<Address>> {
    let address =
        |addr: &IpAddr| Address { addr: *addr, version: if addr.is_ipv4() { 4 } else { 6 } };
    let networks = live.addresses.iter();
    networks.map(|(name, all)| (name.clone(), all.iter().map(address).collect())).collect()
}

/// Returns the reason for the status. If a container ran out of memory, the engine gives no reason of its own.
fn reason(record: &Record) -> Option<String> {
    let ended = !matches!(record.status, Status::Running | Status::Paused);
    let killed = record.oom_killed && ended && record.exit_code != Some(0);
    record.status_reason.clone().or_else(|| killed.then(|| out_of_memory(record)))
}

/// The reason of a run that the kernel ended because the container was out of memory.
pub(super) fn out_of_memory(record: &Record) -> String {
    format!("killed: out of memory (limit {} MiB)", record.spec.resources.memory.0)
}
