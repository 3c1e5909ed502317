//! Grants for consoles, execs, logs and files.

use serde_json::{Value, json};
use zun_common::pki::signing_request;
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;
use zun_tests::scripted_agent::{engine_id, exec_id};

use crate::support::{ADMIN, ANN, Api, BOB};

fn csr() -> String {
    signing_request("client", Vec::new()).unwrap().csr
}

/// Checks the certificates and identifiers of an endpoint and replaces them with placeholders.
fn plain(mut endpoint: Value) -> Value {
    for name in ["ca", "certificate"] {
        let pem = endpoint["tls"][name].as_str().unwrap();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
        endpoint["tls"][name] = json!("PEM");
    }
    let expires: chrono::DateTime<chrono::Utc> =
        serde_json::from_value(endpoint["expires_at"].clone()).unwrap();
    let left = (expires - chrono::Utc::now()).num_seconds();
    assert!((1..=120).contains(&left), "{left} s");
    endpoint["expires_at"] = json!("SOON");
    let text = endpoint.to_string();
    let text = text.replace(engine_id().as_str(), "ENGINE").replace(exec_id().as_str(), "EXEC");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_terminal_is_granted_with_all_its_calls() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    agent.with_terminal();
    let id = api.container(&agent, "test", Status::Created).await;
    let ask = json!({"csr": csr(), "protocols": ["zun.pty.v1", "docker.attach"], "mode": "rw"});
    let answer = api.post(ANN, &format!("/v1/containers/{id}/attach"), ask).await.expect(200);
    insta::assert_json_snapshot!(plain(answer.json()), @r#"
    {
      "calls": {
        "attach": "https://192.0.2.7:2376/v1.41/containers/ENGINE/attach?logs=0&stream=1&stdin=1&stdout=1&stderr=1&detachKeys=%FF,%FE,%FD,%FC,%FB,%FA",
        "output": "https://192.0.2.7:2376/v1.41/containers/ENGINE/attach?logs=0&stream=1&stdin=0&stdout=1&stderr=1",
        "pty": "wss://192.0.2.7:2377/pty/v1/containers/ENGINE",
        "resize": "https://192.0.2.7:2376/v1.41/containers/ENGINE/resize",
        "wait": "https://192.0.2.7:2376/v1.41/containers/ENGINE/wait",
        "websocket": "wss://192.0.2.7:2376/v1.41/containers/ENGINE/attach/ws?logs=0&stream=1&stdin=1&stdout=1&stderr=1&detachKeys=%FF,%FE,%FD,%FC,%FB,%FA"
      },
      "expires_at": "SOON",
      "protocol": "zun.pty.v1",
      "run": 1,
      "running": true,
      "stdin": true,
      "tls": {
        "ca": "PEM",
        "certificate": "PEM"
      },
      "tty": true,
      "url": "wss://192.0.2.7:2377/pty/v1/containers/ENGINE"
    }
    "#);
    assert!((api.metric("zun_api_grants_total").await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn a_read_only_grant_allows_only_output() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let ask = json!({"csr": csr(), "protocols": ["docker.attach"], "mode": "ro"});
    let answer = api.post(ANN, &format!("/v1/containers/{id}/attach"), ask).await.expect(200);
    assert_eq!(agent.receives("container.attach").await.body["mode"], json!("ro"));
    insta::assert_json_snapshot!(plain(answer.json()), @r#"
    {
      "calls": {
        "output": "https://192.0.2.7:2376/v1.41/containers/ENGINE/attach?logs=0&stream=1&stdin=0&stdout=1&stderr=1",
        "wait": "https://192.0.2.7:2376/v1.41/containers/ENGINE/wait"
      },
      "expires_at": "SOON",
      "protocol": "docker.attach",
      "run": 1,
      "running": true,
      "stdin": false,
      "tls": {
        "ca": "PEM",
        "certificate": "PEM"
      },
      "tty": false,
      "url": "https://192.0.2.7:2376/v1.41/containers/ENGINE/attach?logs=0&stream=1&stdin=0&stdout=1&stderr=1"
    }
    "#);
}

#[tokio::test]
async fn invalid_attach_requests_are_refused() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}/attach");
    let mut table = Vec::new();
    for ask in [
        json!({}),
        json!({"csr": "no request", "protocols": ["docker.attach"]}),
        json!({"csr": csr()}),
        json!({"csr": csr(), "protocols": []}),
        json!({"csr": csr(), "protocols": ["zun.pty.v9"]}),
        json!({"csr": csr(), "protocols": ["docker.attach"], "mode": "root"}),
        json!({"csr": csr(), "protocols": ["docker.attach"], "more": 1}),
    ] {
        table.push(api.post(ANN, &path, ask).await.refusal());
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    400 container.schema-validation-error Missing field 'csr'. It must be a certificate signing request in PEM of at most 8192 characters.
    400 container.schema-validation-error Invalid input for field 'csr'. Value: 'no request'. It must be a certificate signing request in PEM of at most 8192 characters.
    400 container.schema-validation-error Missing field 'protocols'. It must be a non-empty list of console protocols.
    400 container.schema-validation-error Missing field 'protocols'. It must be a non-empty list of console protocols.
    400 container.invalid-value Invalid input for field 'protocols'. It must contain the supported console protocol 'docker.attach'.
    400 container.schema-validation-error Invalid input for field 'mode'. Value: 'root'. It must be `rw` or `ro`.
    400 container.schema-validation-error Additional properties are not allowed ('more' was unexpected)
    ");
    let bad = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    let ask = json!({"csr": bad, "protocols": ["docker.attach"]});
    let refused = api.post(ANN, &path, ask).await.refusal();
    assert!(
        refused.starts_with("400 container.schema-validation-error Invalid input for field 'csr'."),
        "{refused}"
    );
}

#[tokio::test]
async fn a_refused_attach_says_why() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let ask = || json!({"csr": csr(), "protocols": ["docker.attach"]});
    let stopped = api.container(&agent, "stopped", Status::Stopped).await;
    let refused = api.post(ANN, &format!("/v1/containers/{stopped}/attach"), ask()).await.refusal();
    assert!(refused.contains("Cannot attach container"), "{refused}");
    let running = api.container(&agent, "running", Status::Running).await;
    agent.refuse("container.attach", Problem::new(Code::NoConsole, "the listener is not up"));
    let refused = api.post(ANN, &format!("/v1/containers/{running}/attach"), ask()).await.refusal();
    let message = "No console access on host h1: the listener is not up";
    assert_eq!(refused, format!("503 container.no-console {message}"));
}

#[tokio::test]
async fn output_and_files_have_their_own_grants() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    for (verb, mode, action, protocol) in [
        ("logs", None, "logs", "docker.logs"),
        ("archive", Some("ro"), "get_archive", "docker.archive"),
        ("archive", Some("rw"), "put_archive", "docker.archive"),
    ] {
        let mut ask = json!({"csr": csr()});
        if let Some(mode) = mode {
            ask["mode"] = json!(mode);
        }
        let answer = api.post(ANN, &format!("/v1/containers/{id}/{verb}"), ask).await.expect(200);
        assert_eq!(agent.receives("container.data").await.body["action"], json!(action));
        let url = format!("https://192.0.2.7:2376/v1.41/containers/ENGINE/{verb}");
        let mut calls = json!({verb: url});
        if verb == "archive" {
            calls["export"] = json!("https://192.0.2.7:2376/v1.41/containers/ENGINE/export");
        }
        let wanted = json!({
            "protocol": protocol, "url": url, "calls": calls, "tty": false, "stdin": false,
            "tls": {"ca": "PEM", "certificate": "PEM"}, "expires_at": "SOON",
        });
        assert_eq!(plain(answer.json()), wanted);
    }
    let mut table = Vec::new();
    for (verb, ask) in [
        ("logs", json!({})),
        ("logs", json!({"csr": csr(), "mode": "ro"})),
        ("archive", json!({"csr": csr()})),
        ("archive", json!({"csr": csr(), "mode": "root"})),
    ] {
        table.push(api.post(ANN, &format!("/v1/containers/{id}/{verb}"), ask).await.refusal());
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    400 container.schema-validation-error Missing field 'csr'. It must be a certificate signing request in PEM of at most 8192 characters.
    400 container.schema-validation-error Additional properties are not allowed ('mode' was unexpected)
    400 container.schema-validation-error Missing field 'mode'. It must be `ro` to copy out, or `rw` to copy in.
    400 container.schema-validation-error Invalid input for field 'mode'. Value: 'root'. It must be `ro` to copy out, or `rw` to copy in.
    ");
    let path = format!("/v1/containers/{id}/archive");
    let stranger = api.post(BOB, &path, json!({"csr": csr(), "mode": "ro"})).await.refusal();
    assert!(stranger.starts_with("404 "), "{stranger}");
}

#[tokio::test]
async fn without_a_ca_the_error_names_the_setting() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}/attach");
    let ask = json!({"csr": csr(), "protocols": ["docker.attach"]});
    let refused = api.post(ANN, &path, ask).await.refusal();
    assert!(refused.starts_with("501 ") && refused.contains("`console.ca_directory`"), "{refused}");
}

#[tokio::test]
async fn a_command_runs_to_its_end_in_every_request_format() {
    let api = Api::start().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    agent.set_output(b"hi\n");
    let path = format!("/v1/containers/{id}/execute");
    let old = format!("{path}?command=%22sh%22+%22-c%22+%22ls+%2F%22");
    let answer = api.post(ANN, &old, Value::Null).await.expect(200).json();
    assert_eq!(
        answer,
        json!({"output": "hi\noops\n", "exit_code": 7, "exec_id": null, "proxy_url": null, "stdout": "aGkK", "stderr": "b29wcwo=", "truncated": false})
    );
    assert_eq!(
        agent.receives("exec.run").await.body["spec"]["command"],
        json!(["sh", "-c", "ls /"])
    );
    let ours = json!({"command": ["env"], "run": true, "environment": ["A=1"], "user": "nobody", "workdir": "/"});
    api.post(ANN, &path, ours).await.expect(200);
    let spec = agent.receives("exec.run").await.body["spec"].clone();
    assert_eq!((&spec["environment"], &spec["user"]), (&json!(["A=1"]), &json!("nobody")));
    let privileged = json!({"command": ["id"], "run": true, "privileged": true});
    assert!(api.post(ANN, &path, privileged.clone()).await.refusal().starts_with("403 "));
    api.post(ADMIN, &path, privileged).await.expect(200);
}

#[tokio::test]
async fn an_exec_is_created_and_granted_if_the_request_has_a_csr() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Running).await;
    let path = format!("/v1/containers/{id}/execute");
    let created =
        api.post(ANN, &format!("{path}?command=sh&run=False&interactive=True"), Value::Null).await;
    let created = created.expect(200).json();
    assert_eq!(created["exec_id"], json!(exec_id()));
    let spec = agent.receives("exec.create").await.body["spec"].clone();
    assert_eq!((&spec["tty"], &spec["stdin"]), (&json!(true), &json!(true)));
    let ask = json!({"command": ["sh"], "interactive": true, "tty": true, "csr": csr()});
    let answer = api.post(ANN, &path, ask).await.expect(200).json();
    insta::assert_json_snapshot!(plain(answer["console"].clone()), @r#"
    {
      "calls": {
        "inspect": "https://192.0.2.7:2376/v1.41/exec/EXEC/json",
        "resize": "https://192.0.2.7:2376/v1.41/exec/EXEC/resize",
        "start": "https://192.0.2.7:2376/v1.41/exec/EXEC/start"
      },
      "expires_at": "SOON",
      "protocol": "docker.exec",
      "stdin": true,
      "tls": {
        "ca": "PEM",
        "certificate": "PEM"
      },
      "tty": true,
      "url": "https://192.0.2.7:2376/v1.41/exec/EXEC/start"
    }
    "#);
    let protocols = json!(["zun.pty.v1", "docker.exec"]);
    let ask = json!({"command": ["sh"], "run": false, "csr": csr(), "protocols": protocols});
    let console = api.post(ANN, &path, ask).await.expect(200).json()["console"].clone();
    let gate = json!(format!("wss://192.0.2.7:2377/pty/v1/execs/{}", exec_id()));
    assert_eq!((&console["url"], &console["calls"]["pty"]), (&gate, &gate));
    assert!(console["calls"]["start"].is_string(), "{console}");
    let exec = exec_id();
    let resize = format!("/v1/containers/{id}/execute_resize?exec_id={exec}&h=24&w=80");
    assert_eq!(api.post(ANN, &resize, Value::Null).await.expect(200).text, "null");
    assert_eq!(agent.receives("exec.resize").await.body["exec"], json!(exec));
    let kill = format!("/v1/containers/{id}/execute_kill?exec_id={exec}&signal=term");
    assert_eq!(api.post(ANN, &kill, Value::Null).await.expect(200).text, "null");
    assert_eq!(agent.receives("exec.kill").await.body["signal"], json!("SIGTERM"));
}

#[tokio::test]
async fn an_exec_is_granted_again_even_after_its_container_has_ended() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    for status in [Status::Running, Status::Stopped] {
        let id = api.container(&agent, &format!("test-{status}"), status).await;
        let exec = exec_id();
        let path = format!("/v1/containers/{id}/execute_attach?exec_id={exec}");
        let answer = api.post(ANN, &path, json!({"csr": csr()})).await.expect(200);
        assert_eq!(agent.receives("exec.attach").await.body["exec"], json!(exec));
        let endpoint = plain(answer.json());
        assert_eq!(endpoint["calls"]["inspect"], "https://192.0.2.7:2376/v1.41/exec/EXEC/json");
        let none = api.post(ANN, &path, json!({})).await.refusal();
        assert!(none.contains("'csr'"), "{none}");
        let kill = format!("/v1/containers/{id}/execute_kill?exec_id={exec}");
        let expected = if status == Status::Running { 200 } else { 409 };
        api.post(ANN, &kill, Value::Null).await.expect(expected);
    }
}

#[tokio::test]
async fn an_ended_containers_console_is_granted_only_for_its_next_start() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.container(&agent, "test", Status::Stopped).await;
    let path = format!("/v1/containers/{id}/attach");
    let ask = json!({"csr": csr(), "protocols": ["docker.attach"]});
    api.post(ANN, &path, ask.clone()).await.expect(409);
    let mut before = ask;
    before["before_start"] = json!(true);
    api.post(ANN, &path, before).await.expect(200);
    assert_eq!(agent.receives("container.attach").await.body["before_start"], json!(true));
}

#[tokio::test]
async fn a_console_can_be_requested_while_the_host_creates_the_container() {
    let api = Api::with_consoles().await;
    let agent = api.agent("h1").await;
    let id = api.create(ANN, json!({"image": "cirros", "name": "new"})).await;
    let path = format!("/v1/containers/{id}/attach?before_start=true");
    let ask = json!({"csr": csr(), "protocols": ["docker.attach"]});
    let granted = api.post(ANN, &path, ask);
    let creation = async {
        agent.receives_about("container.create", id).await;
        api.until_metric("zun_api_requests_waiting", 1.0).await;
        agent.report(id, Status::Created, |_| {}).await;
    };
    let (granted, ()) = tokio::join!(granted, creation);
    granted.expect(200);
    assert_eq!(agent.receives("container.attach").await.body["before_start"], json!(true));
}
