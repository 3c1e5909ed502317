//! `zun list` on terminals and in pipes: what it asks the service for, and what it shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use zun_common::api::v1::time;

use crate::fake::service::{EVENTS, Service, ServiceRequest};
use crate::pty::Pty;
use crate::run::container;

fn ago(time: TimeDelta) -> String {
    time::text(Utc::now().naive_utc() - time)
}

/// Three containers, as a service lists them for an administrator.
pub(crate) fn containers() -> Vec<Value> {
    let minutes = |minutes: i64| ago(TimeDelta::seconds(minutes * 60 + 5));
    vec![
        container(
            "Running",
            &json!({ "uuid": "1b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a11", "name": "web",
                "image": "registry.example.com/team/frontend:2026.11",
                "command": ["sh", "-c", "echo serving; exec sleep 1000"], "health": "healthy",
                "started_at": minutes(2), "created_at": minutes(60 * 3),
                "published_ports": [{ "port": 80, "protocol": "tcp",
                    "host_address": "127.0.0.1", "host_port": 20000 }],
                "labels": { "tier": "web" }, "host": "compute1", "attached": 1 }),
        ),
        container(
            "Stopped",
            &json!({ "uuid": "2b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a22", "name": "job\u{1b}[2J日本",
                "exit_code": 3, "finished_at": minutes(5), "started_at": minutes(6),
                "created_at": minutes(60 * 24 * 3), "host": "compute2" }),
        ),
        container(
            "Error",
            &json!({ "uuid": "3b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a33", "name": "broken",
                "status_reason": "cannot pull image `nothing`: manifest unknown",
                "created_at": minutes(60 * 24 * 30) }),
        ),
    ]
}

pub(crate) async fn listing(containers: Vec<Value>) -> Service {
    Service::start(move |ask| {
        if ask.target.starts_with("/v1/containers?") {
            return (200, json!({ "containers": containers, "next": null }));
        }
        (200, containers.last().cloned().unwrap_or_default())
    })
    .await
}

fn endpoint(service: &Service) -> String {
    format!("http://127.0.0.1:{}/v1", service.port)
}

/// Runs `zun` in pipes and returns its exit code, stdout and stderr.
pub(crate) async fn piped(service: &Service, words: &[&str]) -> (Option<i32>, String, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_zun"))
        .args(words)
        .env_clear()
        .env("OS_ENDPOINT", endpoint(service))
        .kill_on_drop(true)
        .output()
        .await
        .expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

pub(crate) fn terminal(service: &Service, words: &[&str], size: (u16, u16), term: &str) -> Pty {
    let environment = [("OS_ENDPOINT", endpoint(service).as_str()), ("OS_AUTH_TYPE", "none")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    // `term` may be followed by more variables.
    let term = format!("TERM={term}");
    let variables: Vec<&str> = term.split(' ').collect();
    let arguments = [variables.as_slice(), &[env!("CARGO_BIN_EXE_zun")], words].concat();
    Pty::spawn("env", &arguments, &environment, size)
}

/// Runs `zun` on a terminal without colours to its end, and returns what it showed.
pub(crate) async fn shown(service: &Service, words: &[&str], columns: u16) -> String {
    let mut terminal = terminal(service, words, (24, columns), "dumb");
    let end = tokio::task::spawn_blocking(move || (terminal.exit(), terminal.transcript())).await;
    let (code, text) = end.expect("it ends");
    assert_eq!(code, 0, "{text}");
    text.replace("\r\n", "\n")
}

#[tokio::test]
async fn a_list_fits_a_terminal_of_80_columns() {
    let service = listing(containers()).await;
    let text = shown(&service, &["list"], 80).await;
    insta::assert_snapshot!("list_at_80_columns", text);
}

#[tokio::test]
async fn a_list_uses_a_terminal_of_200_columns() {
    let service = listing(containers()).await;
    let text = shown(&service, &["list"], 200).await;
    insta::assert_snapshot!("list_at_200_columns", text);
    let whole = shown(&service, &["list", "--no-trunc"], 40).await;
    assert!(whole.contains("1b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a11  web"), "{whole}");
    assert!(whole.contains("127.0.0.1:20000->80/tcp"), "{whole}");
}

#[tokio::test]
async fn a_list_in_a_pipe_shortens_nothing() {
    let service = listing(containers()).await;
    let (code, text, _) = piped(&service, &["list"]).await;
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("list_in_a_pipe", text);
    let (_, wide, _) = piped(&service, &["list", "--wide"]).await;
    insta::assert_snapshot!("list_wide", wide);
}

#[tokio::test]
async fn a_list_asks_for_no_more_than_it_prints() {
    let all = containers();
    let service = Service::start(move |ask| {
        let (from, to) = match (ask.target.contains("marker="), ask.target.contains("limit=1")) {
            (true, _) => (2, 3),
            (false, true) => (0, 1),
            (false, false) => (0, 2),
        };
        (200, json!({ "containers": all[from..to], "next": (to < 3).then_some("more") }))
    })
    .await;
    let (_, text, _) = piped(&service, &["list", "-l", "-q"]).await;
    assert_eq!(text, "1b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a11\n");
    let (_, text, _) = piped(&service, &["ps", "-n", "1", "-q", "--filter", "name~=jo"]).await;
    assert_eq!(text, "2b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a22\n");
    let (_, text, _) = piped(&service, &["ps", "-aq", "-n", "-1", "--sort", "name:desc"]).await;
    assert_eq!(text.lines().count(), 3);
    let lines: Vec<_> = service.requests().iter().map(ServiceRequest::line).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/containers?sort_key=id&sort_dir=desc&limit=1",
            "GET /v1/containers?sort_key=id&sort_dir=desc",
            "GET /v1/containers?sort_key=name&sort_dir=desc",
            "GET /v1/containers?sort_key=name&sort_dir=desc&marker=2b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a22",
        ]
    );
}

#[tokio::test]
async fn filters_select_by_name_label_status_image_host_and_age() {
    let service = listing(containers()).await;
    for (filters, found) in [
        (&["label=tier"][..], &["web"][..]),
        (&["label=tier=web", "label=other"], &[]),
        (&["name=web", "name=broken"], &["web", "broken"]),
        (&["status=running", "status=ERROR"], &["web", "broken"]),
        (&["host=compute2"], &["job"]),
        (&["image=cirros", "name~=o"], &["job", "broken"]),
        (&["since=broken"], &["web", "job"]),
        (&["before=broken"], &[]),
        (&["ancestor=cirros"], &["job", "broken"]),
        (&["exited=3"], &["job"]),
        (&["health=healthy"], &["web"]),
        (&["id=1b06", "id=3B06"], &["web", "broken"]),
    ] {
        let flags = filters.iter().flat_map(|filter| ["--filter", filter]);
        let words: Vec<&str> = ["list"].into_iter().chain(flags).collect();
        let (code, text, _) = piped(&service, &words).await;
        assert_eq!(code, Some(0));
        let listed = ["web", "job", "broken"].into_iter().filter(|name| text.contains(name));
        assert_eq!(listed.collect::<Vec<_>>(), found, "{filters:?}: {text}");
    }
    let (code, _, message) = piped(&service, &["list", "--status", "up"]).await;
    assert_eq!(code, Some(125));
    assert!(message.contains("Running, Stopped"), "{message}");
}

#[tokio::test]
async fn a_watched_list_is_redrawn_when_it_changes_and_leaves_the_terminal_clean() {
    let changed = Arc::new(AtomicBool::new(false));
    let service = changing(&changed, EVENTS).await;
    let mut terminal = terminal(&service, &["list", "--watch"], (24, 80), "xterm");
    let modes = terminal.first_modes();
    let new_event = Arc::clone(&service.new_event);
    tokio::task::spawn_blocking(move || {
        terminal.shows("web");
        changed.store(true, Ordering::Relaxed);
        new_event.notify_one();
        terminal.shows("broken");
        terminal.types("\x03");
        assert_eq!(terminal.exit(), 130);
        assert_eq!(terminal.modes(), modes);
        let text = terminal.transcript();
        assert_eq!(text.matches("\x1b[?1049h").count(), 1, "{text}");
        // The last list stays.
        let (_, left) = text.rsplit_once("\x1b[?25h\x1b[?1049l").expect("the end");
        assert!(left.contains("web") && left.contains("broken"), "{left}");
        assert!(!left.contains("\x1b[?"), "{left}");
    })
    .await
    .expect("the list follows");
}

/// A service whose list has one container, and three once it has changed. It answers requests for events with this status.
async fn changing(changed: &Arc<AtomicBool>, events: u16) -> Service {
    let (now, all) = (Arc::clone(changed), containers());
    Service::start(move |ask| {
        if ask.target.starts_with("/v1/events") {
            let event = json!({ "time": "2026-11-29T18:00:00Z", "type": "container",
                "action": "create", "actor": { "id": "1", "attributes": {} }, "project_id": "p" });
            return (events, event);
        }
        let count = if now.load(Ordering::Relaxed) { 3 } else { 1 };
        let listed: Vec<&Value> = all.iter().take(count).collect();
        (200, json!({ "containers": listed, "next": null }))
    })
    .await
}

#[tokio::test]
async fn a_watched_list_follows_the_events_of_containers_and_manages_without_them() {
    for (events, note) in
        [(EVENTS, ""), (404, "cannot follow events, so zun reads the list every second: ")]
    {
        let changed = Arc::new(AtomicBool::new(false));
        let service = changing(&changed, events).await;
        let words = ["list", "--watch", "--all-projects", "--format", "name"];
        let mut child = Command::new(env!("CARGO_BIN_EXE_zun"))
            .args(words)
            .env_clear()
            .env("OS_ENDPOINT", endpoint(&service))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        assert_eq!(lines.next_line().await.expect("text").as_deref(), Some("web"));
        changed.store(true, Ordering::Relaxed);
        service.new_event.notify_one();
        // The list again, as it is now.
        assert_eq!(lines.next_line().await.expect("text").as_deref(), Some("web"));
        if !note.is_empty() {
            let mut warnings = BufReader::new(child.stderr.take().expect("a pipe")).lines();
            let warning = warnings.next_line().await.expect("text").unwrap_or_default();
            assert!(warning.starts_with(&format!("zun: {note}")), "{warning}");
        }
        let asked: Vec<String> = service.requests().iter().map(ServiceRequest::line).collect();
        let wanted =
            "GET /v1/events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D&all_projects=true";
        assert!(asked.iter().any(|line| line == wanted), "{asked:?}");
    }
}

#[tokio::test]
async fn a_terminal_that_cannot_move_its_cursor_gets_plain_lines() {
    let changed = Arc::new(AtomicBool::new(true));
    let service = changing(&changed, EVENTS).await;
    let mut terminal = terminal(&service, &["list", "--watch"], (24, 80), "dumb");
    let text = tokio::task::spawn_blocking(move || {
        terminal.shows("broken");
        terminal.types("\x03");
        assert_eq!(terminal.exit(), 130);
        terminal.transcript()
    });
    let text = text.await.expect("it ends");
    assert!(!text.contains('\x1b'), "{text:?}");
}

/// Runs `zun` with a full disk as stdout, and returns its exit code and message.
pub(crate) async fn with_full_disk(service: &Service, words: &[&str]) -> (Option<i32>, String) {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("the device");
    let ended = Command::new(env!("CARGO_BIN_EXE_zun"))
        .args(words)
        .env_clear()
        .env("OS_ENDPOINT", endpoint(service))
        .stdout(full)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let ended = ended.wait_with_output().await.expect("it ends");
    (ended.status.code(), String::from_utf8(ended.stderr).expect("text"))
}

#[tokio::test]
async fn a_full_disk_is_an_error() {
    let service = listing(containers()).await;
    for words in [
        &["list"][..],
        &["list", "-q"],
        &["list", "-o", "json"],
        &["list", "--format", "{{.ID}}"],
        &["show", "web"],
        &["update", "--cpu", "1", "web"],
        &["completion", "bash"],
        &["--help"],
        &["help", "run"],
        &["--version"],
    ] {
        let (code, message) = with_full_disk(&service, words).await;
        assert_eq!(code, Some(1), "{words:?}: {message}");
        assert!(message.starts_with("zun: cannot write the output: "), "{words:?}: {message}");
    }
}
