//! The `zun` binary with a service whose answers get lost: it repeats each request that changes a container with the same
//! idempotency key, and the service does it once.

use std::collections::{HashMap, HashSet};
use std::process::Output;
use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::fake::service::{DROP, Service, ServiceRequest};
use crate::run::container;

async fn zun(port: u16, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zun"));
    command
        .args(words)
        .env_clear()
        .env("OS_ENDPOINT", format!("http://127.0.0.1:{port}/v1"))
        .kill_on_drop(true);
    command.output().await.expect("the binary runs")
}

/// What a service has done: each request and its answer, by the key.
type Done = Mutex<HashMap<String, (String, (u16, Value))>>;

/// Does a request unless its key is known, and returns the answer, and whether it is a repeat.
fn once(done: &Done, request: &ServiceRequest, status_after: &str) -> (bool, (u16, Value)) {
    let key = request.key.clone().expect("a key");
    let mut done = done.lock().expect("whole");
    let is_repeat = done.contains_key(&key);
    let answer = match request.method.as_str() {
        "DELETE" => (204, Value::Null),
        "PATCH" => (200, container(status_after, &json!({}))),
        _ if request.line().ends_with("/v1/containers?run=false") => {
            (202, container("Creating", &json!({})))
        }
        _ => (202, Value::Null),
    };
    let entry = done.entry(key).or_insert((request.line(), answer));
    assert_eq!(entry.0, request.line(), "a key is used for one request");
    (is_repeat, entry.1.clone())
}

/// A verb with its arguments, the status of its container before and after it, and its request.
type Verb = (&'static [&'static str], [&'static str; 2], &'static str);

const VERBS: [Verb; 9] = [
    (&["create", "cirros"], ["Created", "Created"], "POST /v1/containers?run=false"),
    (&["start", "test"], ["Stopped", "Running"], "POST /v1/containers/ID/start"),
    (&["stop", "test"], ["Running", "Stopped"], "POST /v1/containers/ID/stop"),
    (&["restart", "test"], ["Running", "Running"], "POST /v1/containers/ID/reboot"),
    (&["kill", "test"], ["Running", "Stopped"], "POST /v1/containers/ID/kill?signal=SIGKILL"),
    (&["pause", "test"], ["Running", "Paused"], "POST /v1/containers/ID/pause"),
    (&["unpause", "test"], ["Paused", "Running"], "POST /v1/containers/ID/unpause"),
    (&["update", "--memory", "64m", "test"], ["Running", "Running"], "PATCH /v1/containers/test"),
    (&["delete", "test"], ["Stopped", "Deleted"], "DELETE /v1/containers/ID"),
];

/// A service that does each request once. The first answer to each is `first`.
async fn service(before: &'static str, after: &'static str, first: u16) -> Service {
    let done = Done::default();
    Service::start(move |request| {
        if request.method == "GET" {
            let changed = !done.lock().expect("whole").is_empty();
            let fields = |second, run: u8| {
                json!({ "updated_at": format!("2026-01-01 00:00:{second}"),
                    "started_at": format!("2026-01-01 00:00:0{run}"), "run": run })
            };
            let (status, more) =
                if changed { (after, fields(11, 2)) } else { (before, fields(10, 1)) };
            return (200, container(status, &more));
        }
        let (is_repeat, answer) = once(&done, &request, after);
        if is_repeat { answer } else { (first, Value::Null) }
    })
    .await
}

#[tokio::test]
async fn each_command_whose_answer_is_lost_repeats_the_request_with_the_same_key() {
    let mut keys = HashSet::new();
    for (words, [before, after], line) in VERBS {
        let service = service(before, after, DROP).await;
        let ended = zun(service.port, words).await;
        let stderr = String::from_utf8(ended.stderr).expect("text");
        assert_eq!((ended.status.code(), stderr.as_str()), (Some(0), ""), "{words:?}");
        let sent = service.requests().into_iter().filter(|sent| sent.method != "GET");
        let sent: Vec<_> = sent.map(|sent| (sent.line(), sent.key.expect("a key"))).collect();
        let [first, again] = sent.as_slice() else { panic!("not two requests: {sent:?}") };
        assert_eq!((first.0.as_str(), first), (line, again));
        assert!(keys.insert(first.1.clone()), "each command has a key of its own");
    }
}

#[tokio::test]
async fn a_request_that_the_service_asks_to_repeat_is_repeated_with_the_same_key() {
    let service = service("Running", "Stopped", 503).await;
    let ended = zun(service.port, &["stop", "test"]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    let sent = service.requests().into_iter().filter(|sent| sent.method == "POST");
    let keys: Vec<_> = sent.map(|sent| sent.key).collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
}

#[tokio::test]
async fn a_refused_request_and_a_read_are_not_repeated() {
    let service = service("Running", "Stopped", 409).await;
    let ended = zun(service.port, &["stop", "test"]).await;
    assert_eq!(ended.status.code(), Some(1));
    let lines: Vec<_> = service.requests().iter().map(ServiceRequest::line).collect();
    assert_eq!(lines, ["GET /v1/containers/test", "POST /v1/containers/ID/stop"]);
    assert!(service.requests()[0].key.is_none(), "a read needs no key");
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_reported_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let ended = zun(port, &["create", "cirros"]).await;
    let words = String::from_utf8(ended.stderr).expect("text");
    assert!(words.contains("cannot reach the service"), "{words}");
}
