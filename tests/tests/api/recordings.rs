//! Recordings of sessions: who may see, play and delete which, and how sessions with recorded containers are granted.

use serde_json::{Value, json};
use zun_common::gate_control::GateRecordings;
use zun_common::id::{ContainerId, RecordingId};
use zun_common::pki::signing_request;
use zun_common::recording::{KeptRecording, RecordPolicy, RecordingInfo};
use zun_common::rpc::console::HostRecordings;
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;
use zun_tests::scripted_agent::ticket;

use crate::support::{ADMIN, ANN, Api, BOB, REA};

fn kept(container: ContainerId) -> HostRecordings {
    let info = RecordingInfo {
        id: RecordingId::random(),
        project: "blue".parse().unwrap(),
        container,
        container_name: "test".to_owned(),
        exec: None,
        tty: true,
        policy: RecordPolicy::Required,
        started: 1_764_500_000_000,
        ended: Some(1_764_500_001_500),
        end: "the process exited with 0".to_owned(),
    };
    let kept = GateRecordings { recordings: vec![KeptRecording { info, size: 70 }], more: false };
    HostRecordings { kept, gate: Some("192.0.2.7:2377".to_owned()) }
}

#[tokio::test]
async fn recordings_are_those_of_the_project_and_readers_and_members_may_not_do_everything() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let container = ContainerId::random();
    let recordings = kept(container);
    let id = recordings.kept.recordings[0].info.id;
    agent.with_recordings(recordings);
    let listed = api.get(ANN, "/v1/recordings?container=test").await.expect(200).json();
    let asked = agent.receives("console.recordings").await.body;
    assert_eq!(asked["selection"], json!({"project": "blue", "name": "test"}));
    assert_eq!(
        listed,
        json!({"unresponsive_hosts": [], "more": false, "recordings": [{
            "id": id, "project_id": "blue", "container": container, "container_name": "test",
            "host": "h1", "tty": true, "policy": "required", "size": 70,
            "started_at": "2025-11-30T10:53:20Z", "ended_at": "2025-11-30T10:53:21.500Z",
            "end": "the process exited with 0",
        }]})
    );
    // The host is asked for the caller's project only.
    api.get(BOB, &format!("/v1/recordings/{id}")).await.expect(200);
    let asked = agent.receives("console.recordings").await.body;
    assert_eq!(asked["selection"], json!({"project": "red", "id": id}));
    api.get(ADMIN, "/v1/recordings?all_projects=true").await.expect(200);
    assert_eq!(agent.receives("console.recordings").await.body["selection"], json!({}));
    let path = format!("/v1/recordings/{id}");
    let mut statuses = Vec::new();
    for token in [REA, ANN, ADMIN] {
        let body = json!({"csr": "x"});
        statuses.push(api.get(token, &path).await.status);
        statuses.push(api.post(token, &format!("{path}/download"), body).await.status);
    }
    // 400: the signing request is no such thing.
    assert_eq!(statuses, [200, 403, 200, 400, 200, 400]);
    let ticket_path = format!("{path}/ticket");
    assert_eq!(api.post(REA, &ticket_path, Value::Null).await.status, 403);
    let link = api.post(ANN, &ticket_path, Value::Null).await.expect(200).json();
    let issued = agent.receives("console.recording.ticket").await.body;
    let grant = &link["id"];
    assert_eq!(issued, json!({"recording": id, "project": "blue", "grant": grant, "seconds": 60}));
    let secret = ticket().expose().to_owned();
    let url = format!("https://console.example:2377/recording#ticket={secret}&id={id}&name=test");
    assert_eq!(link["url"], json!(url));
    let extra = api.post(ANN, &ticket_path, json!({"seconds": 9})).await;
    assert_eq!(extra.status, 400, "{}", extra.text);
    agent.refuse("console.recording.ticket", Problem::new(Code::NotOffered, "set `x`"));
    let refused = api.post(ADMIN, &ticket_path, Value::Null).await.refusal();
    assert_eq!(refused, "501 container.not-offered Host h1 does not offer this: set `x`");
    assert_eq!(api.delete(ANN, &path).await.status, 403);
    api.delete(ADMIN, &path).await.expect(204);
    let deleted = agent.receives("console.recording.delete").await.body;
    assert_eq!(deleted, json!({"recording": id}));
    agent.with_recordings(HostRecordings::default());
    for missing in [id.to_string(), "x".to_owned()] {
        let refused = api.get(ANN, &format!("/v1/recordings/{missing}")).await;
        assert_eq!(refused.status, 404, "{}", refused.text);
        // Another project's recording is one that its host does not list.
        let path = format!("/v1/recordings/{missing}/ticket");
        assert_eq!(api.post(BOB, &path, Value::Null).await.status, 404);
    }
}

#[tokio::test]
async fn a_container_keeps_its_policy_and_commands_that_must_be_recorded_need_a_session() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let body = json!({"image": "cirros", "name": "rec", "record": "required", "interactive": true});
    let id = api.create(ANN, body).await;
    let created = agent.receives_about("container.create", id).await.body;
    assert_eq!(created["spec"]["record"], "required");
    agent.report(id, Status::Running, |_| {}).await;
    api.until(id, Status::Running).await;
    let path = format!("/v1/containers/{id}");
    assert_eq!(api.get(ANN, &path).await.expect(200).json()["record"], "required");
    let csr = signing_request("client", Vec::new()).unwrap().csr;
    let docker = json!({"csr": csr, "protocols": ["docker.attach"]});
    let refused = api.post(ANN, &format!("{path}/attach"), docker).await;
    assert_eq!((refused.status, refused.text.contains("zun.pty.v1")), (400, true));
    let both = json!({"csr": csr, "protocols": ["docker.attach", "zun.pty.v1"]});
    let granted = api.post(ANN, &format!("{path}/attach"), both).await.expect(200).json();
    let calls: Vec<_> = granted["calls"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!((granted["protocol"].as_str(), calls), (Some("zun.pty.v1"), vec!["pty"]));
    let ran = api.post(ANN, &format!("{path}/execute?command=id&run=true"), Value::Null).await;
    assert_eq!(ran.status, 409, "{}", ran.text);
    let bad = json!({"image": "cirros", "record": "always"});
    assert_eq!(api.post(ANN, "/v1/containers", bad).await.status, 400);
}
