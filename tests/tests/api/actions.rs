//! Actions on containers: what each status allows, what reaches the host, and refusals of agents.

use reqwest::Method;
use serde_json::{Value, json};
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;

use crate::support::{ADMIN, ANN, Api, send};

#[tokio::test]
async fn each_action_reaches_the_host_with_its_parameters() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let running = api.container(&agent, "running", Status::Running).await;
    let stopped = api.container(&agent, "stopped", Status::Stopped).await;
    let paused = api.container(&agent, "paused", Status::Paused).await;
    for (id, verb, method, expected) in [
        (stopped, "start", "container.start", json!({"last_start": null})),
        (running, "stop?timeout=3", "container.stop", json!({"grace": 3})),
        (running, "stop", "container.stop", json!({"grace": null})),
        (running, "reboot?timeout=0", "container.reboot", json!({"grace": 0})),
        (running, "pause", "container.pause", json!({})),
        (paused, "unpause", "container.unpause", json!({})),
        (running, "kill?signal=None", "container.kill", json!({"signal": "SIGKILL"})),
        (running, "kill?signal=hup", "container.kill", json!({"signal": "SIGHUP"})),
    ] {
        let answer = api.post(ANN, &format!("/v1/containers/{id}/{verb}"), Value::Null).await;
        let answer = answer.expect(202);
        assert_eq!(answer.text, "null");
        let mut received = agent.receives(method).await.body;
        assert_eq!(received["container"], json!(id));
        received.as_object_mut().unwrap().remove("container");
        assert_eq!(received, expected, "{verb}");
    }
    api.post(ANN, "/v1/containers/running/kill", json!({"signal": "USR1"})).await.expect(202);
    assert_eq!(agent.receives("container.kill").await.body["signal"], json!("SIGUSR1"));
    api.post(ANN, "/v1/containers/running/resize?w=80&h=24", Value::Null).await.expect(200);
    let size = agent.receives("container.resize").await.body["size"].clone();
    assert_eq!(size, json!({"rows": 24, "columns": 80}));
}

#[tokio::test]
async fn an_action_that_the_status_forbids_is_a_conflict_that_names_it() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Stopped).await;
    for verb in ["stop", "pause", "unpause", "kill", "execute?command=ls", "resize?h=1&w=1"] {
        let answer = api.post(ANN, &format!("/v1/containers/{id}/{verb}"), Value::Null).await;
        let action = verb.split('?').next().unwrap();
        assert_eq!(
            answer.refusal(),
            format!(
                "409 container.invalid-state-exception Cannot {action} container {id} in Stopped state"
            )
        );
    }
    agent.report(id, Status::Running, |_| {}).await;
    api.until(id, Status::Running).await;
    let answer = api.delete(ANN, &format!("/v1/containers/{id}")).await;
    assert!(answer.refusal().contains("Cannot delete container"), "{}", answer.text);
}

#[tokio::test]
async fn wrong_parameters_are_refused_before_the_host_is_called() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let mut table = Vec::new();
    for path in [
        "stop?timeout=soon",
        "stop?timeout=-1",
        "kill?signal=SIGFOO",
        "start?x=1",
        "resize?h=24",
        "resize?h=0&w=80",
        "resize?h=24&w=65536",
        "execute",
        "execute?command=",
        "execute?command=%22",
        "execute_resize?exec_id=abc&h=1&w=1",
    ] {
        let answer = api.post(ANN, &format!("/v1/containers/{id}/{path}"), Value::Null).await;
        table.push(format!("{path}: {}", answer.refusal()));
    }
    for path in ["logs?tail=some", "logs?since=yesterday", "logs?stdout=maybe"] {
        let answer = api.get(ANN, &format!("/v1/containers/{id}/{path}")).await;
        table.push(format!("{path}: {}", answer.refusal()));
    }
    insta::assert_snapshot!(table.join("\n"), @r#"
    stop?timeout=soon: 400 container.schema-validation-error Invalid input for field 'timeout'. Value: 'soon'. It must be a whole number of seconds from 0 to 86400.
    stop?timeout=-1: 400 container.schema-validation-error Invalid input for field 'timeout'. Value: '-1'. It must be a whole number of seconds from 0 to 86400.
    kill?signal=SIGFOO: 400 container.schema-validation-error Invalid input for field 'signal'. Value: 'SIGFOO'. It must be a signal such as `SIGTERM`, `term` or `15`.
    start?x=1: 400 container.unknown-parameters Unknown parameters: x
    resize?h=24: 400 container.schema-validation-error Missing field 'w'. It must be a whole number from 1 to 65535.
    resize?h=0&w=80: 400 container.schema-validation-error Invalid input for field 'h'. Value: '0'. It must be a whole number from 1 to 65535.
    resize?h=24&w=65536: 400 container.schema-validation-error Invalid input for field 'w'. Value: '65536'. It must be a whole number from 1 to 65535.
    execute: 400 container.schema-validation-error Missing field 'command'. It must be a command of at least one word.
    execute?command=: 400 container.schema-validation-error Invalid input for field 'command'. Value: ''. It must be a command of at least one word.
    execute?command=%22: 400 container.schema-validation-error Invalid input for field 'command'. Value: '"'. It must be a command of at least one word.
    execute_resize?exec_id=abc&h=1&w=1: 400 container.schema-validation-error Invalid input for field 'exec_id'. Value: 'abc'. It must be 64 lower-case hexadecimal digits.
    logs?tail=some: 400 container.schema-validation-error Invalid input for field 'tail'. Value: 'some'. It must be `all` or a number of lines from 0 to 4294967295.
    logs?since=yesterday: 400 container.schema-validation-error Invalid input for field 'since'. Value: 'yesterday'. It must be seconds since 1970, or a UTC time such as `2026-11-23 18:00:00,000`.
    logs?stdout=maybe: 400 container.schema-validation-error Invalid input for field 'stdout'. Value: 'maybe'. It must be true or false.
    "#);
    assert!(agent.received().iter().all(|call| call.method == "container.create"));
}

#[tokio::test]
async fn a_call_to_a_host_that_left_fails_at_once_and_names_it() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    agent.heartbeat(|heartbeat| heartbeat.leaving = true).await.expect("accepted");
    api.until_service("h1", "down").await;
    // A report that was sent earlier and arrives later changes nothing.
    let late =
        |heartbeat: &mut zun_common::rpc::host::Heartbeat| heartbeat.generation -= 10_000_000;
    agent.heartbeat(late).await.expect("accepted");
    api.until_metric("zun_api_heartbeats_total", 3.0).await;
    let answer = api.post(ANN, &format!("/v1/containers/{id}/stop"), Value::Null).await;
    assert_eq!(
        answer.refusal(),
        "503 container.host-not-up Host h1 is not available: its agent has shut down"
    );
}

#[tokio::test]
async fn only_an_administrator_may_force_a_removal() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let forced = api.delete(ANN, &format!("/v1/containers/{id}?force=True")).await;
    assert!(forced.refusal().starts_with("403 "));
    api.delete(ADMIN, &format!("/v1/containers/{id}?force=True")).await.expect(204);
    assert_eq!(agent.receives("container.remove").await.body["how"], json!("force"));
    api.get(ANN, &format!("/v1/containers/{id}")).await.expect(404);
}

#[tokio::test]
async fn a_host_without_heartbeats_is_down() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    agent.heartbeat(|heartbeat| heartbeat.interval = 0).await.expect("accepted");
    api.until_service("h1", "down").await;
    let answer = api.post(ANN, &format!("/v1/containers/{id}/stop"), Value::Null).await;
    assert!(
        answer.refusal().contains("Host h1 is not available: no heartbeat for"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn an_agents_refusal_is_passed_on_with_its_message() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}/stop");
    agent.refuse("container.stop", Problem::new(Code::Busy, "the queue is full"));
    let answer = api.post(ANN, &path, Value::Null).await;
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.refusal(), "503 container.busy the queue is full");
    agent.refuse("container.stop", Problem::new(Code::Conflict, "it is being started"));
    assert_eq!(
        api.post(ANN, &path, Value::Null).await.refusal(),
        "409 container.conflict it is being started"
    );
    agent.refuse("container.stop", Problem::new(Code::Internal, "secret details"));
    let answer = api.post(ANN, &path, Value::Null).await;
    assert!(answer.refusal().starts_with("500 "), "{}", answer.text);
    assert!(!answer.text.contains("secret"));
}

#[tokio::test]
async fn logs_are_a_json_string_or_raw_bytes() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    agent.set_output(b"hi\xff\n");
    let path = format!("/v1/containers/{id}/logs?stdout=True&stderr=False&tail=5&since=100");
    let answer = api.get(ANN, &path).await.expect(200);
    assert_eq!(answer.json(), json!("hi\u{fffd}\n"));
    let asked = agent.receives("container.logs").await.body["request"].clone();
    assert_eq!(
        asked,
        json!({"stdout": true, "stderr": false, "timestamps": false, "tail": 5, "since": "1970-01-01T00:01:40Z"})
    );
    let request = api.request(Method::GET, ANN, &path).header("accept", "application/octet-stream");
    let bytes = request.send().await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes.as_ref(), b"hi\xff\n");
}

#[tokio::test]
async fn the_request_id_travels_to_the_host_and_back() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let request = api
        .request(Method::POST, ANN, &format!("/v1/containers/{id}/stop"))
        .header("x-openstack-request-id", "req-from-the-client");
    let answer = send(request).await.expect(202);
    assert_eq!(answer.header("x-openstack-request-id"), "req-from-the-client");
    let context = agent.receives("container.stop").await.context;
    assert_eq!(context.request.as_str(), "req-from-the-client");
    assert_eq!(context.project.unwrap().as_str(), "blue");
}

#[tokio::test]
async fn processes_and_usage_have_zuns_json_format() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}");
    let top = api.get(ANN, &format!("{path}/top?ps_args=None")).await.expect(200).json();
    assert_eq!(top, json!({"Titles": ["PID", "CMD"], "Processes": [["1", "sleep 1000"]]}));
    assert_eq!(agent.receives("container.top").await.body["ps_args"], Value::Null);
    api.get(ANN, &format!("{path}/top?ps_args=-eo+pid,comm")).await.expect(200);
    assert_eq!(agent.receives("container.top").await.body["ps_args"], json!("-eo pid,comm"));
    let refused = api.get(ANN, &format!("{path}/top?ps_args=$(id)")).await.refusal();
    assert!(refused.starts_with("400 ") && refused.contains("'ps_args'"), "{refused}");
    let stats = api.get(ANN, &format!("{path}/stats")).await.expect(200).json();
    let wanted = json!({
        "CONTAINER": "test", "CPU %": 12.5, "MEM USAGE(MiB)": 16.0, "MEM LIMIT(MiB)": 64.0, "MEM %": 25.0,
        "BLOCK I/O(B)": "1/2", "NET I/O(B)": "3/4", "PIDS": 5,
    });
    assert_eq!(stats, wanted);
}

#[tokio::test]
async fn the_controller_changes_a_name_and_the_host_changes_limits() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    api.container(&agent, "other", Status::Running).await;
    let path = format!("/v1/containers/{id}");
    let patch = |body: Value| send(api.request(Method::PATCH, ANN, &path).json(&body));
    let shown = patch(json!({"name": "web"})).await.expect(200).json();
    assert_eq!((&shown["name"], &shown["uuid"]), (&json!("web"), &json!(id)));
    assert_eq!(api.get(ANN, "/v1/containers/web").await.expect(200).json()["uuid"], json!(id));
    assert!(agent.received().iter().all(|received| received.method != "container.update"));
    assert!(patch(json!({"name": "other"})).await.refusal().starts_with("409 "));
    let shown = patch(json!({"cpu": 0.5, "memory": "1024"})).await.expect(200).json();
    assert_eq!((&shown["cpu"], &shown["memory"]), (&json!(0.5), &json!("1024")));
    let body = agent.receives("container.update").await.body["resources"].clone();
    assert_eq!(body, json!({"cpus": 0.5, "memory": 1024}));
    // The host has 4 GiB, and the other container has claimed a part.
    let refused = patch(json!({"memory": 8192})).await.refusal();
    assert!(
        refused.starts_with("409 ") && refused.contains("without enough free memory"),
        "{refused}"
    );
    for bad in
        [json!({"memory": 1}), json!({"cpu": "many"}), json!({"name": "-"}), json!({"image": "x"})]
    {
        assert!(patch(bad.clone()).await.refusal().starts_with("400 "), "{bad}");
    }
    agent.refuse("container.update", Problem::new(Code::Engine, "it cannot"));
    assert!(patch(json!({"name": "again", "memory": 256})).await.refusal().contains("it cannot"));
    let shown = api.get(ANN, &path).await.json();
    assert_eq!((&shown["name"], &shown["memory"]), (&json!("web"), &json!("1024")));
}
