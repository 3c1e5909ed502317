//! Checks the cluster: compares the rows, the engines, and what the engines did.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zun_api::simulation::{ContainerRow, OperationRow, Snapshot};
use zun_common::id::{ContainerId, OperationId};
use zun_common::status::Status;
use zun_compute::driver::{ContainerInfo, Inspect as _};

use super::client::SIGNALS;
use super::cluster::Cluster;
use super::engine::{Effect, What};
use crate::history::{Attempt, Outcome, at_most_once};

/// The containers of all engines, with the number of their host.
pub type Real = BTreeMap<ContainerId, Vec<(usize, ContainerInfo)>>;

/// Asks all engines.
pub async fn real(cluster: &Cluster) -> Real {
    let mut real = Real::new();
    for (number, host) in cluster.hosts().iter().enumerate() {
        for one in host.engine.fake().list().await.into_iter().flatten() {
            if let Some(info) = one.info() {
                real.entry(info.container).or_default().push((number, info.clone()));
            }
        }
    }
    real
}

/// Remembers what must never change back.
#[derive(Debug, Default)]
pub struct Watch {
    epochs: BTreeMap<String, i64>,
    deleted: BTreeSet<String>,
    outcomes: BTreeMap<String, Option<String>>,
}

impl Watch {
    /// Returns the problems that must never exist, not even during a storm.
    pub fn problems(&mut self, snapshot: &Snapshot, real: &Real) -> Vec<String> {
        let mut found = claims(snapshot);
        for host in &snapshot.hosts {
            let before = self.epochs.insert(host.name.clone(), host.epoch).unwrap_or_default();
            if host.epoch < before {
                found.push(format!(
                    "the epoch of {} fell from {before} to {}",
                    host.name, host.epoch
                ));
            }
        }
        for row in &snapshot.containers {
            if row.deleted_at.is_some() {
                self.deleted.insert(row.uuid.clone());
            } else if self.deleted.contains(&row.uuid) {
                found.push(format!("{} was deleted and is back", row.uuid));
            }
        }
        for row in &snapshot.operations {
            let before = self.outcomes.insert(row.uuid.clone(), row.outcome.clone()).flatten();
            let was_certain = matches!(before.as_deref(), Some("succeeded" | "failed"));
            if was_certain && before != row.outcome {
                found.push(format!("{} was {before:?} and is {:?}", row.kind, row.outcome));
            }
        }
        found.extend(doubled(real));
        found
    }
}

fn doubled(real: &Real) -> Vec<String> {
    let doubled = real.iter().filter(|(_, on)| on.len() > 1);
    doubled.map(|(id, on)| format!("{id} is on {} hosts", on.len())).collect()
}

/// The totals of each host are the sums of its containers.
fn claims(snapshot: &Snapshot) -> Vec<String> {
    let mut found = Vec::new();
    for host in &snapshot.hosts {
        let held = || {
            let on_host = |row: &&ContainerRow| row.host.as_ref() == Some(&host.name);
            snapshot.containers.iter().filter(on_host).filter(|row| row.claim_held)
        };
        let memory: i64 = held().map(|row| row.memory_mib).sum();
        let cpu: i64 = held().map(|row| row.cpu_millis).sum();
        let count = i64::try_from(held().count()).expect("it fits");
        let used = (host.used_memory_mib, host.used_cpu_millis, host.used_containers);
        if used != (memory, cpu, count) {
            found.push(format!("{} claims {used:?}, not {:?}", host.name, (memory, cpu, count)));
        }
    }
    found.extend(usage(snapshot));
    found
}

/// What each project uses is the sum of its containers.
fn usage(snapshot: &Snapshot) -> Vec<String> {
    let mut found = Vec::new();
    let mut counted = 0;
    for project in &snapshot.projects {
        let there = || {
            let of_project = |row: &&ContainerRow| row.project_id == project.project_id;
            snapshot.containers.iter().filter(of_project).filter(|row| row.gone_at.is_none())
        };
        let held = |amount: fn(&ContainerRow) -> i64| -> i64 {
            there().filter(|row| row.claim_held).map(amount).sum()
        };
        counted += there().count();
        let count = i64::try_from(there().count()).expect("it fits");
        let (cpu, memory) = (held(|row| row.cpu_millis), held(|row| row.memory_mib));
        let right = (count, cpu, memory, held(|row| row.disk_gib));
        let (cpu, memory) = (project.used_cpu_millis, project.used_memory_mib);
        let used = (project.used_containers, cpu, memory, project.used_disk_gib);
        if used != right {
            found.push(format!("project {} uses {used:?}, not {right:?}", project.project_id));
        }
    }
    let all = snapshot.containers.iter().filter(|row| row.gone_at.is_none()).count();
    if counted != all {
        found.push(format!("{all} containers are there, and projects have {counted}"));
    }
    found
}

/// Returns the problems that must be gone once the cluster had time to recover.
pub fn problems(cluster: &Cluster, snapshot: &Snapshot, real: &Real) -> Vec<String> {
    let mut found = claims(snapshot);
    let rows: BTreeMap<ContainerId, &ContainerRow> =
        snapshot.containers.iter().filter_map(|row| Some((row.uuid.parse().ok()?, row))).collect();
    for (id, row) in &rows {
        let on = real.get(id).map(Vec::as_slice).unwrap_or_default();
        let why = container(cluster, row, on).or_else(|| image(cluster, (snapshot, row), on));
        if let Some(why) = why {
            found.push(format!("{id}: {why}; {row:?}, the engine has {on:?}"));
        }
    }
    // A restored database does not know those that were created after its copy was made.
    let may_have_strays = cluster.restores() > 0;
    for id in real.keys().filter(|id| !rows.contains_key(id) && !may_have_strays) {
        found.push(format!("{id} is a stray"));
    }
    let open = snapshot.operations.iter().filter(|row| row.outcome.is_none());
    found.extend(open.map(|row| format!("it is open: {row:?}")));
    found
}

fn container(
    cluster: &Cluster,
    row: &ContainerRow,
    on: &[(usize, ContainerInfo)],
) -> Option<&'static str> {
    if row.deleted_at.is_some() {
        let is_gone = on.is_empty() && row.gone_at.is_some() && !row.claim_held;
        return (!is_gone).then_some("it was deleted");
    }
    if row.task_state.is_some() {
        return Some("a task without an end");
    }
    let Some((number, info)) = on.first() else {
        return (row.status != "Error").then_some("it is lost");
    };
    if cluster.hosts().get(*number).map(|host| host.name.as_str()) != row.host.as_deref() {
        return Some("it is on another host");
    }
    if !row.claim_held {
        return Some("it has no claim");
    }
    if row.auto_remove && info.status.as_str() == "Stopped" && info.started_at.is_some() {
        return Some("it has ended and is not removed");
    }
    let is_right = row.status == info.status.as_str() || is_failed_start(row, info);
    (!is_right).then_some("its status differs")
}

/// The row has the image that the engine has, unless the rebuild that created the container failed later.
fn image(
    cluster: &Cluster,
    (snapshot, row): (&Snapshot, &ContainerRow),
    on: &[(usize, ContainerInfo)],
) -> Option<&'static str> {
    let (number, info) = on.first()?;
    let spec = cluster.hosts().get(*number)?.engine.fake().spec(info.container)?;
    let has_succeeded = |id: OperationId| {
        let of = |row: &&OperationRow| row.uuid == id.to_string();
        let row = snapshot.operations.iter().find(of);
        row.is_some_and(|row| row.outcome.as_deref() == Some("succeeded"))
    };
    // A restored database does not know all rebuilds.
    let is_known = info.rebuild.map_or(cluster.restores() == 0, has_succeeded);
    (is_known && spec.image != row.image).then_some("its image differs")
}

/// A container that could not be started is in error, and the engine has it as created, or as it was before.
fn is_failed_start(row: &ContainerRow, info: &ContainerInfo) -> bool {
    let has_words = row.status == "Error" && row.status_reason.is_some();
    has_words && matches!(info.status, Status::Created | Status::Stopped)
}

/// Compares what the engines did with the operations and with the answers to the clients.
pub fn deeds(cluster: &Cluster, snapshot: &Snapshot, execs: &[Attempt]) -> Vec<String> {
    let mut did: BTreeMap<(String, What), usize> = BTreeMap::new();
    for effect in cluster.hosts().iter().flat_map(|host| host.engine.effects()) {
        *did.entry((effect.container.to_string(), effect.what)).or_default() += 1;
    }
    let deleted = snapshot.containers.iter().filter(|row| row.deleted_at.is_some());
    let deleted: BTreeSet<&str> = deleted.map(|row| row.uuid.as_str()).collect();
    let vanished: BTreeSet<String> = did
        .keys()
        .filter(|(_, what)| *what == What::Vanished)
        .map(|(container, _)| container.clone())
        .collect();
    let was_deleted =
        |container: &String| deleted.contains(container.as_str()) || vanished.contains(container);
    let rebuilds = |container: &str| {
        let of = |row: &&OperationRow| row.container == container && row.kind == "rebuild";
        snapshot.operations.iter().filter(of).count()
    };
    // A restored database has lost operations, and may have lost a delete.
    let was_restored = cluster.restores() > 0;
    let mut found = Vec::new();
    let (mut written, mut ran) = (BTreeMap::new(), BTreeMap::new());
    for ((container, what), count) in did.clone() {
        let of = |row: &&OperationRow| row.container == container;
        let operations = snapshot.operations.iter().filter(of);
        let most = match &what {
            // Docker may create a deleted container late, which is then removed again.
            What::Created | What::Removed if was_deleted(&container) || was_restored => usize::MAX,
            What::Started if was_restored => usize::MAX,
            What::Created | What::Removed | What::Vanished => 1 + rebuilds(&container),
            What::Executed(token) => {
                ran.insert(token.clone(), count);
                1
            }
            What::Signalled(signal) if was_restored => {
                if SIGNALS.contains(&signal.as_str()) {
                    1
                } else {
                    usize::MAX
                }
            }
            What::Started => {
                // One that vanished before its creation was reported is created and started again.
                let created = did.get(&(container.clone(), What::Created)).copied();
                let created = created.filter(|_| vanished.contains(&container)).unwrap_or(0);
                let again = created.saturating_sub(1 + rebuilds(&container));
                operations.filter(|row| starts(row)).count() + again
            }
            What::Signalled(signal) => {
                written.insert(format!("{container} {signal}"), count);
                operations.filter(|row| row.kind == "kill").count()
            }
        };
        if count > most {
            let of = |effect: &Effect| effect.container.to_string() == container;
            let all = cluster.hosts().iter().flat_map(|host| host.engine.effects()).filter(of);
            let order: Vec<_> =
                all.map(|effect| format!("{:?} {:?}", effect.at, effect.what)).collect();
            found.push(format!(
                "{container}: {count} times {what:?}, at most {most}: {}",
                order.join(", ")
            ));
        }
    }
    if !was_restored {
        found.extend(at_most_once(&signals(snapshot), &written).iter().map(ToString::to_string));
    }
    found.extend(at_most_once(execs, &ran).iter().map(ToString::to_string));
    found
}

/// The signals that were to be sent once, with the outcome that the ledger has.
fn signals(snapshot: &Snapshot) -> Vec<Attempt> {
    let mut attempts = BTreeMap::new();
    for row in snapshot.operations.iter().filter(|row| row.kind == "kill") {
        let arguments = row.arguments.as_deref().unwrap_or_default();
        let Some(signal) = SIGNALS.iter().find(|signal| arguments.contains(*signal)) else {
            continue;
        };
        let outcome = match (row.outcome.as_deref(), row.problem.as_deref().unwrap_or_default()) {
            (Some("succeeded"), _) => Outcome::Ran,
            (Some("expired"), _) => Outcome::Refused,
            // The engine may have done it later.
            (Some("failed"), problem) if !problem.contains("engine") => Outcome::Refused,
            (_, _) => Outcome::Unknown,
        };
        let attempt = attempts.entry(format!("{} {signal}", row.container)).or_insert(outcome);
        if *attempt == Outcome::Refused {
            *attempt = outcome;
        }
    }
    let attempt = |(token, outcome)| Attempt { token, outcome, answered: Duration::ZERO };
    attempts.into_iter().map(attempt).collect()
}

/// Whether the operation may have started its container.
fn starts(row: &OperationRow) -> bool {
    let is_certain = row.outcome.as_deref() == Some("expired");
    matches!(row.kind.as_str(), "create" | "start" | "reboot" | "rebuild") && !is_certain
}
