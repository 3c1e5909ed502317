//! Checks the recorded operations of the containers that exist at the end: each has an outcome, and what ran fits the
//! outcomes. An operation that expired or failed ran nothing, unless its message says that it may have.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::{Client, id_of};
use crate::judge::{Expected, Problem, Wrong};

/// Returns what is wrong with the operations. `lines` are those of the witness.
pub async fn problems(
    client: &Client,
    lines: &BTreeMap<String, usize>,
    expected: &Expected,
) -> Vec<Problem> {
    let mut found = Vec::new();
    for row in client.list(usize::MAX).await.unwrap_or_default() {
        let Some(id) = id_of(&row) else { continue };
        let path = format!("/containers/{id}/container_actions");
        let Some(list) = client.get(&path).await else {
            found.push((Wrong::Actions, format!("{id}: its actions cannot be read")));
            continue;
        };
        let mut most = 0;
        for action in list["containerActions"].as_array().into_iter().flatten() {
            let request = action["request_id"].as_str().unwrap_or_default();
            let detail = client.get(&format!("{path}/{request}")).await.unwrap_or_default();
            let result = &detail["containerAction"]["events"][0]["result"];
            if result.is_null() || action["finish_time"].is_null() {
                found.push((Wrong::Actions, format!("{id}: {action} has no outcome")));
            }
            let runs = matches!(action["action"].as_str(), Some("create" | "start" | "reboot"));
            let message = action["message"].as_str().unwrap_or_default();
            let may_have_run = result == "Success"
                || result == "Unknown"
                || message.contains("may have been started");
            most += usize::from(runs && may_have_run);
        }
        if !expected.may_run_again(id) {
            found.extend(too_many_runs(&row, (most, lines)));
        }
    }
    found
}

/// Compares the runs of a container with the operations that may have started it. A policy starts it more often.
fn too_many_runs(row: &Value, (most, lines): (usize, &BTreeMap<String, usize>)) -> Option<Problem> {
    let token = row["labels"]["chaos"].as_str()?;
    let ran = lines.get(&format!("run {token}")).copied().unwrap_or_default();
    let restarts = row["restart_policy"]["Name"] == "always";
    let words = || format!("{}: {ran} runs, at most {most} by its operations", row["uuid"]);
    (ran > most && !restarts).then(|| (Wrong::Actions, words()))
}
