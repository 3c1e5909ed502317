//! Rebuilds: what is accepted, what the host receives, and when the row has the new image.

use serde_json::{Value, json};
use zun_common::bus::CallError;
use zun_common::id::{ContainerId, OperationId};
use zun_common::rpc::host::AssignedContainers;
use zun_common::rpc::operation::{OperationOutcome, Outcome};
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;
use zun_tests::scripted_agent::ScriptedAgent;

use crate::support::{ADMIN, ANN, Api};

/// Reports the outcome of the open operation.
async fn end(agent: &ScriptedAgent, id: ContainerId, outcome: Outcome) {
    end_with(agent, id, |operation| OperationOutcome::new(operation, outcome)).await;
}

async fn end_with(
    agent: &ScriptedAgent,
    id: ContainerId,
    outcome: impl FnOnce(OperationId) -> OperationOutcome,
) {
    let open = agent.heartbeat(|_| {}).await.expect("accepted").operations;
    let [rebuild] = open.try_into().expect("one");
    let ended = outcome(rebuild.id);
    agent.report_with(id, (None, vec![ended])).await.expect("stored");
}

async fn image(api: &Api, id: ContainerId) -> Value {
    api.get(ANN, &format!("/v1/containers/{id}")).await.expect(200).json()["image"].take()
}

async fn is_rebuilding(agent: &ScriptedAgent, id: ContainerId) -> Result<bool, CallError> {
    let call = AssignedContainers { host: agent.host().clone(), epoch: None };
    let assigned = agent.call_api(&call).await?.containers;
    Ok(assigned.iter().any(|one| one.container == id && one.is_rebuilding))
}

#[tokio::test]
async fn the_host_gets_the_same_container_with_another_image_and_the_row_has_it_after_a_success() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api
        .create(
            ANN,
            json!({"image": "cirros", "name": "web", "memory": 64, "exposed_ports": {"80": {}},
                "command": ["sleep", "9"]}),
        )
        .await;
    let created = agent.receives("container.create").await.body["spec"].take();
    agent.report(id, Status::Running, |_| {}).await;
    api.until(id, Status::Running).await;
    assert!(!is_rebuilding(&agent, id).await.unwrap());
    let path = format!("/v1/containers/{id}/rebuild?image=busybox:1.36&image_driver=docker");
    assert_eq!(api.post(ANN, &path, Value::Null).await.expect(202).text, "null");
    let sent = agent.receives("container.rebuild").await.body;
    assert_eq!(sent["was_running"], json!(true));
    let mut expected = created.clone();
    expected["image"] = json!("busybox:1.36");
    assert_eq!(sent["spec"], expected);
    assert!(is_rebuilding(&agent, id).await.unwrap());
    assert_eq!(image(&api, id).await, json!("cirros"), "until the host has done it");
    end(&agent, id, Outcome::Succeeded).await;
    assert_eq!(image(&api, id).await, json!("busybox:1.36"));
    assert!(!is_rebuilding(&agent, id).await.unwrap());
    let soon = chrono::Utc::now().timestamp() + 1;
    let events = api.get(ADMIN, &format!("/v1/events?all_projects=1&since=0&until={soon}")).await;
    assert!(events.text.contains(r#""action":"rebuild""#), "{}", events.text);
    // Without an image, it is the container's own. This one fails, so it keeps its image.
    api.post(ANN, "/v1/containers/web/rebuild", Value::Null).await.expect(202);
    let sent = agent.receives("container.rebuild").await.body;
    assert_eq!(sent["spec"]["image"], json!("busybox:1.36"));
    end(&agent, id, Outcome::Failed(Problem::new(Code::Engine, "it failed"))).await;
    assert_eq!(image(&api, id).await, json!("busybox:1.36"));
    // Here the new container exists, but its process did not start.
    api.post(ANN, "/v1/containers/web/rebuild?image=cirros", Value::Null).await.expect(202);
    agent.receives("container.rebuild").await;
    let failed = Outcome::Failed(Problem::new(Code::Engine, "it failed"));
    end_with(&agent, id, |operation| OperationOutcome {
        has_replaced: true,
        ..OperationOutcome::new(operation, failed)
    })
    .await;
    assert_eq!(image(&api, id).await, json!("cirros"), "what the host has");
    let actions = api.get(ANN, "/v1/containers/web/container_actions").await.json();
    let newest = &actions["containerActions"][0];
    assert_eq!((&newest["action"], &newest["message"]), (&json!("rebuild"), &json!("it failed")));
}

#[tokio::test]
async fn a_rebuild_is_answered_when_the_container_is_shown_as_rebuilding() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "web", Status::Running).await;
    let reporting = async {
        agent.receives("container.rebuild").await;
        let report = agent.state(id, Status::Rebuilding);
        agent.report_with(id, (Some(report), Vec::new())).await.expect("stored");
    };
    let path = format!("/v1/containers/{id}/rebuild");
    let (answer, ()) = tokio::join!(api.post(ANN, &path, Value::Null), reporting);
    answer.expect(202);
    let shown = api.get(ANN, "/v1/containers/web").await.expect(200).json();
    assert_eq!(shown["status"], json!("Rebuilding"));
    let refused = api.post(ANN, "/v1/containers/web/stop", Value::Null).await.refusal();
    assert!(refused.ends_with(&format!("Cannot stop container {id} in Rebuilding state")));
    // Its host has it under another name while it stops.
    agent
        .refuse("container.logs", Problem::new(Code::NotFound, format!("No such container: {id}")));
    let logs = api.get(ANN, "/v1/containers/web/logs").await.refusal();
    assert!(logs.ends_with(&format!("Cannot logs container {id} in Rebuilding state")), "{logs}");
    api.delete(ANN, "/v1/containers/web?stop=true").await.expect(204);
}

#[tokio::test]
async fn a_rebuild_is_refused_with_the_reason_and_changes_nothing() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "busy", Status::Running).await;
    let rebuild = |name: &str| format!("/v1/containers/{name}/rebuild");
    api.post(ANN, "/v1/containers/busy/stop", Value::Null).await.expect(202);
    let answer = api.post(ANN, &rebuild("busy"), Value::Null).await;
    assert_eq!(
        answer.refusal(),
        format!(
            "409 container.invalid-state-exception Cannot rebuild container {id}: another operation on it is open; try \
             again when `zun action list` shows its outcome."
        )
    );
    let job = api.create(ANN, json!({"image": "cirros", "name": "job", "auto_remove": true})).await;
    agent.report(job, Status::Running, |_| {}).await;
    api.until(job, Status::Running).await;
    let answer = api.post(ANN, &rebuild("job"), Value::Null).await;
    assert_eq!(
        answer.refusal(),
        format!(
            "409 container.invalid-state-exception Cannot rebuild container {job}: it is removed when its process ends, so it \
             would be removed before it is rebuilt."
        )
    );
    let paused = api.container(&agent, "paused", Status::Paused).await;
    let answer = api.post(ANN, &rebuild("paused"), Value::Null).await;
    assert!(
        answer.refusal().ends_with(&format!("Cannot rebuild container {paused} in Paused state"))
    );
    api.post(ANN, &format!("{}?image_driver=glance", rebuild("paused")), Value::Null)
        .await
        .expect(501);
    let received = agent.received();
    assert!(received.iter().all(|call| call.method != "container.rebuild"));
}

#[tokio::test]
async fn an_older_agent_is_not_asked_for_a_rebuild() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    api.container(&agent, "web", Status::Running).await;
    for (name, options) in
        [("all", json!({"publish_all": true})), ("more", json!({"expose": ["80"]}))]
    {
        let id = api
            .create(ANN, json!({"image": "cirros", "name": name, "engine_options": options}))
            .await;
        agent.receives_about("container.create", id).await;
        agent.report(id, Status::Running, |_| {}).await;
        api.until(id, Status::Running).await;
    }
    // Version 5 knows rebuilds, and would leave out these options.
    for (protocol, names) in [(4, ["web"].as_slice()), (5, &["all", "more"])] {
        agent.speak(protocol);
        agent.register().await;
        agent.heartbeat(|_| {}).await.expect("accepted");
        for name in names {
            let path = format!("/v1/containers/{name}/rebuild");
            let answer = api.post(ANN, &path, Value::Null).await;
            assert!(answer.refusal().contains("upgrade zun-compute"), "{name}: {}", answer.text);
            answer.expect(501);
        }
    }
    api.post(ANN, "/v1/containers/web/rebuild", Value::Null).await.expect(202);
}
