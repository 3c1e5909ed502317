//! Hosts and agents in the API's responses.

use std::collections::BTreeMap;

use zun_common::api::v1::host::{Host, Service, Stray};
use zun_common::rpc::host::StrayContainer;

use super::ViewContext;
use super::gate::Seen;
use crate::app::services::AGENT;
use crate::app::{Caller, state_reason};
use crate::db::host::{Liveness, Record};

/// A host with its claimed resources and its state.
pub(in crate::http) fn host(
    (record, liveness): &(Record, Liveness),
    (caller, view_context): (&Caller, &ViewContext),
) -> Seen<Host> {
    let state = match liveness {
        Liveness::Up if record.is_recovering() => "recovering",
        Liveness::Up => "up",
        Liveness::NoHeartbeat(_) | Liveness::ClockSetBack | Liveness::Left | Liveness::Forced => {
            "down"
        }
    };
    let usage = &record.used;
    let inventory = record.inventory.clone();
    let reported = |of: fn(&zun_common::rpc::host::Inventory) -> &String| {
        record.inventory.as_ref().map(of).cloned().unwrap_or_default()
    };
    let whole = Host {
        uuid: record.uuid.clone(),
        links: view_context.base.links("hosts", &record.uuid),
        hostname: record.name.to_string(),
        mem_total: record.total.memory.0,
        mem_used: usage.claimed.memory.0,
        total_containers: usage.containers,
        cpus: record.total.cpus.as_f64(),
        cpu_used: usage.claimed.cpus.as_f64(),
        architecture: reported(|inventory| &inventory.architecture),
        os_type: reported(|inventory| &inventory.os_type),
        os: reported(|inventory| &inventory.os),
        kernel_version: reported(|inventory| &inventory.kernel),
        engine: reported(|inventory| &inventory.engine),
        disk_total: inventory.as_ref().map(|inventory| inventory.disk.0).unwrap_or_default(),
        runtimes: inventory
            .as_ref()
            .map(|inventory| inventory.runtimes.clone())
            .unwrap_or_default(),
        labels: inventory.map_or_else(BTreeMap::new, |inventory| inventory.labels),
        disk_used: usage.disk.0,
        disk_quota_supported: false,
        enable_cpu_pinning: false,
        console: record.console.as_ref().map(|console| console.address.clone()),
        state: state.to_owned(),
        state_reason: state_reason(record, *liveness),
        disabled: record.disabled,
        strays: record.strays.iter().map(stray).collect(),
    };
    Seen { whole, reader: view_context.reader(caller) }
}

fn stray(stray: &StrayContainer) -> Stray {
    Stray {
        uuid: stray.container.to_string(),
        name: stray.name.clone(),
        status: stray.status.to_string(),
        cpu: stray.limits.cpus.as_f64(),
        memory: stray.limits.memory.0,
    }
}

/// The agent on a host.
pub(in crate::http) fn service(record: &Record, liveness: Liveness) -> Service {
    let up = liveness == Liveness::Up;
    Service {
        id: record.number,
        host: record.name.to_string(),
        binary: AGENT.to_owned(),
        state: if up { "up" } else { "down" }.to_owned(),
        disabled: record.disabled,
        disabled_reason: record.disabled_reason.clone(),
        forced_down: record.forced_down,
        availability_zone: record.availability_zone().to_owned(),
        console_trouble: record.console_trouble.clone(),
        report_count: record.report_count,
        last_seen_up: Some(record.last_seen),
        created_at: Some(record.created_at),
        updated_at: Some(record.updated_at),
    }
}
