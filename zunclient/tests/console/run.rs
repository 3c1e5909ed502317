//! The real binary between a fake service and a fake engine: its requests, their order, and its exit code.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
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

    /// Returns whether the container was started, and how many waits for its run have arrived since.
    fn waits_since_start(&self) -> Option<usize> {
        let lines = self.lines();
        let start = lines.iter().position(|line| line.ends_with("/start"))?;
        Some(lines.iter().skip(start).filter(|line| line.ends_with("ID/wait")).count())
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

/// Starts a service whose container's run has ended like this at the second wait after its start, and a console on this
/// engine.
async fn service(log: &Arc<EventLog>, engine: &Arc<Engine>, end: Value) -> Service {
    let (log, engine) = (Arc::clone(log), Arc::clone(engine));
    Service::start(move |request: ServiceRequest| {
        let line = request.line();
        log.record(&line);
        match line.as_str() {
            "POST /v1/containers?run=false" => (202, container("Creating", &json!({}))),
            "POST /v1/containers/ID/attach?before_start=true" => {
                let csr = text(&request.body, "csr");
                (200, engine.endpoint(&csr))
            }
            "POST /v1/containers/ID/start" => {
                log.started.notify_one();
                (202, Value::Null)
            }
            line if line.starts_with("DELETE ") => (204, Value::Null),
            "POST /v1/containers/ID/wait" => match log.waits_since_start() {
                None | Some(0 | 1) => (200, run(1, &json!({}))),
                Some(_) => (200, run(1, &end)),
            },
            _ => (200, container("Created", &json!({}))),
        }
    })
    .await
}

/// The answer to a wait for a run, with these fields.
pub(crate) fn run(number: u8, more: &Value) -> Value {
    let mut run = json!({ "number": number, "started_at": "2026-01-01 00:00:01", "finished_at": null,
        "exit_code": null, "reason": null, "message": null });
    let fields = run.as_object_mut().expect("fields");
    fields.extend(more.as_object().expect("fields").clone());
    json!({ "uuid": ID, "run": run })
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
    let end = json!({ "exit_code": 3, "reason": "exited" });
    let service = service(&log, &engine, end).await;
    let ran = zun(&service, &["run", "-i", "--name", "test", "cirros", "/bin/sh"], "hello").await;
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(3), "hello", ""));
    let lines = log.lines();
    let beginning: Vec<&str> = lines.iter().take(6).map(String::as_str).collect();
    let (before, rest) = beginning.split_at(2);
    assert_eq!(
        before,
        ["POST /v1/containers?run=false", "POST /v1/containers/ID/attach?before_start=true"]
    );
    let (on_the_host, watched_and_started) = rest.split_at(2);
    let mut on_the_host = on_the_host.to_vec();
    on_the_host.sort_unstable();
    assert_eq!(
        on_the_host,
        ["POST /c/attach?stdin=1 HTTP/1.1", "POST /c/wait?condition=next-exit HTTP/1.1"]
    );
    // Both requests are sent at once, each on its own connection.
    assert!(watched_and_started.contains(&"POST /v1/containers/ID/start"), "{lines:?}");
    assert!(watched_and_started.contains(&"POST /v1/containers/ID/wait"), "{lines:?}");
    let others = lines.iter().skip(6).filter(|line| !line.ends_with("ID/wait"));
    assert_eq!(others.count(), 0, "{lines:?}");
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
    let end =
        json!({ "started_at": null, "exit_code": 127, "reason": "not_started", "message": why });
    let service = service(&log, &Arc::new(engine), end).await;
    let ran = zun(&service, &["run", "--rm", "cirros", "nosuch"], "").await;
    assert_eq!(ran.code, Some(127));
    assert_eq!(ran.stderr, format!("zun: test: {why}\n"));
    assert_eq!(log.lines().last().map(String::as_str), Some("DELETE /v1/containers/ID?force=true"));
}

#[tokio::test]
async fn a_creation_that_takes_long_or_fails_gives_the_hosts_reason() {
    let log = Arc::new(EventLog::default());
    let log_writer = Arc::clone(&log);
    let service = Service::start(move |request: ServiceRequest| {
        let line = request.line();
        log_writer.record(&line);
        match line.as_str() {
            "POST /v1/containers/ID/attach?before_start=true" => {
                let problem = json!({ "request_id": "", "code": "container.invalid-state-exception",
                    "status": 409, "title": "Cannot start it.", "detail": "", "links": [] });
                (409, json!({ "errors": [problem] }))
            }
            "POST /v1/containers?run=false" => (202, container("Creating", &json!({}))),
            line if line.starts_with("DELETE ") => (204, Value::Null),
            _ => (200, container("Error", &json!({ "status_reason": "no such image" }))),
        }
    })
    .await;
    let ran = zun(&service, &["run", "--name", "test", "nosuch"], "").await;
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (Some(125), "zun: test: no such image; check the name and the tag of the image\n")
    );
    let last = log.lines().last().cloned();
    assert_eq!(last.as_deref(), Some("DELETE /v1/containers/ID?force=true"), "its name is free");
}

#[tokio::test]
async fn a_service_that_restarts_during_a_creation_does_not_end_the_run() {
    let log = Arc::new(EventLog::default());
    let engine = echo(&log).await;
    let (log_writer, asked) = (Arc::clone(&log), AtomicBool::new(false));
    let service = Service::start(move |request: ServiceRequest| {
        let line = request.line();
        log_writer.record(&line);
        match line.as_str() {
            "POST /v1/containers/ID/attach?before_start=true"
                if !asked.swap(true, Ordering::Relaxed) =>
            {
                (502, Value::Null)
            }
            "POST /v1/containers/ID/attach?before_start=true" => {
                (200, engine.endpoint(&text(&request.body, "csr")))
            }
            "POST /v1/containers/ID/start" => {
                log_writer.started.notify_one();
                (202, Value::Null)
            }
            "POST /v1/containers/ID/wait" => {
                (200, run(1, &json!({ "exit_code": 3, "reason": "exited" })))
            }
            "POST /v1/containers?run=false" => (202, container("Creating", &json!({}))),
            _ => (200, container("Created", &json!({}))),
        }
    })
    .await;
    let ran = zun(&service, &["run", "-i", "cirros"], "hello").await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), "hello"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_restart_is_reported_with_the_exit_code_of_the_run_that_ended() {
    let log = Arc::new(EventLog::default());
    let engine = echo(&log).await;
    // The host answers with 3: that is the exit code of the next run.
    let end = json!({ "exit_code": 9, "reason": "restarted" });
    let service = service(&log, &engine, end).await;
    let ran = zun(&service, &["run", "-i", "--restart", "always", "cirros"], "").await;
    assert_eq!(ran.code, Some(9), "{}", ran.stderr);
    assert!(ran.stderr.contains("exited with 9 and was restarted"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_removal_and_the_lack_of_memory_are_reported() {
    for (end, words) in [
        (json!({ "exit_code": 3, "reason": "removed" }), "was removed; its process exited with 3"),
        (json!({ "exit_code": 3, "reason": "out_of_memory", "message": "no memory" }), "no memory"),
    ] {
        let log = Arc::new(EventLog::default());
        let engine = echo(&log).await;
        let service = service(&log, &engine, end).await;
        let ran = zun(&service, &["run", "-i", "cirros"], "").await;
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_session_asks_for_the_end_of_its_own_run() {
    let log = Arc::new(EventLog::default());
    let engine = echo(&log).await;
    let log_writer = Arc::clone(&log);
    let service = Service::start(move |request: ServiceRequest| {
        let line = request.line();
        log_writer.record(&line);
        match line.as_str() {
            "POST /v1/containers/ID/attach?before_start=true" => {
                let mut endpoint = engine.endpoint(&text(&request.body, "csr"));
                endpoint["run"] = json!(2);
                (200, endpoint)
            }
            "POST /v1/containers/ID/start" => {
                log_writer.started.notify_one();
                (202, Value::Null)
            }
            "POST /v1/containers/ID/wait" if request.body["run"] == json!(2) => {
                (200, run(2, &json!({ "exit_code": 3, "reason": "exited" })))
            }
            "POST /v1/containers/ID/wait" => {
                let end = json!({ "exit_code": 1, "reason": "exited", "message": "of the first" });
                (200, run(1, &end))
            }
            _ => (200, container("Stopped", &json!({ "exit_code": 1, "run": 1 }))),
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
    let service = service(&log, &Arc::new(engine), json!({})).await;
    let ran = zun(&service, &["run", "-i", "--rm", "cirros"], "").await;
    assert_eq!(ran.code, Some(125));
    assert_eq!(ran.stderr, "zun: the host refused (403): not here\n");
    assert!(log.lines().iter().any(|line| line.starts_with("DELETE ")));
    assert!(!log.lines().iter().any(|line| line.ends_with("/start")));
}
