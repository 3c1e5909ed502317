//! The real binary between a fake service and a fake engine: its requests, their order, and its exit code.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Notify;

use crate::fake::service::{ID, Service, ServiceRequest};
use crate::fake::{Engine, EngineRequest};

const UPGRADED: &[u8] = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

/// The requests to the service and to the engine, in order.
#[derive(Default)]
struct EventLog {
    lines: Mutex<Vec<String>>,
    started: Notify,
}

impl EventLog {
    fn record(&self, line: &str) {
        self.lines.lock().expect("whole").push(line.to_owned());
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("whole").clone()
    }

    /// Returns the number of wait requests that have `unless_updated` set to a time in 2026.
    fn waits_without_change(&self) -> usize {
        self.lines().iter().filter(|line| line.contains("unless_updated=2026")).count()
    }
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

async fn zun(service: &Service, arguments: &[&str], stdin: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_zun"))
        .args(arguments)
        .env_clear()
        .env("OS_ENDPOINT", format!("http://127.0.0.1:{}/v1", service.port))
        .env("OS_TOKEN", "secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary runs");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(stdin.as_bytes()).await.expect("typed");
    drop(input);
    let output = child.wait_with_output().await.expect("ended");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Starts a service whose container has the fields `after` after its start, and a console on this engine.
async fn service(log: &Arc<EventLog>, engine: &Arc<Engine>, after: Value) -> Service {
    let (log, engine) = (Arc::clone(log), Arc::clone(engine));
    Service::start(move |request: ServiceRequest| {
        let line = request.line();
        log.record(&line);
        match line.as_str() {
            "POST /v1/containers?run=false" => (202, container("Creating", &json!({}))),
            "POST /v1/containers/ID/attach" => {
                let csr = text(&request.body, "csr");
                (200, engine.endpoint(&csr))
            }
            "POST /v1/containers/ID/start" => {
                log.started.notify_one();
                (202, Value::Null)
            }
            line if line.starts_with("DELETE ") => (204, Value::Null),
            _ if log.lines().iter().any(|line| line.ends_with("/start")) => {
                let status = text(&after, "status");
                (200, container(&status, &after))
            }
            _ => (200, container("Created", &json!({}))),
        }
    })
    .await
}

pub(crate) fn container(status: &str, more: &Value) -> Value {
    let mut container = json!({
        "uuid": ID, "name": "test", "project_id": "p", "user_id": "u",
        "image": "cirros", "cpu": 1.0, "cpu_policy": "shared", "memory": "512", "command": null,
        "entrypoint": null, "status": status, "status_reason": null, "status_detail": null,
        "task_state": null, "environment": {}, "workdir": null, "hostname": null, "labels": {},
        "interactive": true, "tty": false, "attached": 0, "exit_code": null, "auto_remove": false,
        "auto_heal": false, "restart_policy": null, "image_driver": "docker", "ports": [],
        "addresses": {}, "security_groups": null, "disk": 0, "healthcheck": null,
        "registry_id": null, "created_at": null, "updated_at": null,
    });
    let fields = container.as_object_mut().expect("fields");
    fields.extend(more.as_object().expect("fields").clone());
    container
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).expect("a text").to_owned()
}

/// Starts an engine whose process echoes its input and exits with 3 after it was started.
async fn echo(log: &Arc<EventLog>) -> Arc<Engine> {
    let log = Arc::clone(log);
    let engine = Engine::start(&["127.0.0.1"], move |mut request: EngineRequest| {
        let log = Arc::clone(&log);
        async move {
            log.record(request.head.lines().next().unwrap_or_default());
            if request.head.starts_with("POST /c/wait") {
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n";
                request.stream.write_all(head).await.expect("registered");
                log.started.notified().await;
                request.stream.write_all(b"{\"StatusCode\":3}").await.expect("told");
                return;
            }
            request.stream.write_all(UPGRADED).await.expect("attached");
            let mut typed = Vec::new();
            request.stream.read_to_end(&mut typed).await.expect("an end of the input");
            let mut frame = vec![1, 0, 0, 0, 0, 0, 0, u8::try_from(typed.len()).expect("short")];
            frame.extend(typed);
            request.stream.write_all(&frame).await.expect("echoed");
            request.stream.shutdown().await.expect("ended");
        }
    })
    .await;
    Arc::new(engine)
}

#[tokio::test]
async fn run_attaches_and_waits_before_it_starts_and_exits_with_the_commands_code() {
    let log = Arc::new(EventLog::default());
    let engine = echo(&log).await;
    let after = json!({ "status": "Stopped", "exit_code": 3 });
    let service = service(&log, &engine, after).await;
    let ran = zun(&service, &["run", "-i", "--name", "test", "cirros", "/bin/sh"], "hello").await;
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(3), "hello", ""));
    let lines = log.lines();
    let beginning: Vec<&str> = lines.iter().take(7).map(String::as_str).collect();
    let (before, watched_and_started) = beginning.split_at(5);
    assert_eq!(
        before,
        [
            "POST /v1/containers?run=false",
            "GET /v1/containers/ID?wait_for=Created%2CRunning%2CStopped%2CPaused%2CRestarting%2CDeleted%2CDead%2CError&timeout=25&unless_updated=",
            "POST /v1/containers/ID/attach",
            "POST /c/attach?stdin=1 HTTP/1.1",
            "POST /c/wait?condition=next-exit HTTP/1.1",
        ]
    );
    // Both requests are sent at once, each on its own connection.
    assert!(watched_and_started.contains(&"POST /v1/containers/ID/start"), "{lines:?}");
    let requests = service.requests();
    assert_eq!(requests[0].body["command"], json!(["/bin/sh"]));
    assert_eq!(requests[0].body["stdin_once"], json!(true));
    assert_eq!(
        (&requests[0].body["interactive"], &requests[0].body["tty"]),
        (&json!(true), &json!(false))
    );
    assert!(requests.iter().all(|request| request.token.as_deref() == Some("secret")));
}

#[tokio::test]
async fn a_command_that_cannot_start_gives_exit_code_127_and_is_removed() {
    let log = Arc::new(EventLog::default());
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        if request.head.starts_with("POST /c/wait") {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n";
            request.stream.write_all(head).await.expect("registered");
        } else {
            request.stream.write_all(UPGRADED).await.expect("attached");
        }
        std::future::pending::<()>().await;
    })
    .await;
    let why = "exec: \"nosuch\": executable file not found in $PATH";
    let after = json!({ "status": "Error", "exit_code": 127, "status_reason": why });
    let service = service(&log, &Arc::new(engine), after).await;
    let ran = zun(&service, &["run", "--rm", "cirros", "nosuch"], "").await;
    assert_eq!(ran.code, Some(127));
    assert_eq!(ran.stderr, format!("zun: test: {why}\n"));
    assert_eq!(log.lines().last().map(String::as_str), Some("DELETE /v1/containers/ID?force=true"));
}

async fn check_restart_notice(service: &Service) {
    let ran = zun(service, &["run", "-i", "--restart", "always", "cirros"], "").await;
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("was restarted"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_restart_by_policy_is_reported() {
    let log = Arc::new(EventLog::default());
    let engine = echo(&log).await;
    let after = json!({ "status": "Restarting", "exit_code": 0 });
    let service = service(&log, &engine, after).await;
    check_restart_notice(&service).await;
}

#[tokio::test]
async fn a_restart_by_policy_is_reported_if_the_service_learns_of_the_exit_late() {
    let log = Arc::new(EventLog::default());
    let engine = echo(&log).await;
    let log_writer = Arc::clone(&log);
    let run = |second: u8| {
        json!({ "restart_policy": { "Name": "always", "MaximumRetryCount": "0" },
            "started_at": format!("2026-01-01 00:00:0{second}"), "updated_at": format!("2026-01-01 00:00:1{second}") })
    };
    let service = Service::start(move |request: ServiceRequest| {
        let line = request.line();
        log_writer.record(&line);
        let lines = log_writer.lines();
        let waits = log_writer.waits_without_change();
        match line.as_str() {
            "POST /v1/containers?run=false" => (202, container("Creating", &run(0))),
            "POST /v1/containers/ID/attach" => (200, engine.endpoint(&text(&request.body, "csr"))),
            "POST /v1/containers/ID/start" => (202, Value::Null),
            _ if waits > 3 => (200, container("Running", &run(2))),
            _ if lines.iter().any(|line| line.ends_with("/start")) => {
                // The process exits after the service knows that it has started.
                log_writer.started.notify_one();
                (200, container("Running", &run(1)))
            }
            _ => (200, container("Created", &run(0))),
        }
    })
    .await;
    check_restart_notice(&service).await;
}

#[tokio::test]
async fn the_result_of_the_first_run_is_not_reported_for_the_second() {
    let log = Arc::new(EventLog::default());
    let engine = echo(&log).await;
    let log_writer = Arc::clone(&log);
    let run = |number: u8, code: u8, reason: Value| {
        json!({ "exit_code": code, "status_reason": reason, "task_state": null,
            "started_at": format!("2026-01-01 00:00:0{number}"),
            "updated_at": format!("2026-01-01 00:00:1{number}") })
    };
    let service = Service::start(move |request: ServiceRequest| {
        let line = request.line();
        log_writer.record(&line);
        let waits = log_writer.waits_without_change();
        match line.as_str() {
            "POST /v1/containers/ID/attach" => (200, engine.endpoint(&text(&request.body, "csr"))),
            "POST /v1/containers/ID/start" => {
                log_writer.started.notify_one();
                (202, Value::Null)
            }
            _ if waits > 3 => (200, container("Stopped", &run(2, 3, Value::Null))),
            _ => (200, container("Stopped", &run(1, 1, json!("of the first run")))),
        }
    })
    .await;
    let ran = zun(&service, &["start", "-a", "-i", "test"], "hello").await;
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(3), "hello", ""));
}

#[tokio::test]
async fn a_refusal_contains_the_request_id() {
    let service = Service::start(|_ask| {
        let problem = json!({ "request_id": "", "code": "container.conflict", "status": 409,
            "title": "A container with name test already exists.", "detail": "", "links": [] });
        (409, json!({ "errors": [problem] }))
    })
    .await;
    let ran = zun(&service, &["run", "--name", "test", "cirros"], "").await;
    assert_eq!(ran.code, Some(125));
    assert_eq!(ran.stderr, "zun: A container with name test already exists. (request req-fake)\n");
    let ran = zun(&service, &["stop", "test"], "").await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
}

#[tokio::test]
async fn a_console_refused_by_the_host_gives_exit_code_125_and_removes_the_container() {
    let log = Arc::new(EventLog::default());
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        let answer =
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 22\r\n\r\n{\"message\":\"not here\"}";
        request.stream.write_all(answer).await.expect("refused");
        request.stream.shutdown().await.expect("ended");
    })
    .await;
    let service = service(&log, &Arc::new(engine), json!({ "status": "Created" })).await;
    let ran = zun(&service, &["run", "-i", "--rm", "cirros"], "").await;
    assert_eq!(ran.code, Some(125));
    assert_eq!(ran.stderr, "zun: the host refused (403): not here\n");
    assert!(log.lines().iter().any(|line| line.starts_with("DELETE ")));
    assert!(!log.lines().iter().any(|line| line.ends_with("/start")));
}
