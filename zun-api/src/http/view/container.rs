//! Containers in the API's responses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use zun_common::api::v1::container::{Address, Container, RestartPolicy, ShownHealthcheck};
use zun_common::api::v1::resource::MountField;
use zun_common::resource::{Mount, MountSource, NetworkMode, ResourceKind};
use zun_common::rpc::report::LiveState;
use zun_common::status::Status;

use super::gate::{Reader, Seen};
use super::{ViewContext, detail};
use crate::app::Caller;
use crate::db::container::{FormatVersion, Part, Record, Rendered, Spec};
use crate::http::microversion::Microversion;

/// A container with links.
pub(in crate::http) fn container(
    record: &Record,
    caller: &Caller,
    view_context: &ViewContext,
) -> Seen<Container> {
    let links = view_context.base.links("containers", &record.id.to_string());
    let status_detail = detail::status_detail(record, view_context.now);
    let whole = Container { links, status_detail, ..timeless(record) };
    Seen { whole, reader: view_context.reader(caller) }
}

/// The body of a page of a list, a `ContainerList`. Its containers have no links.
pub(in crate::http) fn containers(
    part: &Part,
    next: Option<&str>,
    caller: &Caller,
    view_context: &ViewContext,
) -> Result<String, serde_json::Error> {
    let reader = view_context.reader(caller);
    let mut body = String::with_capacity(64 + part.containers.len() * 1024);
    body.push_str("{\"containers\":[");
    for (number, listed) in part.containers.iter().enumerate() {
        let old;
        let rendered = if reader.version == Microversion::NEWEST {
            listed.rendered(reader.is_admin, |record| render(record, reader))?
        } else {
            old = render(&listed.record, reader)?;
            &old
        };
        let detail = detail::status_detail(&listed.record, view_context.now);
        body.push_str(if number == 0 { "" } else { "," });
        body.push_str(&rendered.before);
        body.push_str(&serde_json::to_string(&detail)?);
        body.push_str(&rendered.after);
    }
    body.push_str("],\"next\":");
    body.push_str(&serde_json::to_string(&next)?);
    body.push('}');
    Ok(body)
}

/// The container in lists, but for the value of `status_detail`.
fn render(record: &Record, reader: Reader) -> Result<Rendered, serde_json::Error> {
    const KEY: &str = "\"status_detail\":";
    // No string contains the key: JSON escapes its quotation marks. A label can have this name, but not the value null.
    let text = serde_json::to_string(&Seen { whole: timeless(record), reader })?;
    let (before, after) = text.split_once("\"status_detail\":null").unwrap_or((&text, ""));
    Ok(Rendered { before: format!("{before}{KEY}").into(), after: after.into() })
}

/// A container without what depends on the time and on the request: `status_detail` and links.
#[expect(clippy::too_many_lines, reason = "each field has a line, so that none is forgotten")]
fn timeless(record: &Record) -> Container {
    // The engine may have published more than was claimed.
    let published: BTreeSet<_> =
        record.spec.ports.iter().chain(&record.live.ports).copied().collect();
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
        auto_heal,
        read_only,
        stop_signal,
        privileged,
        runtime,
        disk,
        healthcheck,
        options,
        ports: _shown_with_the_engines,
        registry,
        mounts,
        network,
        record: recording,
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
        status_detail: None,
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
        auto_heal,
        restart_policy: restart.map(RestartPolicy::from),
        user,
        read_only,
        stop_signal,
        image_pull_policy: Some(pull),
        image_pull: record.image_pull.clone(),
        image_driver: "docker".to_owned(),
        ports: published.iter().map(|published| published.port).collect(),
        published_ports: published.into_iter().collect(),
        addresses: addresses(&record.live, network.as_ref()),
        health: record.live.health,
        health_output: record.live.health_output.clone(),
        security_groups: None,
        disk: disk.unwrap_or_default().0,
        healthcheck: healthcheck.map(ShownHealthcheck::from),
        privileged: Some(privileged),
        runtime,
        engine_options: options,
        mounts: mounts.into_iter().map(mount).collect(),
        network: network.map(network_name),
        record: recording,
        registry_id: registry.map(|registry| registry.to_string()),
        created_at: Some(record.created_at),
        updated_at: Some(record.updated_at),
        started_at: record.started_at,
        finished_at: record.finished_at,
        run: Some(record.run).filter(|run| *run > 0),
        host: record.host.clone(),
    }
}

/// The addresses, by network, in OpenStack Zun's form. A network of the project has its own name.
fn addresses(live: &LiveState, network: Option<&NetworkMode>) -> BTreeMap<String, Vec<Address>> {
    let address =
        |addr: &IpAddr| Address { addr: *addr, version: if addr.is_ipv4() { 4 } else { 6 } };
    let shown = |name: &String| match network {
        Some(NetworkMode::Named(network))
            if *name == ResourceKind::Network.engine_name(network.id) =>
        {
            network.name.clone()
        }
        Some(_) | None => name.clone(),
    };
    let networks = live.addresses.iter();
    networks.map(|(name, all)| (shown(name), all.iter().map(address).collect())).collect()
}

fn mount(mount: Mount) -> MountField {
    let Mount { source, target: destination, read_only } = mount;
    let (kind, source) = match source {
        MountSource::Volume { id: _, name } => ("volume", Some(name)),
        MountSource::Anonymous => ("volume", None),
        MountSource::File { content: _ } => ("bind", None),
        MountSource::Host { path } => ("host", Some(path)),
    };
    MountField { kind: kind.to_owned(), source, destination, read_only }
}

fn network_name(network: NetworkMode) -> String {
    match network {
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::Named(network) => network.name,
    }
}

/// Returns the reason for the status. If a container ran out of memory, the engine gives no reason.
fn reason(record: &Record) -> Option<String> {
    let ended = !matches!(record.status, Status::Running | Status::Paused);
    let killed = record.oom_killed && ended && record.exit_code != Some(0);
    record.status_reason.clone().or_else(|| killed.then(|| out_of_memory(record)))
}

/// The reason of a run that the kernel ended because the container was out of memory.
pub(super) fn out_of_memory(record: &Record) -> String {
    format!("killed: out of memory (limit {} MiB)", record.spec.resources.memory.0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_text_of_a_list_is_split_at_its_status_detail_whatever_users_write() {
        let mut record = Record::of_spec(Spec::of_image("a", "b"));
        let hostile = r#"","status_detail":null,"x":""#.to_owned();
        record.spec.name.clone_from(&hostile);
        record.spec.labels = [("status_detail".to_owned(), "null".to_owned())].into();
        record.spec.command = Some(vec![hostile.clone(), r#""status_detail":null"#.to_owned()]);
        record.spec.environment = [(hostile.clone(), hostile)].into();
        for is_admin in [false, true] {
            let reader = Reader { version: Microversion::NEWEST, is_admin };
            let Rendered { before, after } = render(&record, reader).expect("text");
            let shown: Value =
                serde_json::from_str(&format!("{before}\"here\"{after}")).expect("JSON");
            let whole = Seen { whole: timeless(&record), reader };
            let mut whole = serde_json::to_value(whole).expect("JSON");
            whole["status_detail"] = json!("here");
            assert_eq!(shown, whole);
        }
    }
}
