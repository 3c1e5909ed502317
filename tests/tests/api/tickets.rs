//! Tickets for consoles, addresses for OpenStack's clients, and sessions.

use serde_json::{Value, json};
use zun_common::gate_control::{GateAttachment, GateRecordingTicket, GateTarget, GateTicket};
use zun_common::grant::Mode;
use zun_common::id::{ContainerId, RecordingId};
use zun_common::rpc::console::{ConsoleSession, ConsoleSessions, UsableTicket};
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;
use zun_tests::scripted_agent::{engine_id, exec_id, ticket};

use crate::support::{ANN, Api, BOB, eventually_some};

#[tokio::test]
async fn a_ticket_is_a_link_to_a_page_and_the_address_of_a_websocket() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    agent.with_terminal();
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}/console_ticket");
    let ask = json!({"mode": "ro", "for_seconds": 600, "uses": 3});
    let mut answer = api.post(ANN, &path, ask).await.expect(200).json();
    let received = agent.receives("console.ticket").await.body;
    assert_eq!(received["grant"], answer["id"]);
    let asked = ["mode", "seconds", "uses", "project"].map(|name| received[name].clone());
    assert_eq!(Value::from(asked.to_vec()), json!(["ro", 600, 3, "blue"]));
    let expires: chrono::DateTime<chrono::Utc> =
        serde_json::from_value(answer["expires_at"].take()).unwrap();
    assert!((590..=600).contains(&(expires - chrono::Utc::now()).num_seconds()));
    assert!(answer["id"].take().as_str().unwrap().starts_with("ticket-"));
    let secret = ticket().expose().to_owned();
    assert_eq!(
        answer,
        json!({
            "id": null,
            "url": format!("https://console.example:2377/console#ticket={secret}&name=test"),
            "websocket_url": "wss://console.example:2377/v1/console",
            "ticket": secret,
            "mode": "ro",
            "uses": 3,
            "files": false,
            "tty": true,
            "expires_at": null,
        })
    );
    let listed = || async {
        let actions = api.get(ANN, &format!("/v1/containers/{id}/container_actions")).await.json();
        (actions["containerActions"][0]["action"] == "attach").then_some(())
    };
    eventually_some("the ticket is among the actions", listed).await;
}

#[tokio::test]
async fn a_ticket_for_an_exec_names_it_and_one_without_fields_is_for_one_session_of_a_minute() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}/console_ticket");
    let exec = exec_id().to_string();
    api.post(ANN, &path, json!({"exec_id": exec})).await.expect(200);
    let received = agent.receives("console.ticket").await.body;
    let asked = ["exec", "mode", "seconds", "uses", "files"].map(|name| received[name].clone());
    assert_eq!(Value::from(asked.to_vec()), json!([exec, "rw", 60, 1, null]));
    let answer = api.post(ANN, &path, json!({"files": true})).await.expect(200).json();
    assert_eq!(agent.receives("console.ticket").await.body["files"], json!(true));
    assert_eq!(answer["files"], json!(true));
    let refused = api.post(ANN, &path, json!({"files": true, "mode": "ro"})).await.expect(400);
    assert!(refused.json().to_string().contains("files"), "{}", refused.json());
}

#[tokio::test]
async fn tickets_that_cannot_be_issued_say_why() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}/console_ticket");
    let mut table = Vec::new();
    for ask in [
        json!({"for_seconds": 3601}),
        json!({"for_seconds": 0}),
        json!({"uses": 0}),
        json!({"mode": "root"}),
        json!({"exec_id": "x"}),
    ] {
        table.push(api.post(ANN, &path, ask).await.refusal());
    }
    let stopped = api.container(&agent, "stopped", Status::Stopped).await;
    let refused =
        api.post(ANN, &format!("/v1/containers/{stopped}/console_ticket"), json!({})).await;
    table.push(refused.refusal().replace(&stopped.to_string(), "ID"));
    agent.refuse("console.ticket", Problem::new(Code::NotOffered, "set `x`"));
    table.push(api.post(ANN, &path, json!({})).await.refusal());
    table.push(api.post(BOB, &path, json!({})).await.refusal().replace(&id.to_string(), "ID"));
    insta::assert_snapshot!(table.join("\n"), @r"
    400 container.schema-validation-error Invalid input for field 'for_seconds'. Value: '3601'. It must be a whole number of seconds from 1 to 3600.
    400 container.schema-validation-error Invalid input for field 'for_seconds'. Value: '0'. It must be a whole number of seconds from 1 to 3600.
    400 container.schema-validation-error Invalid input for field 'uses'. Value: '0'. It must be a whole number from 1 to 100.
    400 container.schema-validation-error Invalid input for field 'mode'. Value: 'root'. It must be `rw` or `ro`.
    400 container.schema-validation-error Invalid input for field 'exec_id'. Value: 'x'. It must be 64 lower-case hexadecimal digits.
    409 container.invalid-state-exception Cannot attach container ID in Stopped state
    501 container.not-offered Host h1 does not offer this: set `x`
    404 container.container-not-found Container ID could not be found.
    ");
}

#[tokio::test]
async fn openstacks_clients_get_an_address_with_a_ticket_for_a_console_and_an_exec() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let address = format!("wss://console.example:2377/v1/console?token={}", ticket().expose());
    let attach = format!("/v1/containers/{id}/attach");
    assert_eq!(api.get(ANN, &attach).await.expect(200).json(), json!(address));
    let execute = format!("/v1/containers/{id}/execute?command=sh&interactive=True&run=False");
    let answer = api.post(ANN, &execute, Value::Null).await.expect(200).json();
    assert_eq!((&answer["proxy_url"], &answer["exec_id"]), (&json!(address), &json!(exec_id())));
    assert_eq!((&answer["output"], &answer["exit_code"]), (&Value::Null, &Value::Null));
    assert_eq!(agent.receives("console.ticket").await.body["exec"], json!(exec_id()));
    agent.refuse("console.ticket", Problem::new(Code::NotOffered, "set `x`"));
    let refused = api.post(ANN, &execute, Value::Null).await.refusal();
    assert_eq!(refused, "501 container.not-offered Host h1 does not offer this: set `x`");
    assert_eq!(api.get(BOB, &attach).await.status, 404);
    let silent = api.create(ANN, json!({"image": "cirros", "name": "silent"})).await;
    agent.receives_about("container.create", silent).await;
    agent.report(silent, Status::Running, |_| {}).await;
    api.until(silent, Status::Running).await;
    let refused = api.get(ANN, &format!("/v1/containers/{silent}/attach")).await.refusal();
    assert_eq!(
        refused,
        "400 container.no-interactive-flag Missing interactive flag: the container must be created with `interactive`."
    );
}

fn sessions_of(container: ContainerId) -> ConsoleSessions {
    let target = GateTarget::Container(engine_id());
    let attachment = GateAttachment {
        id: "1-abc".to_owned(),
        target: target.clone(),
        tty: true,
        grant: "grant-1".to_owned(),
        writes: true,
        connected: false,
        age: 60,
        stdin: 3,
        stdout: 14,
        stderr: 0,
        files: false,
    };
    let (grant, mode) = ("ticket-2".to_owned(), Mode::ReadOnly);
    let ticket = GateTicket { grant, target, mode, uses: 5, seconds: 30, files: false };
    ConsoleSessions {
        sessions: vec![ConsoleSession { container, exec: Some(exec_id()), attachment }],
        tickets: vec![UsableTicket { container, exec: None, ticket }],
        recordings: vec![GateRecordingTicket {
            grant: "ticket-3".to_owned(),
            recording: RecordingId::random(),
            container,
            seconds: 30,
        }],
    }
}

#[tokio::test]
async fn sessions_and_grants_are_those_of_the_project_and_can_be_revoked() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let found = sessions_of(id);
    let recording = found.recordings[0].recording;
    agent.with_sessions(found);
    let mut listed = api.get(ANN, "/v1/sessions").await.expect(200).json();
    assert_eq!(agent.receives("console.sessions").await.body["containers"], json!([id]));
    let since: chrono::DateTime<chrono::Utc> =
        serde_json::from_value(listed["sessions"][0]["since"].take()).unwrap();
    assert!((60..70).contains(&(chrono::Utc::now() - since).num_seconds()));
    assert_eq!(
        listed,
        json!({"unresponsive_hosts": [], "sessions": [{
            "id": "1-abc", "container": id, "container_name": "test", "exec_id": exec_id(),
            "host": "h1", "tty": true, "mode": "rw", "grant": "grant-1", "connected": false,
            "since": null, "stdin_bytes": 3, "stdout_bytes": 14, "stderr_bytes": 0,
        }]})
    );
    let grants = api.get(ANN, "/v1/grants").await.expect(200).json();
    let shown = |number: usize| {
        let grant = &grants["grants"][number];
        json!([grant["id"], grant["mode"], grant["sessions"], grant["uses"]])
    };
    assert_eq!(shown(0), json!(["grant-1", "rw", 1, null]));
    assert_eq!(shown(1), json!(["ticket-2", "ro", 0, 5]));
    assert_eq!(shown(2), json!(["ticket-3", "ro", 0, 1]));
    assert_eq!(grants["grants"][2]["recording_id"], json!(recording));
    // Another project sees and revokes nothing.
    let nothing = json!({"sessions": [], "unresponsive_hosts": []});
    assert_eq!(api.get(BOB, "/v1/sessions").await.expect(200).json(), nothing);
    for (token, grant) in [(BOB, "grant-1"), (BOB, "ticket-2"), (ANN, "grant-9"), (ANN, "a%20b")] {
        let refused = api.delete(token, &format!("/v1/grants/{grant}")).await;
        assert_eq!(refused.status, 404, "{grant}: {}", refused.text);
    }
    for grant in ["ticket-2", "ticket-3"] {
        let revoked = api.delete(ANN, &format!("/v1/grants/{grant}")).await.expect(200).json();
        assert_eq!(revoked, json!({"sessions": 1}));
        assert_eq!(agent.receives("console.revoke").await.body, json!({"grant": grant}));
    }
}

#[tokio::test]
async fn hosts_that_do_not_answer_are_named_and_hide_no_others() {
    let api = Api::with_consoles().await;
    let (first, second) = (api.agent("h1").await, api.agent("h2").await);
    let id = api.container(&first, "one", Status::Running).await;
    api.container(&second, "two", Status::Running).await;
    first.with_sessions(sessions_of(id));
    second.refuse("console.sessions", Problem::new(Code::NoConsole, "the gate is gone"));
    let listed = api.get(ANN, "/v1/sessions").await.expect(200).json();
    assert_eq!(listed["sessions"][0]["container_name"], "one");
    assert_eq!(listed["unresponsive_hosts"], json!(["h2"]));
    let refused = api.delete(ANN, "/v1/grants/grant-7").await.refusal();
    assert_eq!(refused, "503 container.no-console No console access on host h2: the gate is gone");
}
