//! The `zun` binary with a service that fails temporarily, control characters in its answers, and interrupted requests.

use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::fake::service::Service;
use crate::run::{container, run};

async fn wait(service: &Service) -> Output {
    zun("wait", service).await
}

async fn zun(verb: &str, service: &Service) -> Output {
    command(verb, service).output().await.expect("the binary runs")
}

fn command(verb: &str, service: &Service) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zun"));
    command
        .args([verb, "test"])
        .env_clear()
        .env("OS_ENDPOINT", format!("http://127.0.0.1:{}/v1", service.port))
        .kill_on_drop(true);
    command
}

/// Starts a service that answers the first `failures` waits with status 503, and the others with `run`.
async fn service(failures: u32, run: Value) -> Service {
    let left = AtomicU32::new(failures);
    let running = container("Running", &json!({}));
    Service::start(move |ask| {
        let waits = ask.target.ends_with("/wait");
        let fails = waits
            && left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok();
        match (waits, fails) {
            (false, _) => (200, running.clone()),
            (true, true) => (503, Value::Null),
            (true, false) => (200, run.clone()),
        }
    })
    .await
}

#[tokio::test]
async fn a_wait_continues_while_the_service_is_unavailable_and_prints_one_notice() {
    let service = service(2, run(1, &json!({ "exit_code": 7, "reason": "exited" }))).await;
    let ended = wait(&service).await;
    let words = String::from_utf8(ended.stderr).expect("text");
    assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(0), &b"7\n"[..]), "{words}");
    assert!(words.ends_with("; still waiting\n"), "{words}");
    assert_eq!(words.lines().count(), 1, "{words}");
}

#[tokio::test]
async fn control_characters_from_the_service_are_replaced() {
    let why = json!({ "reason": "not_started", "message": "bad\x1b]0;title\x07\n\u{9b}2J" });
    let service = service(0, run(1, &why)).await;
    let ended = wait(&service).await;
    let words = String::from_utf8(ended.stderr).expect("text");
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(words, "zun: test: bad\u{fffd}]0;title\u{fffd} \u{fffd}2J\n");
}

#[tokio::test]
async fn a_signal_during_a_create_request_leaves_no_container() {
    for verb in ["run", "create"] {
        let asking = Arc::new(OnceLock::new());
        let asked = Arc::clone(&asking);
        let service = Service::start(move |ask| match ask.method.as_str() {
            "POST" => {
                let pid: &Pid = asked.get().expect("its number");
                rustix::process::kill_process(*pid, Signal::INT).expect("it runs");
                // The signal arrives long before the answer.
                std::thread::park_timeout(Duration::from_millis(300));
                (202, container("Creating", &json!({})))
            }
            "DELETE" => (204, Value::Null),
            _ => (200, container("Creating", &json!({}))),
        })
        .await;
        let child = command(verb, &service)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let pid = i32::try_from(child.id().expect("it runs")).ok().and_then(Pid::from_raw);
        asking.set(pid.expect("a number")).expect("once");
        let ended = child.wait_with_output().await.expect("it ends");
        let words = String::from_utf8(ended.stderr).expect("text");
        assert_eq!((ended.status.code(), words.as_str()), (Some(130), ""));
        let last = service.requests().last().expect("a request").line();
        assert!(last.starts_with("DELETE /v1/containers/ID"), "{last}");
    }
}
