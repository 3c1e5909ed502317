//! The ledger: what was accepted stays open until the host has done it, and is shown to users.

use serde_json::{Value, json};
use zun_common::bus::CallError;
use zun_common::pki::signing_request;
use zun_common::rpc::host::AssignedContainers;
use zun_common::rpc::operation::{
    Change, Operation, OperationOutcome, Outcome, PROTOCOL, RegisterAgent,
};
use zun_common::rpc::report::UnknownContainer;
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;
use zun_tests::scripted_agent::{ScriptedAgent, engine_id};

use crate::support::{ADMIN, ANN, Api, BOB, eventually_some};

async fn open(agent: &ScriptedAgent) -> Vec<Operation> {
    agent.heartbeat(|_| {}).await.expect("accepted").operations
}

async fn claimed(api: &Api) -> Value {
    let host = api.get(ADMIN, "/v1/hosts/h1").await.expect(200).json();
    json!([host["total_containers"], host["mem_used"]])
}

#[tokio::test]
async fn a_container_is_deleted_while_its_host_is_down_and_its_host_removes_it_later() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    agent.heartbeat(|heartbeat| heartbeat.leaving = true).await.unwrap();
    api.until_service("h1", "down").await;
    let path = format!("/v1/containers/{id}");
    assert_eq!(api.delete(ANN, &format!("{path}?stop=true")).await.expect(204).text, "");
    api.get(ANN, &path).await.expect(404);
    api.get(ANN, "/v1/containers/test").await.expect(404);
    assert_eq!(api.get(ANN, "/v1/containers").await.json()["containers"], json!([]));
    assert_eq!(claimed(&api).await, json!([1, 512]), "until the host has removed it");
    agent.register().await;
    let open_now = open(&agent).await;
    assert!(matches!(open_now[0].change, Change::Delete { .. }), "{open_now:?}");
    assert!(open_now[0].again, "an earlier agent may have begun it");
    assert_eq!(open_now[0].not_after, None);
    api.create(ANN, json!({"image": "cirros", "name": "test"})).await;
    agent.receives("container.create").await;
    agent.report(id, Status::Deleted, |_| {}).await;
    assert_eq!(claimed(&api).await, json!([1, 512]), "of the new one");
    let waited = api.get(ANN, &format!("{path}?wait_for=Deleted")).await.expect(200).json();
    assert_eq!(waited["status"], json!("Deleted"));
    api.get(BOB, &format!("{path}?wait_for=Deleted")).await.expect(404);
}

#[tokio::test]
async fn no_report_brings_a_deleted_container_back_and_what_a_host_still_has_is_removed_again() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Stopped).await;
    let path = format!("/v1/containers/{id}");
    api.delete(ANN, &path).await.expect(204);
    let [removal] = open(&agent).await.try_into().expect("one");
    agent.report(id, Status::Running, |_| {}).await;
    api.get(ANN, &path).await.expect(404);
    // The host has reported the removal as successful, and yet the container exists.
    let removals = || {
        let removals =
            agent.received().into_iter().filter(|call| call.method == "container.remove");
        removals.count()
    };
    eventually_some("it is removed again", || async { (removals() == 2).then_some(()) }).await;
    let [again] = open(&agent).await.try_into().expect("one");
    assert!(again.sequence > removal.sequence);
    agent.report(id, Status::Deleted, |_| {}).await;
    assert!(open(&agent).await.is_empty());
    // It shows up once more, as a stray.
    let host = "h1".parse().unwrap();
    let stray = UnknownContainer { container: id, host, engine: engine_id(), epoch: None };
    agent.call_api(&stray).await.unwrap();
    eventually_some("it is removed again", || async { (removals() == 3).then_some(()) }).await;
    assert!((api.metric("zun_api_unknown_containers_total").await).abs() < f64::EPSILON);
}

#[tokio::test]
async fn an_agent_cannot_refuse_a_removal() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Error).await;
    agent.refuse("container.remove", Problem::new(Code::NotFound, "No such container"));
    api.delete(ANN, &format!("/v1/containers/{id}")).await.expect(204);
    api.get(ANN, &format!("/v1/containers/{id}")).await.expect(404);
    assert_eq!(open(&agent).await.len(), 1);
}

#[tokio::test]
async fn an_operation_that_the_host_does_not_answer_is_accepted_and_stays_open() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    agent.ignore_nudges();
    api.post(ANN, &format!("/v1/containers/{id}/stop?timeout=3"), Value::Null).await.expect(202);
    let [stop] = open(&agent).await.try_into().expect("one");
    assert_eq!(stop.change, Change::Stop { grace: Some(3) });
    let ended = OperationOutcome::new(stop.id, Outcome::Succeeded);
    agent.report_with(id, (None, vec![ended.clone()])).await.unwrap();
    assert!(open(&agent).await.is_empty());
    // Another host cannot end it, and a second outcome changes nothing.
    let failed = Outcome::Failed(Problem::new(Code::Engine, "it failed"));
    agent
        .report_with(id, (None, vec![OperationOutcome { outcome: failed, ..ended }]))
        .await
        .unwrap();
    let actions = api.get(ANN, &format!("/v1/containers/{id}/container_actions")).await.json();
    assert_eq!(actions["containerActions"][0]["message"], Value::Null);
}

#[tokio::test]
async fn another_host_cannot_end_an_operation() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    api.post(ANN, &format!("/v1/containers/{id}/stop"), Value::Null).await.expect(202);
    let [stop] = open(&agent).await.try_into().expect("one");
    let thief = api.agent("h2").await;
    let forged = OperationOutcome::new(stop.id, Outcome::Succeeded);
    thief.report_with(id, (None, vec![forged])).await.unwrap();
    assert_eq!(open(&agent).await.len(), 1);
}

#[tokio::test]
async fn a_refused_operation_has_failed_and_no_later_agent_does_it() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    agent.refuse("container.pause", Problem::new(Code::Conflict, "not now"));
    let answer = api.post(ANN, &format!("/v1/containers/{id}/pause"), Value::Null).await;
    assert_eq!(answer.refusal(), "409 container.conflict not now");
    agent.register().await;
    assert!(open(&agent).await.is_empty());
}

#[tokio::test]
async fn what_may_only_be_done_once_is_unknown_after_its_agent_died_and_the_rest_is_done_again() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    for verb in ["kill?signal=HUP", "reboot", "stop"] {
        api.post(ANN, &format!("/v1/containers/{id}/{verb}"), Value::Null).await.expect(202);
    }
    assert_eq!(open(&agent).await.len(), 3);
    agent.register().await;
    let [stop] = open(&agent).await.try_into().expect("one");
    assert!(stop.again && matches!(stop.change, Change::Stop { .. }), "{stop:?}");
    let actions = api.get(ANN, &format!("/v1/containers/{id}/container_actions")).await.json();
    let unknown = json!("The host did not report the outcome. It may have been carried out.");
    let message = |index: usize| actions["containerActions"][index]["message"].clone();
    assert_eq!([message(0), message(1), message(2)], [Value::Null, unknown.clone(), unknown]);
}

#[tokio::test]
async fn what_may_have_been_done_once_is_unknown_when_the_container_is_removed() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    for verb in ["kill?signal=HUP", "stop"] {
        api.post(ANN, &format!("/v1/containers/{id}/{verb}"), Value::Null).await.expect(202);
    }
    let killing = open(&agent).await[0].id;
    api.delete(ANN, &format!("/v1/containers/{id}?stop=true")).await.expect(204);
    let path = format!("/v1/containers/{id}/container_actions");
    let messages = || async {
        let actions = api.get(ANN, &path).await.json();
        let message = |index: usize| actions["containerActions"][index]["message"].clone();
        [message(1), message(2)]
    };
    let superseded = json!("Canceled, because a removal was requested.");
    let unknown = json!("The host did not report the outcome. It may have been carried out.");
    assert_eq!(messages().await, [superseded.clone(), unknown]);
    let outcome = OperationOutcome::new(killing, Outcome::Succeeded);
    agent.report_with(id, (None, vec![outcome])).await.expect("stored");
    assert_eq!(messages().await, [superseded, Value::Null], "it was carried out");
}

#[tokio::test]
async fn an_agent_of_a_former_epoch_is_refused() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let former = agent.clone();
    let call = RegisterAgent {
        host: "h1".parse().unwrap(),
        engine_id: "engine of h1".to_owned(),
        protocol: PROTOCOL,
        position: None,
        agent: None,
    };
    former.call_api(&call).await.unwrap();
    let is_stale = |error: CallError| matches!(error, CallError::Refused { problem, .. } if problem.code == Code::StaleEpoch);
    assert!(is_stale(former.heartbeat(|_| {}).await.unwrap_err()));
    assert!(is_stale(former.report_with(id, (None, Vec::new())).await.unwrap_err()));
    let (host, epoch) = (former.host().clone(), Some(former.epoch()));
    let assigned = AssignedContainers { host: host.clone(), epoch };
    assert!(is_stale(former.call_api(&assigned).await.unwrap_err()));
    let stray = UnknownContainer { container: id, host, engine: engine_id(), epoch };
    assert!(is_stale(former.call_api(&stray).await.unwrap_err()));
}

#[tokio::test]
async fn another_engine_is_refused_while_the_host_has_containers() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Stopped).await;
    let other = RegisterAgent {
        host: "h1".parse().unwrap(),
        engine_id: "another engine".to_owned(),
        protocol: PROTOCOL,
        position: None,
        agent: None,
    };
    let CallError::Refused { problem, .. } = agent.call_api(&other).await.unwrap_err() else {
        panic!("not refused");
    };
    assert_eq!(problem.code, Code::Conflict);
    assert!(problem.message.contains("engine of h1"), "{problem}");
    agent.heartbeat(|_| {}).await.expect("the epoch has not changed");
    let replace = |token| api.post(token, "/v1/hosts/h1/replace", Value::Null);
    assert!(replace(ANN).await.refusal().starts_with("403 "));
    let missing = api.post(ADMIN, "/v1/hosts/h9/replace", Value::Null).await.refusal();
    assert_eq!(missing, "404 container.requested-host-not-found Host h9 could not be found.");
    replace(ADMIN).await.expect(202);
    agent.call_api(&other).await.expect("the administrator has confirmed it");
    // Without containers nothing is lost.
    let lost = AssignedContainers { host: "h1".parse().unwrap(), epoch: None };
    assert_eq!(agent.call_api(&lost).await.unwrap().containers[0].container, id);
    agent.register_again().await.expect_err("this is the former engine");
}

#[tokio::test]
async fn a_host_without_containers_may_bring_another_engine() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Stopped).await;
    api.delete(ANN, &format!("/v1/containers/{id}")).await.expect(204);
    agent.report(id, Status::Deleted, |_| {}).await;
    let other = RegisterAgent {
        host: "h1".parse().unwrap(),
        engine_id: "another engine".to_owned(),
        protocol: PROTOCOL,
        position: None,
        agent: None,
    };
    agent.call_api(&other).await.expect("nothing is lost");
}

/// What the actions of a list are, and why they failed.
fn messages(actions: &Value) -> Value {
    let listed = actions["containerActions"].as_array().expect("a list").iter();
    listed.map(|action| json!([action["action"], action["message"]])).collect()
}

#[tokio::test]
async fn operations_are_listed_and_shown_also_of_a_deleted_container() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    agent.refuse("container.pause", Problem::new(Code::Engine, "cannot pause it"));
    api.post(ANN, "/v1/containers/test/pause", Value::Null).await.expect(502);
    let path = format!("/v1/containers/{id}");
    api.delete(ANN, &format!("{path}?stop=true")).await.expect(204);
    let actions = api.get(ANN, &format!("{path}/container_actions")).await.expect(200).json();
    let expected = json!([["delete", null], ["pause", "cannot pause it"], ["create", null]]);
    assert_eq!(messages(&actions), expected);
    let pause = &actions["containerActions"][1];
    assert_eq!(pause["user_id"], json!("ann"));
    assert!(pause["events"].is_null());
    let request = pause["request_id"].as_str().unwrap();
    let shown = api.get(ANN, &format!("{path}/container_actions/{request}")).await.expect(200);
    let shown = shown.json()["containerAction"].clone();
    assert_eq!(shown["events"][0]["result"], json!("Error"));
    assert_eq!(shown["events"][0]["event"], json!("compute_pause"));
    api.get(BOB, &format!("{path}/container_actions")).await.expect(404);
    let missing = api.get(ANN, &format!("{path}/container_actions/req-none")).await.refusal();
    assert_eq!(missing, "404 container.action-not-found Action req-none could not be found.");
}

/// Waits until the actions of a container are these: accesses are recorded after the response.
async fn until_actions(api: &Api, container: &str, expected: &Value) {
    let path = format!("{container}/container_actions");
    let listed = || async {
        let actions = api.get(ANN, &path).await.expect(200).json();
        (messages(&actions) == *expected).then_some(())
    };
    eventually_some(&format!("the actions are {expected}"), listed).await;
}

#[tokio::test]
async fn commands_and_attaches_are_listed_with_who_asked_for_them() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}");
    let execute = format!("{path}/execute?command=id&run=true");
    api.post(ANN, &execute, Value::Null).await.expect(200);
    until_actions(&api, &path, &json!([["execute", null], ["create", null]])).await;
    agent.refuse("exec.run", Problem::new(Code::Engine, "cannot run it"));
    api.post(ANN, &execute, Value::Null).await.refusal();
    agent.refuse("exec.run", Problem::new(Code::Uncertain, "the agent was replaced"));
    api.post(ANN, &execute, Value::Null).await.refusal();
    let unknown = "The host did not report the outcome. It may have been carried out.";
    let expected = json!([
        ["execute", unknown],
        ["execute", "cannot run it"],
        ["execute", null],
        ["create", null]
    ]);
    until_actions(&api, &path, &expected).await;
    let csr = signing_request("client", Vec::new()).unwrap().csr;
    let attach = json!({"csr": csr, "protocols": ["docker.attach"], "mode": "rw"});
    api.post(ANN, &format!("{path}/attach"), attach).await.expect(200);
    let attached = || async {
        let actions = api.get(ANN, &format!("{path}/container_actions")).await.json();
        let newest = actions["containerActions"][0].clone();
        (newest["action"] == "attach").then_some(newest)
    };
    let newest = eventually_some("the attach is listed", attached).await;
    assert_eq!(newest["user_id"], json!("ann"));
    let request = newest["request_id"].as_str().unwrap();
    let shown = api.get(ANN, &format!("{path}/container_actions/{request}")).await.expect(200);
    assert_eq!(shown.json()["containerAction"]["events"][0]["result"], json!("Success"));
}

#[tokio::test]
async fn the_end_of_a_run_with_auto_remove_removes_the_container() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let body = json!({"image": "cirros", "name": "job", "auto_remove": true});
    let id = api.create(ANN, body.clone()).await;
    agent.receives_about("container.create", id).await;
    let path = format!("/v1/containers/{id}");
    let start = chrono::Utc::now();
    let running = |report: &mut zun_common::rpc::report::ContainerReport| {
        report.started_at = Some(start);
    };
    agent.report(id, Status::Running, running).await;
    let wait = format!("{path}?wait_for=Stopped,Deleted&timeout=30");
    let (ended, ()) = tokio::join!(api.get(ANN, &wait), async {
        api.until_metric("zun_api_requests_waiting", 1.0).await;
        agent
            .report(id, Status::Stopped, |report| {
                running(report);
                report.exit_code = Some(3);
            })
            .await;
    });
    assert_eq!(ended.expect(200).json()["exit_code"], json!(3));
    api.get(ANN, &path).await.expect(404);
    let removal = agent.receives_about("container.remove", id).await;
    assert_eq!(removal.body["how"], json!("force"));
    api.create(ANN, body).await;
    agent.report(id, Status::Deleted, running).await;
    let last = api.get(ANN, &wait).await.expect(200).json();
    assert_eq!((&last["status"], &last["exit_code"]), (&json!("Deleted"), &json!(3)));
}

#[tokio::test]
async fn large_operations_come_in_several_lists() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    agent.ignore_nudges();
    let text = "x".repeat(100_000);
    let environment: serde_json::Map<_, _> =
        (0..9).map(|number| (format!("A{number}"), json!(text))).collect();
    for number in 0..7 {
        let name = format!("large-{number}");
        let body = json!({"image": "cirros", "name": name, "cpu": 0.1, "memory": 16, "environment": environment});
        api.create(ANN, body).await;
    }
    let first = agent.heartbeat(|_| {}).await.expect("it fits into a message");
    let listed = first.operations.len();
    assert!((1..7).contains(&listed), "{listed}");
    assert_eq!(first.complete_to, first.operations[listed - 1].sequence);
    let done = |operation: &Operation| OperationOutcome::new(operation.id, Outcome::Succeeded);
    for operation in &first.operations {
        let report = (None, vec![done(operation)]);
        agent.report_with(operation.container, report).await.expect("accepted");
    }
    let second = agent.heartbeat(|_| {}).await.expect("accepted");
    assert_eq!(second.operations.len(), 7 - listed);
    assert_eq!(second.complete_to, second.operations.last().expect("the last").sequence);
}
