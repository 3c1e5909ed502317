//! The real binary between a fake service and a fake engine: what it asks, in which order, and how it ends.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Notify;

use crate::fake::service::{Ask, ID, Service};
use crate::fake::{Asked, Engine};

const UPGRADED: &[u8] = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

/// What happened, in order, on the service and on the engine.
#[derive(Default)]
struct Story {
    lines: Mutex<Vec<String>>,
    started: Notify,
}

impl Story {
    fn tell(&self, line: &str) {
        self.lines.lock().expect("whole").push(line.to_owned());
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("whole").clone()
    }

    /// How often news was asked for of one whose last change was in 2026, and none was there.
    fn waits_without_news(&self) -> usize {
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

/// A service whose container is `status` after its start, with a console on this engine.
async fn service(story: &Arc<Story>, engine: &Arc<Engine>, after: Value) -> Service {
    let (story, engine) = (Arc::clone(story), Arc::clone(engine));
    Service::start(move |ask: Ask| {
        let line = ask.line();
        story.tell(&line);
        match line.as_str() {
            "POST /v1/containers?run=false" => (202, container("Creating", &json!({}))),
            "POST /v1/containers/ID/attach" => {
                let csr = text(&ask.body, "csr");
                (200, engine.endpoint(&csr))
            }
            "POST /v1/containers/ID/start" => {
                story.started.notify_one();
                (202, Value::Null)
            }
            line if line.starts_with("DELETE ") => (204, Value::Null),
            _ if story.lines().iter().any(|line| line.ends_with("/start")) => {
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

/// An engine whose process echoes its input once it was started, and then exits with 3.
async fn echo(story: &Arc<Story>) -> Arc<Engine> {
    let story = Arc::clone(story);
    let engine = Engine::start(&["127.0.0.1"], move |mut asked: Asked| {
        let story = Arc::clone(&story);
        async move {
            story.tell(asked.head.lines().next().unwrap_or_default());
            if asked.head.starts_with("POST /c/wait") {
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n";
                asked.stream.write_all(head).await.expect("registered");
                story.started.notified().await;
                asked.stream.write_all(b"{\"StatusCode\":3}").await.expect("told");
                return;
            }
            asked.stream.write_all(UPGRADED).await.expect("attached");
            let mut typed = Vec::new();
            asked.stream.read_to_end(&mut typed).await.expect("an end of the input");
            let mut frame = vec![1, 0, 0, 0, 0, 0, 0, u8::try_from(typed.len()).expect("short")];
            frame.extend(typed);
            asked.stream.write_all(&frame).await.expect("echoed");
            asked.stream.shutdown().await.expect("ended");
        }
    })
    .await;
    Arc::new(engine)
}

#[tokio::test]
async fn run_attaches_and_waits_before_it_starts_and_ends_with_the_commands_code() {
    let story = Arc::new(Story::default());
    let engine = echo(&story).await;
    let after = json!({ "status": "Stopped", "exit_code": 3 });
    let service = service(&story, &engine, after).await;
    let ran = zun(&service, &["run", "-i", "--name", "test", "cirros", "/bin/sh"], "hello").await;
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(3), "hello", ""));
    let lines = story.lines();
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
    // Both are asked at once, each on a connection of its own.
    assert!(watched_and_started.contains(&"POST /v1/containers/ID/start"), "{lines:?}");
    let asks = service.asks();
    assert_eq!(asks[0].body["command"], json!(["/bin/sh"]));
    assert_eq!(asks[0].body["stdin_once"], json!(true));
    assert_eq!((&asks[0].body["interactive"], &asks[0].body["tty"]), (&json!(true), &json!(false)));
    assert!(asks.iter().all(|ask| ask.token.as_deref() == Some("secret")));
}

#[tokio::test]
async fn a_command_that_cannot_be_run_is_told_with_its_own_code_and_removed() {
    let story = Arc::new(Story::default());
    let engine = Engine::start(&["127.0.0.1"], |mut asked: Asked| async move {
        if asked.head.starts_with("POST /c/wait") {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n";
            asked.stream.write_all(head).await.expect("registered");
        } else {
            asked.stream.write_all(UPGRADED).await.expect("attached");
        }
        std::future::pending::<()>().await;
    })
    .await;
    let why = "exec: \"nosuch\": executable file not found in $PATH";
    let after = json!({ "status": "Error", "exit_code": 127, "status_reason": why });
    let service = service(&story, &Arc::new(engine), after).await;
    let ran = zun(&service, &["run", "--rm", "cirros", "nosuch"], "").await;
    assert_eq!(ran.code, Some(127));
    assert_eq!(ran.stderr, format!("zun: test: {why}\n"));
    assert_eq!(
        story.lines().last().map(String::as_str),
        Some("DELETE /v1/containers/ID?force=true")
    );
}

async fn tells_of_the_next_run(service: &Service) {
    let ran = zun(service, &["run", "-i", "--restart", "always", "cirros"], "").await;
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("was restarted"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_restart_by_policy_is_said_and_is_no_exit_0() {
    let story = Arc::new(Story::default());
    let engine = echo(&story).await;
    let after = json!({ "status": "Restarting", "exit_code": 0 });
    let service = service(&story, &engine, after).await;
    tells_of_the_next_run(&service).await;
}

#[tokio::test]
async fn a_restart_by_policy_is_said_also_where_the_service_hears_of_the_end_late() {
    let story = Arc::new(Story::default());
    let engine = echo(&story).await;
    let heard_by = Arc::clone(&story);
    let run = |second: u8| {
        json!({ "restart_policy": { "Name": "always", "MaximumRetryCount": "0" },
            "started_at": format!("2026-01-01 00:00:0{second}"), "updated_at": format!("2026-01-01 00:00:1{second}") })
    };
    let service = Service::start(move |ask: Ask| {
        let line = ask.line();
        heard_by.tell(&line);
        let lines = heard_by.lines();
        let waits = heard_by.waits_without_news();
        match line.as_str() {
            "POST /v1/containers?run=false" => (202, container("Creating", &run(0))),
            "POST /v1/containers/ID/attach" => (200, engine.endpoint(&text(&ask.body, "csr"))),
            "POST /v1/containers/ID/start" => (202, Value::Null),
            _ if waits > 3 => (200, container("Running", &run(2))),
            _ if lines.iter().any(|line| line.ends_with("/start")) => {
                // It ends once its beginning is known.
                heard_by.started.notify_one();
                (200, container("Running", &run(1)))
            }
            _ => (200, container("Created", &run(0))),
        }
    })
    .await;
    tells_of_the_next_run(&service).await;
}

#[tokio::test]
async fn a_second_run_is_not_told_by_what_the_service_says_of_the_first() {
    let story = Arc::new(Story::default());
    let engine = echo(&story).await;
    let heard_by = Arc::clone(&story);
    let run = |number: u8, code: u8, reason: Value| {
        json!({ "exit_code": code, "status_reason": reason, "task_state": null,
            "started_at": format!("2026-01-01 00:00:0{number}"),
            "updated_at": format!("2026-01-01 00:00:1{number}") })
    };
    let service = Service::start(move |ask: Ask| {
        let line = ask.line();
        heard_by.tell(&line);
        let waits = heard_by.waits_without_news();
        match line.as_str() {
            "POST /v1/containers/ID/attach" => (200, engine.endpoint(&text(&ask.body, "csr"))),
            "POST /v1/containers/ID/start" => {
                heard_by.started.notify_one();
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
async fn a_refusal_names_the_request() {
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
async fn the_hosts_refusal_of_a_dial_is_125_and_what_was_made_is_removed() {
    let story = Arc::new(Story::default());
    let engine = Engine::start(&["127.0.0.1"], |mut asked: Asked| async move {
        let answer =
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 22\r\n\r\n{\"message\":\"not here\"}";
        asked.stream.write_all(answer).await.expect("refused");
        asked.stream.shutdown().await.expect("ended");
    })
    .await;
    let service = service(&story, &Arc::new(engine), json!({ "status": "Created" })).await;
    let ran = zun(&service, &["run", "-i", "--rm", "cirros"], "").await;
    assert_eq!(ran.code, Some(125));
    assert_eq!(ran.stderr, "zun: the host refused (403): not here\n");
    assert!(story.lines().iter().any(|line| line.starts_with("DELETE ")));
    assert!(!story.lines().iter().any(|line| line.ends_with("/start")));
}
