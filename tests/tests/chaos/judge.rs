//! Decides whether the system is right: compares the answers that the clients got, what the service shows, and what the
//! engines have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use zun_common::id::ContainerId;
use zun_tests::history::{Answer, Call, Entry};

use crate::client::{Client, id_of};
use crate::engines::{Engines, Real, doubled};
use crate::forgotten::{self, Window};

/// What is wrong. The names are those of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub enum Wrong {
    /// An accepted create whose container is not there, and whose failure is not shown.
    Lost,
    /// An accepted delete whose container is still there, or there again.
    Undone,
    /// A container that exists twice, or an exec or run that happened twice.
    Doubled,
    /// A container in an engine that the service does not know.
    Orphaned,
    /// A status that differs from the engine's state.
    Status,
    /// Claims that are not the sum of the containers, or more than the host has.
    Claims,
    /// A host that is not up, or an engine that does not answer.
    NotUp,
    /// An answer that contradicts the others.
    History,
    /// An exec that was reported as done and did not run, or ran although it was refused.
    Exec,
    /// An operation without an outcome, or with one that does not fit what ran.
    Actions,
}

impl Wrong {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 10] = [
        Self::Lost,
        Self::Undone,
        Self::Doubled,
        Self::Orphaned,
        Self::Status,
        Self::Claims,
        Self::NotUp,
        Self::History,
        Self::Exec,
        Self::Actions,
    ];
}

/// Something that is wrong, with what it is about.
pub type Problem = (Wrong, String);

/// The requests of the run that changed which containers exist.
#[derive(Debug, Default)]
pub struct Expected {
    /// Accepted creates.
    created: BTreeSet<ContainerId>,
    /// Accepted deletes.
    deleted: BTreeSet<ContainerId>,
    /// Deletes that may have been accepted.
    perhaps_deleted: BTreeSet<ContainerId>,
    /// Containers of requests that a restored database has forgotten.
    forgotten: BTreeSet<ContainerId>,
}

impl Expected {
    /// Reads them from a history, of which the database has forgotten some parts.
    pub fn from(history: &[Entry], forgotten: &[Window]) -> Self {
        let containers = forgotten::containers(history, forgotten);
        let mut all = Self { forgotten: containers, ..Self::default() };
        for entry in &forgotten::remembered(history, forgotten) {
            match (&entry.call, &entry.answer) {
                (Call::Create { .. }, Answer::Created(id)) => {
                    all.created.insert(*id);
                }
                (Call::Delete { id }, Answer::Done) => {
                    all.deleted.insert(*id);
                }
                (Call::Delete { id }, Answer::Unknown { .. }) => {
                    all.perhaps_deleted.insert(*id);
                }
                (_, _) => {}
            }
        }
        all
    }

    /// Whether operations of a container may have been forgotten. Nobody knows then how often it was to run.
    pub fn may_run_again(&self, id: ContainerId) -> bool {
        self.forgotten.contains(&id)
    }
}

/// Asks the service and the engines, and returns what is wrong. None if the service did not answer.
pub async fn problems(
    client: &Client,
    engines: &Engines,
    expected: &Expected,
) -> Option<BTreeSet<Problem>> {
    // The engines are asked before and after: a container that changed in between is judged next time.
    let (before, _) = engines.containers().await;
    let rows = client.list(usize::MAX).await?;
    let hosts = client.get("/hosts").await?;
    let services = client.get("/services").await?;
    let (real, silent) = engines.containers().await;
    let mut problems = BTreeSet::new();
    if silent > 0 {
        problems.insert((Wrong::NotUp, format!("{silent} engines do not answer")));
    }
    if before != real {
        problems.insert((Wrong::NotUp, "the engines are still changing".to_owned()));
    }
    for service in services["services"].as_array().into_iter().flatten() {
        if service["state"] != "up" {
            problems.insert((Wrong::NotUp, format!("host {} is not up", service["host"])));
        }
    }
    let rows: BTreeMap<ContainerId, &Value> =
        rows.iter().filter_map(|row| Some((id_of(row)?, row))).collect();
    let claims = claims(&rows, &hosts);
    problems.extend(claims.into_iter().map(|words| (Wrong::Claims, words)));
    for (id, hosts) in doubled(&real) {
        problems.insert((Wrong::Doubled, format!("{id} is on hosts {hosts:?}")));
    }
    let engine: BTreeMap<ContainerId, &Real> = real.iter().map(|one| (one.id, one)).collect();
    let ids: BTreeSet<ContainerId> =
        rows.keys().chain(engine.keys()).chain(&expected.created).copied().collect();
    let strays = strays(&hosts);
    for id in ids {
        let (row, real) = (rows.get(&id).copied(), engine.get(&id).copied());
        // The service cannot know these, but shows them to the administrator.
        if row.is_none() && expected.forgotten.contains(&id) && strays.contains(&id) {
            continue;
        }
        problems.extend(container(expected, id, (row, real)));
    }
    Some(problems)
}

/// Judges one container, by its row and by what its engine has.
fn container(
    expected: &Expected,
    id: ContainerId,
    (row, real): (Option<&Value>, Option<&Real>),
) -> Option<Problem> {
    let status = row.map(|row| row["status"].as_str().unwrap_or_default());
    let state = real.map(|real| real.state.as_str());
    let words = |what: &str| {
        let reason = row.and_then(|row| row["status_reason"].as_str()).unwrap_or_default();
        let host = real.map(|real| real.host);
        let row_host = row.and_then(|row| row["host"].as_str()).unwrap_or_default();
        format!(
            "{id}: {what}; row {status:?} on {row_host:?} {reason:?}, engine {state:?} on {host:?}"
        )
    };
    if expected.deleted.contains(&id) {
        let gone = row.is_none() && real.is_none();
        return (!gone).then(|| (Wrong::Undone, words("it was deleted")));
    }
    let Some(status) = status else {
        if real.is_some() {
            return Some((Wrong::Orphaned, words("no row")));
        }
        let lost = expected.created.contains(&id) && !expected.perhaps_deleted.contains(&id);
        return lost.then(|| (Wrong::Lost, words("it was created")));
    };
    let task = row.map_or(&Value::Null, |row| &row["task_state"]);
    if !task.is_null() {
        return Some((Wrong::Status, words(&format!("task {task} without an end"))));
    }
    match (status, state) {
        ("Error", None | Some("created" | "exited" | "dead")) => None,
        ("Creating", None) => Some((Wrong::Lost, words("it is never created"))),
        (_, None) => Some((Wrong::Lost, words("the engine does not have it"))),
        (status, Some(state)) if status == expected_status(state) => None,
        (_, Some(_)) => Some((Wrong::Status, words("the status differs"))),
    }
}

/// The strays of all hosts.
fn strays(hosts: &Value) -> BTreeSet<ContainerId> {
    let hosts = hosts["hosts"].as_array().into_iter().flatten();
    hosts
        .flat_map(|host| host["strays"].as_array().into_iter().flatten())
        .filter_map(id_of)
        .collect()
}

fn expected_status(state: &str) -> &'static str {
    match state {
        "created" => "Created",
        "running" => "Running",
        "paused" => "Paused",
        "restarting" => "Restarting",
        "exited" => "Stopped",
        "dead" => "Dead",
        _ => "a state that does not last",
    }
}

/// Compares the claims of each host with its containers. A container in `Error` may hold its claim or not.
fn claims(rows: &BTreeMap<ContainerId, &Value>, hosts: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for host in hosts["hosts"].as_array().into_iter().flatten() {
        let (mut least, mut most) = (0, 0);
        for row in rows.values().filter(|row| row["host"] == host["hostname"]) {
            let memory: u64 =
                row["memory"].as_str().and_then(|memory| memory.parse().ok()).unwrap_or_default();
            most += memory;
            least += if row["status"] == "Error" { 0 } else { memory };
        }
        let used = host["mem_used"].as_u64().unwrap_or_default();
        let total = host["mem_total"].as_u64().unwrap_or_default();
        let name = &host["hostname"];
        if !(least..=most).contains(&used) {
            wrong.push(format!("{name}: {used} MiB are claimed, its containers have {least}"));
        }
        if used > total * 3 / 2 {
            wrong.push(format!("{name}: {used} MiB are claimed of {total}"));
        }
    }
    wrong
}
