//! The `zun` binary's commands on containers in every status: each ends as soon as its outcome is known, not before.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::fake::service::Service;
use crate::run::{container, run};

/// Much less than the time after which a command gives up.
const SOON: Duration = Duration::from_secs(10);

async fn zun(service: &Service, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zun"));
    command
        .args(words)
        .env_clear()
        .env("OS_ENDPOINT", format!("http://127.0.0.1:{}/v1", service.port))
        .kill_on_drop(true);
    let output = tokio::time::timeout(SOON, command.output()).await;
    output.map_err(|_elapsed| words.join(" ")).expect("it ends soon").expect("the binary runs")
}

/// A container with this status that was updated at `second`. Its newest run has the number `started` and began then.
fn seen(status: &str, second: u8, started: u8) -> Value {
    let more = json!({ "updated_at": format!("2026-01-01 00:00:{second:02}"),
        "started_at": format!("2026-01-01 00:00:{started:02}"), "run": started });
    container(status, &more)
}

/// Starts a service whose container has status `before` until `commands` commands have arrived, then `after`.
async fn service(before: &'static str, after: &'static str, commands: usize) -> Service {
    let received = AtomicUsize::new(0);
    Service::start(move |ask| {
        if ask.method != "GET" {
            received.fetch_add(1, Ordering::Relaxed);
            return (202, Value::Null);
        }
        let is_done = received.load(Ordering::Relaxed) >= commands;
        (200, if is_done { seen(after, 11, 2) } else { seen(before, 10, 1) })
    })
    .await
}

#[tokio::test]
async fn every_command_ends_at_once_in_each_status_that_decides_its_outcome() {
    let decisive = [
        ("start", "Stopped", "Running Stopped Paused Restarting Deleting Deleted Dead Error"),
        ("restart", "Running", "Running Stopped Paused Restarting Deleting Deleted Dead Error"),
        ("stop", "Running", "Created Stopped Deleted Dead Error"),
        ("kill", "Running", "Created Stopped Deleted Dead Error"),
        ("pause", "Running", "Paused Created Stopped Restarting Deleting Deleted Dead Error"),
        ("unpause", "Paused", "Running Created Stopped Restarting Deleting Deleted Dead Error"),
        ("delete", "Stopped", "Deleted Dead Error"),
    ];
    let case = async |verb: &str, before, after| {
        let service = service(before, after, 1).await;
        let code = zun(&service, &[verb, "test"]).await.status.code();
        assert!(matches!(code, Some(0 | 1)), "{verb} {after}: {code:?}");
    };
    for (verb, before, after) in decisive {
        join_all(after.split(' ').map(|after| case(verb, before, after))).await;
    }
}

#[tokio::test]
async fn a_wait_continues_with_the_same_run_until_it_has_ended() {
    let received = AtomicUsize::new(0);
    let service = Service::start(move |ask| {
        assert_eq!(ask.method, "POST");
        let first = received.fetch_add(1, Ordering::Relaxed) == 0;
        if first {
            assert_eq!(
                (ask.target.as_str(), &ask.body["run"]),
                ("/v1/containers/test/wait", &Value::Null)
            );
            return (200, run(4, &json!({})));
        }
        assert_eq!(
            (ask.line().as_str(), &ask.body["run"]),
            ("POST /v1/containers/ID/wait", &json!(4))
        );
        (200, run(4, &json!({ "exit_code": 7, "reason": "restarted" })))
    })
    .await;
    let ended = zun(&service, &["wait", "test"]).await;
    assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(0), &b"7\n"[..]));
    assert_eq!(service.requests().len(), 2);
}

/// Starts a service that answers GET requests with `story` in order, and repeats the last. Also returns how many it
/// has answered.
async fn answering(story: Vec<Value>) -> (Service, Arc<AtomicUsize>) {
    let received = Arc::new(AtomicUsize::new(0));
    let next = Arc::clone(&received);
    let service = Service::start(move |ask| {
        if ask.method != "GET" {
            return (202, Value::Null);
        }
        let index = next.fetch_add(1, Ordering::Relaxed);
        (200, story.get(index).or(story.last()).cloned().unwrap_or_default())
    })
    .await;
    (service, received)
}

#[tokio::test]
async fn a_restart_waits_for_a_new_run_even_if_the_container_is_running() {
    let (service, received) = answering(vec![
        seen("Running", 10, 1),
        seen("Running", 11, 1),
        seen("Stopped", 12, 1),
        seen("Running", 13, 2),
    ])
    .await;
    let ended = zun(&service, &["restart", "test"]).await;
    assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(0), &b"test\n"[..]));
    assert_eq!(received.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_wait_fails_if_the_exit_code_is_not_known() {
    for (reason, words) in [("unseen", "exit code is not known"), ("removed", "it was removed")] {
        let end = json!({ "reason": reason });
        let service = Service::start(move |_ask| (200, run(1, &end))).await;
        let ended = zun(&service, &["wait", "test"]).await;
        let shown = String::from_utf8(ended.stderr).expect("text");
        assert_eq!((ended.status.code(), shown.lines().count()), (Some(1), 1), "{shown}");
        assert!(shown.contains(words), "{shown}");
    }
}

#[tokio::test]
async fn a_command_that_the_host_refused_fails_with_its_reason() {
    for verb in ["start", "stop", "restart", "kill", "pause"] {
        let before = if verb == "start" { "Stopped" } else { "Running" };
        let mut refused = seen(before, 11, 1);
        refused["status_reason"] = json!("the engine hangs");
        let (service, _received) = answering(vec![seen(before, 10, 1), refused]).await;
        let ended = zun(&service, &[verb, "test"]).await;
        let words = String::from_utf8(ended.stderr).expect("text");
        assert_eq!(words, "zun: test: the engine hangs\n", "{verb}");
        assert_eq!(ended.status.code(), Some(1), "{verb}");
    }
}

#[tokio::test]
async fn commands_run_on_several_containers_at_once_and_print_them_in_order() {
    let names = ["d", "a", "c", "b"];
    for (verb, before, after) in [
        ("stop", "Running", "Stopped"),
        ("restart", "Running", "Running"),
        ("kill", "Running", "Stopped"),
        ("start", "Stopped", "Running"),
        ("delete", "Stopped", "Deleted"),
        ("pause", "Running", "Paused"),
        ("unpause", "Paused", "Running"),
    ] {
        // The status changes only after all commands have arrived, so they must run at the same time.
        let service = service(before, after, names.len()).await;
        let ended = zun(&service, &[&[verb][..], &names].concat()).await;
        let shown = String::from_utf8(ended.stdout).expect("text");
        assert_eq!((ended.status.code(), shown.as_str()), (Some(0), "d\na\nc\nb\n"), "{verb}");
    }
}
