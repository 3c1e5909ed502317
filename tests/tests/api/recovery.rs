//! A database that was restored from an older copy.

use serde_json::{Value, json};
use zun_common::bus::CallError;
use zun_common::id::{Epoch, OperationId};
use zun_common::rpc::Code;
use zun_common::rpc::operation::{Change, Operation};
use zun_common::status::Status;
use zun_tests::scripted_agent::ScriptedAgent;

use crate::support::{ADMIN, ANN, Api, eventually_some};

async fn open(agent: &ScriptedAgent) -> Vec<Operation> {
    agent.heartbeat(|_| {}).await.expect("accepted").operations
}

async fn state(api: &Api) -> Value {
    api.get(ADMIN, "/v1/hosts/h1").await.expect(200).json()
}

fn has_received(agent: &ScriptedAgent, method: &str) -> bool {
    agent.received().iter().any(|call| call.method == method)
}

/// Its agent knows a thousand operations and some epochs that the database does not.
async fn recovering(api: &Api) -> ScriptedAgent {
    let agent = api.agent("h1").await;
    let epoch = Epoch(agent.epoch().0 + 4);
    agent.remember(epoch, 1000);
    agent.register().await;
    assert!(agent.epoch() > epoch, "an epoch is never given twice");
    agent
}

#[tokio::test]
async fn a_host_that_knows_more_than_the_database_carries_out_nothing_until_it_is_recovered() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let [kept, deleted] = ["kept", "deleted"];
    let kept = api.container(&agent, kept, Status::Running).await;
    let deleted = api.container(&agent, deleted, Status::Running).await;
    agent.ignore_nudges();
    api.post(ANN, &format!("/v1/containers/{kept}/stop"), Value::Null).await.expect(202);
    agent.remember(Epoch(agent.epoch().0 + 4), 1000);
    agent.register().await;
    assert_eq!(open(&agent).await, [], "what was accepted before is held");
    let shown = state(&api).await;
    assert_eq!(shown["state"], "recovering");
    let reason = shown["state_reason"].as_str().expect("a reason");
    assert!(reason.contains("`zun host recover h1`"), "{reason}");
    // It reports.
    agent.report(kept, Status::Stopped, |_| {}).await;
    let path = format!("/v1/containers/{kept}");
    assert_eq!(api.get(ANN, &path).await.json()["status"], "Stopped");
    // Only a removal is accepted, and held.
    let refusal = api.post(ANN, &format!("{path}/start"), Value::Null).await.refusal();
    assert!(
        refusal.starts_with("503 container.host-not-up Host h1 is not available: "),
        "{refusal}"
    );
    api.delete(ANN, &format!("/v1/containers/{deleted}?stop=true")).await.expect(204);
    assert_eq!(open(&agent).await, []);
    assert!(!has_received(&agent, "container.remove"));
    let removal = |operation: &Operation| matches!(operation.change, Change::Delete { .. });
    recover(&api).await;
    let listed = open(&agent).await;
    assert!(listed.iter().any(|one| one.container == deleted && removal(one)), "{listed:?}");
    assert_eq!(state(&api).await["state"], "up");
}

async fn recover(api: &Api) {
    let recover = |token| api.post(token, "/v1/hosts/h1/recover", Value::Null);
    assert!(recover(ANN).await.refusal().starts_with("403 "));
    let missing = api.post(ADMIN, "/v1/hosts/h9/recover", Value::Null).await.refusal();
    assert_eq!(missing, "404 container.requested-host-not-found Host h9 could not be found.");
    recover(ADMIN).await.expect(202);
    recover(ADMIN).await.expect(202);
}

#[tokio::test]
async fn a_recovering_host_gets_no_container_and_later_numbers_that_its_agent_does_not_know() {
    let api = Api::start().await;
    let agent = recovering(&api).await;
    open(&agent).await;
    let refused = api.create(ANN, json!({"image": "cirros", "name": "first"})).await;
    eventually_some("no host fits", || async {
        let shown = api.get(ANN, &format!("/v1/containers/{refused}")).await.json();
        (shown["status"] == "Error").then_some(())
    })
    .await;
    recover(&api).await;
    api.create(ANN, json!({"image": "cirros", "name": "second"})).await;
    agent.receives("container.create").await;
    let [create] = open(&agent).await.try_into().expect("one");
    assert!(create.sequence > 1000, "{create:?}");
}

#[tokio::test]
async fn a_host_with_a_position_in_another_cluster_is_not_recovering() {
    let api = Api::start().await;
    let other = Api::start().await;
    let stranger = other.agent("h1").await;
    stranger.remember(Epoch(1), 1000);
    let agent = api.agent("h1").await;
    agent.remember_as(&stranger);
    agent.register().await;
    open(&agent).await;
    assert_eq!(state(&api).await["state"], "up");
}

/// The database is restored while the agent runs, so its epoch is the same.
async fn noticed(agent: &ScriptedAgent) {
    let epoch = agent.epoch();
    let refused = agent.heartbeat(|_| {}).await.expect_err("the database is older");
    let CallError::Refused { problem, .. } = refused else { panic!("{refused}") };
    assert_eq!(problem.code, Code::StaleEpoch, "{problem}");
    agent.register().await;
    assert!(agent.epoch() > epoch);
    assert_eq!(open(agent).await, [], "what was accepted before is held");
}

#[tokio::test]
async fn a_database_that_is_restored_under_a_running_agent_is_noticed_by_the_next_heartbeat() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.container(&agent, "kept", Status::Running).await;
    agent.remember(agent.epoch(), 1000);
    noticed(&agent).await;
    assert_eq!(state(&api).await["state"], "recovering");
    recover(&api).await;
    open(&agent).await;
    assert_eq!(state(&api).await["state"], "up");
}

#[tokio::test]
async fn a_restored_database_that_has_given_the_agents_number_again_is_noticed() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "kept", Status::Running).await;
    agent.ignore_nudges();
    api.post(ANN, &format!("/v1/containers/{id}/stop"), Value::Null).await.expect(202);
    let [stop] = open(&agent).await.try_into().expect("one");
    agent.remember_operation(stop.sequence, stop.id);
    assert_eq!(open(&agent).await.len(), 1, "the database has this one");
    agent.remember_operation(stop.sequence, OperationId::random());
    noticed(&agent).await;
    recover(&api).await;
    let [held] = open(&agent).await.try_into().expect("one");
    assert_eq!(held.id, stop.id);
}

#[tokio::test]
async fn what_its_host_has_removed_is_not_created_again_by_an_operation_that_is_open() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.create(ANN, json!({"image": "cirros", "name": "test"})).await;
    agent.receives_about("container.create", id).await;
    // The host has carried out a delete that the restored database does not know.
    let removed = agent.state(id, Status::Deleted);
    agent.report_with(id, (Some(removed), Vec::new())).await.expect("stored");
    assert_eq!(open(&agent).await, []);
    let path = format!("/v1/containers/{id}/container_actions");
    let actions = api.get(ANN, &path).await.expect(200).json();
    let message = &actions["containerActions"][0]["message"];
    assert_eq!(*message, json!("Canceled, because a removal was requested."));
}
