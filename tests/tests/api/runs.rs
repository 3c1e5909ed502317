//! The runs of a container: what is stored of them, and waiting for their ends.

use chrono::DateTime;
use serde_json::{Value, json};
use zun_common::id::{ContainerId, HostName};
use zun_common::rpc::host::{Assigned, AssignedContainers};
use zun_common::rpc::report::{RunEnd, RunReport};
use zun_common::status::{EndReason, Status};
use zun_tests::scripted_agent::ScriptedAgent;

use crate::support::{ADMIN, ANN, Api, BOB};

/// A run that began at this second.
fn run(number: i64, end: Option<(i64, EndReason)>) -> RunReport {
    let at = DateTime::from_timestamp(number * 10, 0);
    let end = end.map(|(code, reason)| RunEnd {
        at: DateTime::from_timestamp(number * 10 + 5, 0),
        exit_code: Some(code),
        reason,
        message: (reason == EndReason::NotStarted).then(|| "no such file".to_owned()),
    });
    RunReport { number, raw_started: Some(format!("run {number}")), started_at: at, end }
}

async fn reported(agent: &ScriptedAgent, id: ContainerId, status: Status, runs: Vec<RunReport>) {
    agent.report(id, status, |report| report.runs = runs).await;
}

async fn wait(api: &Api, id: ContainerId, body: Value) -> Value {
    let path = format!("/v1/containers/{id}/wait");
    api.post(ANN, &path, body).await.expect(200).json()["run"].take()
}

fn end(run: &Value) -> (Value, Value, Value) {
    (run["number"].clone(), run["exit_code"].clone(), run["reason"].clone())
}

#[tokio::test]
async fn the_end_of_a_run_is_known_while_the_next_one_runs_and_after_the_container_is_removed() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Created).await;
    let (first, ()) = tokio::join!(wait(&api, id, json!({})), async {
        api.until_metric("zun_api_requests_waiting", 1.0).await;
        reported(&agent, id, Status::Running, vec![run(1, None)]).await;
        let runs = vec![run(1, Some((3, EndReason::Restarted))), run(2, None)];
        reported(&agent, id, Status::Running, runs).await;
    });
    assert_eq!(end(&first), (json!(1), json!(3), json!("restarted")));
    assert_eq!(first["started_at"], json!("1970-01-01 00:00:10.000000"));
    assert_eq!(first["finished_at"], json!("1970-01-01 00:00:15.000000"));
    let again = wait(&api, id, json!({"run": 1})).await;
    assert_eq!(again, first);
    let second = wait(&api, id, json!({"timeout": 0})).await;
    assert_eq!(end(&second), (json!(2), json!(null), json!(null)));
    reported(&agent, id, Status::Deleted, vec![run(2, Some((137, EndReason::Removed)))]).await;
    for (number, code, reason) in [(1, 3, "restarted"), (2, 137, "removed")] {
        let ended = wait(&api, id, json!({"run": number})).await;
        assert_eq!(end(&ended), (json!(number), json!(code), json!(reason)));
    }
    let third = wait(&api, id, json!({"run": 3})).await;
    assert_eq!(end(&third), (json!(3), json!(null), json!("removed")), "it never began");
    let path = format!("/v1/containers/{id}/runs");
    let listed = api.get(ANN, &path).await.expect(200).json();
    assert_eq!(listed["runs"][0]["number"], json!(2));
    assert_eq!(listed["runs"][1], first);
}

#[tokio::test]
async fn a_run_that_could_not_begin_ends_the_wait_for_it() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Created).await;
    let failed = vec![run(1, Some((127, EndReason::NotStarted)))];
    reported(&agent, id, Status::Error, failed).await;
    let first = wait(&api, id, json!({"run": 1})).await;
    assert_eq!(end(&first), (json!(1), json!(127), json!("not_started")));
    assert_eq!(first["message"], json!("no such file"));
    // The container can be started again: its error is not that of the next run.
    let second = wait(&api, id, json!({"run": 2, "timeout": 0})).await;
    assert_eq!(end(&second), (json!(2), json!(null), json!(null)));

    let never = api.create(ANN, json!({"image": "cirros"})).await;
    agent
        .report(never, Status::Error, |report| {
            report.status_reason = Some("no such image".to_owned());
            report.engine = None;
        })
        .await;
    let run = wait(&api, never, json!({})).await;
    assert_eq!(end(&run), (json!(1), json!(null), json!("not_started")));
    assert_eq!(run["message"], json!("no such image"));
}

#[tokio::test]
async fn a_run_that_ended_never_runs_again_and_old_runs_are_forgotten() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Created).await;
    reported(&agent, id, Status::Stopped, vec![run(1, Some((9, EndReason::Exited)))]).await;
    reported(&agent, id, Status::Running, vec![run(1, None)]).await;
    let first = wait(&api, id, json!({"run": 1})).await;
    assert_eq!(end(&first), (json!(1), json!(9), json!("exited")));
    let ended = |number| run(number, Some((0, EndReason::Exited)));
    reported(&agent, id, Status::Stopped, (2..=19).map(ended).collect()).await;
    reported(&agent, id, Status::Running, vec![ended(20), run(21, None)]).await;
    let listed = api.get(ANN, &format!("/v1/containers/{id}/runs")).await.expect(200).json();
    let numbers: Vec<_> =
        listed["runs"].as_array().expect("runs").iter().map(|run| run["number"].as_i64()).collect();
    assert_eq!(numbers, (2..=21).rev().map(Some).collect::<Vec<_>>());
    let path = format!("/v1/containers/{id}/wait");
    let forgotten = api.post(ANN, &path, json!({"run": 1})).await;
    forgotten.expect(404);
    api.post(BOB, &path, json!({})).await.expect(404);
    api.post(ANN, &path, json!({"run": 0})).await.expect(400);
}

#[tokio::test]
async fn a_kill_is_explained_when_the_engine_reports_that_memory_was_exhausted() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Created).await;
    let killed = |reason| vec![run(1, Some((137, reason)))];
    reported(&agent, id, Status::Stopped, killed(EndReason::Signal)).await;
    let (explained, ()) = tokio::join!(wait(&api, id, json!({"explain": true})), async {
        api.until_metric("zun_api_requests_waiting", 1.0).await;
        reported(&agent, id, Status::Stopped, killed(EndReason::OutOfMemory)).await;
    });
    assert_eq!(end(&explained), (json!(1), json!(137), json!("out_of_memory")));
    assert_eq!(explained["message"], json!("killed: out of memory (limit 512 MiB)"));
}

#[tokio::test]
async fn a_start_names_the_run_that_it_began() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Created).await;
    let started = api.post(ANN, &format!("/v1/containers/{id}/start"), json!({})).await;
    started.expect(202);
    reported(&agent, id, Status::Running, vec![run(1, None)]).await;
    let path = format!("/v1/containers/{id}/container_actions");
    let actions = api.get(ANN, &path).await.expect(200).json();
    assert_eq!(actions["containerActions"][0]["action"], json!("start"));
    assert_eq!(actions["containerActions"][0]["run"], json!(1));
    assert_eq!(actions["containerActions"][1]["run"], json!(null));
    let shown = api.get(ANN, &format!("/v1/containers/{id}")).await.expect(200).json();
    assert_eq!(shown["run"], json!(1));
}

#[tokio::test]
async fn an_agent_learns_the_newest_run_of_each_container_and_a_lost_host_ends_it() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Created).await;
    let host: HostName = "h1".parse().expect("a name");
    let last = async || {
        let Assigned { containers } = agent
            .call_api(&AssignedContainers { host: host.clone(), epoch: None })
            .await
            .expect("an answer");
        containers.into_iter().find(|one| one.container == id).expect("it").last_run
    };
    assert_eq!(last().await, None);
    let runs = vec![run(1, Some((0, EndReason::Exited))), run(2, None)];
    reported(&agent, id, Status::Running, runs).await;
    let newest = last().await.expect("a run");
    assert_eq!(
        (newest.number, newest.raw_started.as_deref(), newest.has_ended),
        (2, Some("run 2"), false)
    );
    let (lost, ()) = tokio::join!(wait(&api, id, json!({})), async {
        api.until_metric("zun_api_requests_waiting", 1.0).await;
        api.post(ADMIN, "/v1/hosts/h1/replace", json!({})).await.expect(202);
    });
    assert_eq!(end(&lost), (json!(2), json!(null), json!("host_lost")));
}
