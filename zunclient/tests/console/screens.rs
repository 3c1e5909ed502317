//! What more verbs show on terminals of 80 and 200 columns and in a pipe: processes, usage, hosts, images, volumes,
//! networks and errors.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::actions::minutes_ago;
use crate::fake::service::{Service, ServiceRequest};
use crate::lists::{piped, shown, terminal};
use crate::run::container;

fn host(name: &str, state: &str) -> Value {
    json!({ "uuid": "1b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a11", "links": [], "hostname": name,
        "mem_total": 64_000, "mem_used": 4096, "total_containers": 7, "cpus": 16.0,
        "cpu_used": 3.5, "architecture": "x86_64", "os_type": "linux",
        "os": "Debian GNU/Linux 12 (bookworm)", "kernel_version": "6.1.0-28-amd64",
        "labels": { "rack": "r1" }, "disk_total": 200, "disk_used": 20,
        "disk_quota_supported": false, "runtimes": ["runc"], "enable_cpu_pinning": false,
        "engine": "Docker 28.2.2", "console": "compute1.example.org:2376", "state": state,
        "state_reason": if state == "up" { Value::Null } else { json!("no heartbeat for 40 s") },
        "disabled": state != "up", "strays": [] })
}

async fn service() -> Service {
    Service::start(|ask| match ask.target.split('?').next().unwrap_or_default() {
        "/v1/hosts" => (200, json!({ "hosts": [host("compute1", "up"), host("compute2", "down")] })),
        path if path.ends_with("/top") => (
            200,
            json!({ "Titles": ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"],
                "Processes": [
                    ["root", "4711", "4690", "0", "15:02", "?", "00:00:00", "/bin/sh -c 'while true; do date; sleep 10; done'"],
                    ["root", "4799", "4711", "0", "15:03", "?", "00:00:00", "sleep 10"]] }),
        ),
        path if path.ends_with("/stats") => (
            200,
            json!({ "CONTAINER": "web", "CPU %": 12.5, "MEM USAGE(MiB)": 100.5,
                "MEM LIMIT(MiB)": 512.0, "MEM %": 19.6, "BLOCK I/O(B)": "1024/2048",
                "NET I/O(B)": "4096/8192" }),
        ),
        "/v1/services" => (200, json!({ "services": [
            agent("compute1", None, None),
            agent("compute2", Some("a disk is being replaced, back on Monday"),
                Some("cannot reach 10.0.0.2:2376: connection refused")),
        ] })),
        path if path.ends_with("/container_actions") => (
            200,
            json!({ "containerActions": [operation("stop", Some("The host did not begin it in time.")),
                operation("create", None)] }),
        ),
        "/v1/sessions" => (200, json!({ "sessions": [session()], "unresponsive_hosts": [] })),
        "/v1/registries" => (200, json!({ "registries": [registry()], "next": null })),
        path if path.ends_with("/runs") => (200, json!({ "runs": [] })),
        _ => (200, container("Running", &json!({ "name": "web" }))),
    })
    .await
}

fn agent(host: &str, reason: Option<&str>, trouble: Option<&str>) -> Value {
    json!({ "id": 1, "host": host, "binary": "zun-compute", "state": "up",
        "disabled": reason.is_some(), "disabled_reason": reason, "forced_down": false,
        "last_seen_up": "2026-11-29 15:00:00", "created_at": "2026-11-29 15:00:00",
        "updated_at": "2026-11-29 15:00:00", "report_count": 7, "availability_zone": "nova",
        "console_trouble": trouble })
}

fn operation(action: &str, message: Option<&str>) -> Value {
    json!({ "action": action, "container_uuid": "u", "user_id": "u", "project_id": "p",
        "request_id": "req-5c2d8a4e-0f3b-4d53-9c0e-2f6f8f0f7a11", "message": message,
        "start_time": minutes_ago(3), "finish_time": minutes_ago(3) })
}

fn session() -> Value {
    json!({ "id": "12-Kq3ZxY", "container": "1b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a11",
        "container_name": "web", "exec_id": null, "mode": "rw", "connected": true,
        "since": "2026-11-29T15:00:00Z", "grant": "grant-5c2d8a4e", "host": "compute1", "tty": true,
        "stdin_bytes": 5, "stdout_bytes": 1000, "stderr_bytes": 0 })
}

fn registry() -> Value {
    json!({ "uuid": "7b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a77", "name": "work", "links": [],
        "domain": "registry.example.com:5000", "username": "ann", "password": "********", "project_id": "p",
        "user_id": "u", "created_at": "2026-11-29 15:00:00", "updated_at": "2026-11-29 15:00:00" })
}

#[tokio::test]
async fn help_and_errors_fit_each_terminal_and_are_the_same_in_a_pipe() {
    let service = service().await;
    for (name, words) in [("help", &["--help"][..]), ("help_list", &["list", "--help"])] {
        for columns in [80, 200] {
            let text = shown(&service, words, columns).await;
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
            assert!(widest <= usize::from(columns).min(100), "{text}");
            insta::assert_snapshot!(format!("{name}_at_{columns}_columns"), text);
        }
        let (code, text, _) = piped(&service, words).await;
        assert_eq!(code, Some(0));
        insta::assert_snapshot!(format!("{name}_in_a_pipe"), text);
    }
    let refusing = refusing().await;
    for words in FAILING {
        let (code, _, in_a_pipe) = piped(&refusing, words).await;
        for columns in [80, 200] {
            let mut terminal = terminal(&refusing, words, (24, columns), "xterm");
            let end = move || (terminal.exit(), terminal.transcript());
            let (on_terminal, text) = tokio::task::spawn_blocking(end).await.expect("it ends");
            assert_eq!(Some(on_terminal), code, "{words:?}");
            assert_eq!(text.replace("\r\n", "\n"), in_a_pipe, "{words:?}");
        }
    }
}

#[tokio::test]
async fn a_terminal_gets_colours_unless_it_is_dumb_or_they_are_unwanted() {
    let service = service().await;
    for words in [&["show", "web"][..], &["why", "web"], &["list", "--help"]] {
        for (term, coloured) in [
            ("xterm CI=true", true),
            ("xterm CI=true NO_COLOR=1", false),
            ("dumb CI=true", false),
            ("dumb CLICOLOR_FORCE=1", false),
        ] {
            let mut terminal = terminal(&service, words, (24, 80), term);
            let end = move || (terminal.exit(), terminal.transcript());
            let (_, text) = tokio::task::spawn_blocking(end).await.expect("it ends");
            assert_eq!(text.contains("\x1b["), coloured, "{words:?} {term}: {text}");
        }
    }
}

#[tokio::test]
async fn processes_usage_and_hosts_fit_each_terminal_and_are_whole_in_a_pipe() {
    let service = service().await;
    for (name, words) in [
        ("top", &["top", "web"][..]),
        ("stats", &["stats", "--no-stream", "web"]),
        ("hosts", &["host", "list"]),
        ("services", &["service", "list"]),
        ("actions", &["action", "list", "web"]),
        ("sessions", &["sessions"]),
        ("registries", &["registry", "list"]),
    ] {
        for columns in [80, 200] {
            let text = shown(&service, words, columns).await;
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
            assert!(widest <= usize::from(columns), "{text}");
            insta::assert_snapshot!(format!("{name}_at_{columns}_columns"), text);
        }
        let (code, text, _) = piped(&service, words).await;
        assert_eq!(code, Some(0));
        insta::assert_snapshot!(format!("{name}_in_a_pipe"), text);
    }
}

fn image(repo: &str, tag: &str, status: &str) -> Value {
    let reason = (status == "Error").then_some("cannot pull the image: manifest unknown");
    json!({ "uuid": "5b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a55", "links": [], "repo": repo, "tag": tag,
        "image_id": (status == "Available").then(|| format!("sha256:{}", "ab".repeat(32))),
        "size": (status == "Available").then_some(7_340_032), "project_id": "p", "host": "compute1",
        "platform": null, "status": status, "status_reason": reason, "image_pull": null,
        "created_at": "2026-11-29 15:00:00", "updated_at": "2026-11-29 15:00:00" })
}

fn resource(name: &str, subnet: Option<&str>) -> Value {
    json!({ "uuid": "6b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a66", "links": [], "name": name,
        "project_id": "p", "user_id": "u", "host": "compute1", "subnet": subnet,
        "internal": subnet.is_some(), "containers": ["1b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a11"], "created_at": "2026-11-29 15:00:00" })
}

/// A service with images, volumes and networks.
async fn resources() -> Service {
    let images = json!([
        image("cirros", "latest", "Available"),
        image("registry.example.com:5000/team/frontend", "2026.11", "Pulling"),
        image("nothing", &format!("sha256:{}", "cd".repeat(32)), "Error"),
    ]);
    let volumes = json!([resource("data", None), resource(&"long".repeat(20), None)]);
    let networks = json!([resource("backend", Some("10.7.0.0/24")), resource("front", None)]);
    Service::start(move |ask| match ask.target.split('?').next().unwrap_or_default() {
        "/v1/images" => (200, json!({ "images": images, "next": null })),
        "/v1/volumes" => (200, json!({ "volumes": volumes, "next": null })),
        "/v1/networks" => (200, json!({ "networks": networks, "next": null })),
        _ => (404, json!({})),
    })
    .await
}

#[tokio::test]
async fn images_volumes_and_networks_fit_each_terminal_and_are_whole_in_a_pipe() {
    let service = resources().await;
    for kind in ["image", "volume", "network"] {
        let words = [kind, "list"];
        for columns in [80, 200] {
            let text = shown(&service, &words, columns).await;
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
            assert!(widest <= usize::from(columns), "{text}");
            insta::assert_snapshot!(format!("{kind}s_at_{columns}_columns"), text);
        }
        let (code, text, _) = piped(&service, &words).await;
        assert_eq!(code, Some(0));
        insta::assert_snapshot!(format!("{kind}s_in_a_pipe"), text);
        let (_, wide, _) = piped(&service, &[kind, "list", "--wide"]).await;
        assert!(wide.lines().next().is_some_and(|titles| titles.ends_with("  UUID")), "{wide}");
        let (_, same, _) = piped(&service, &[kind, "list", "-o", "wide"]).await;
        assert_eq!(wide, same);
    }
    let created = Service::start(|_ask| (201, resource("data", None))).await;
    for kind in ["volume", "network"] {
        let (code, text, _) = piped(&created, &[kind, "create", "-q", "data"]).await;
        assert_eq!((code, text.as_str()), (Some(0), "data\n"));
    }
    let whole = shown(&service, &["volume", "list", "--no-trunc"], 40).await;
    assert!(whole.contains(&"long".repeat(20)) && !whole.contains("UUID"), "{whole}");
    let words = ["image", "list", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}"];
    let (_, text, _) = piped(&service, &words).await;
    assert!(text.ends_with("\ncirros:latest 5b06f2a4-7c4 7.34MB\n"), "{text}");
}

#[tokio::test]
async fn stopped_containers_have_zeros_in_the_usage_of_all() {
    let service = Service::start(|ask| {
        if ask.target.ends_with("/stats") {
            let usage = json!({ "CONTAINER": "web", "CPU %": 12.5, "MEM USAGE(MiB)": 100.5,
                "MEM LIMIT(MiB)": 512.0, "MEM %": 19.6, "BLOCK I/O(B)": "1024/2048",
                "NET I/O(B)": "4096/8192" });
            return (200, usage);
        }
        let old = json!({ "uuid": "1b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a11", "name": "old" });
        let all = [container("Stopped", &old), container("Running", &json!({ "name": "web" }))];
        let running = ask.target.contains("status=Running");
        let listed = if running { &all[1..] } else { &all[..] };
        (200, json!({ "containers": listed, "next": null }))
    })
    .await;
    let template = "{{.Container}} {{.CPUPerc}} {{.MemPerc}} {{.NetIO}}";
    let usage = "web 12.50 % 19.60 % 4.1kB / 8.19kB\n";
    for (all, expected) in
        [(&[][..], usage.to_owned()), (&["-a"], format!("{usage}old 0.00 % 0.00 % 0B / 0B\n"))]
    {
        let words = [&["stats", "--no-stream", "--no-trunc", "--format", template], all].concat();
        let (code, text, message) = piped(&service, &words).await;
        assert_eq!((code, text), (Some(0), expected), "{message}");
    }
}

fn missing(title: &str) -> (u16, Value) {
    let error = json!({ "status": 404, "code": "", "title": title, "detail": title,
        "request_id": "req-fake", "links": [] });
    (404, json!({ "errors": [error] }))
}

#[tokio::test]
async fn a_misspelt_volume_network_or_image_is_answered_with_the_nearest_name() {
    let service =
        Service::start(move |ask| match ask.target.split('?').next().unwrap_or_default() {
            "/v1/volumes" => (200, json!({ "volumes": [resource("data", None)], "next": null })),
            "/v1/networks" => {
                (200, json!({ "networks": [resource("backend", None)], "next": null }))
            }
            "/v1/images" => {
                (200, json!({ "images": [image("cirros", "latest", "Available")], "next": null }))
            }
            "/v1/hosts" => (200, json!({ "hosts": [host("compute1", "up")] })),
            target if target.contains("volumes") => missing("Volume dtaa could not be found."),
            target if target.contains("hosts") => missing("Host compute2 could not be found."),
            _ => missing("Network backedn could not be found."),
        })
        .await;
    for (words, near) in [
        (&["volume", "show", "dtaa"][..], "data"),
        (&["network", "rm", "backedn"], "backend"),
        (&["image", "show", "cirros:lastet"], "cirros:latest"),
        (&["host", "show", "compute2"], "compute1"),
    ] {
        let (code, _, message) = piped(&service, words).await;
        assert_eq!(code, Some(1), "{message}");
        let hint = format!("could not be found. Did you mean `{near}`?");
        assert!(message.contains(&hint) && message.lines().count() == 1, "{message}");
    }
}

/// A service that knows one running container, and refuses the rest.
async fn refusing() -> Service {
    let refusal = |status: u16, title: &str| {
        let error = json!({ "status": status, "code": "", "title": title, "detail": title,
            "request_id": "req-fake", "links": [] });
        (status, json!({ "errors": [error] }))
    };
    Service::start(move |ask| match (ask.method.as_str(), ask.target.split('?').next()) {
        ("GET", Some("/v1/containers/web")) => {
            (200, container("Running", &json!({ "name": "web" })))
        }
        ("GET", Some("/v1/containers")) => (200, json!({ "containers": [], "next": null })),
        ("DELETE", _) => refusal(409, "Cannot delete container web in Running state."),
        _ => refusal(404, "Container nothing could not be found."),
    })
    .await
}

/// Command lines that fail.
const FAILING: [&[&str]; 8] = [
    &["show", "nothing"],
    &["rm", "web"],
    &["list", "--status", "runnin"],
    &["list", "--format", "jsom"],
    &["run", "cirros", "--name", "x"],
    &["run", "-m", "1x", "cirros"],
    &["rnu", "cirros"],
    &["images"],
];

#[tokio::test]
async fn errors_say_what_failed_why_and_what_to_do_next() {
    let service = refusing().await;
    let mut shown_errors = String::new();
    for words in FAILING {
        let (code, _, in_a_pipe) = piped(&service, words).await;
        let _ok = write!(
            shown_errors,
            "$ zun {}\n{}\nexit code {}\n\n",
            words.join(" "),
            in_a_pipe.trim_end(),
            code.unwrap_or_default()
        );
    }
    insta::assert_snapshot!("errors", shown_errors);
}

fn web(stopped: bool) -> Value {
    let (status, second) = if stopped { ("Stopped", 1) } else { ("Running", 0) };
    let updated = format!("2026-11-29 15:00:0{second}");
    container(status, &json!({ "name": "web", "updated_at": updated }))
}

#[tokio::test]
async fn a_stop_with_a_signal_sends_it_and_kills_only_what_continues() {
    for (obeys, requests) in [
        (true, &["GET /v1/containers/web", "POST /v1/containers/ID/kill?signal=SIGINT"][..]),
        (
            false,
            &[
                "GET /v1/containers/web",
                "POST /v1/containers/ID/kill?signal=SIGINT",
                "POST /v1/containers/ID/stop?timeout=0",
            ],
        ),
    ] {
        let stopped = Arc::new(AtomicBool::new(false));
        let service = Service::start(move |ask| {
            let stops = ask.target.contains("/stop?") || (obeys && ask.target.contains("/kill?"));
            stopped.fetch_or(stops, Ordering::SeqCst);
            (200, web(stopped.load(Ordering::SeqCst)))
        })
        .await;
        let words = ["stop", "--signal", "SIGINT", "--time", "1", "web"];
        let (code, text, message) = piped(&service, &words).await;
        assert_eq!((code, text.as_str()), (Some(0), "web\n"), "{message}");
        let changes: Vec<String> = service
            .requests()
            .iter()
            .map(ServiceRequest::line)
            .filter(|line| !line.contains("wait_for") && !line.contains("timeout=2"))
            .collect();
        let named: Vec<&str> = changes.iter().map(String::as_str).collect();
        assert_eq!(named, requests, "{obeys}");
    }
}

/// A service whose containers have these statuses; a container without one does not exist. The name of each is its ID.
async fn with_statuses(statuses: &'static [(&'static str, &'static str)]) -> Service {
    let shown = |(id, status): (&str, &str)| container(status, &json!({ "uuid": id, "name": id }));
    Service::start(move |ask| {
        if ask.target.starts_with("/v1/containers?") {
            let running = statuses.iter().copied().filter(|(_, status)| *status == "Running");
            return (
                200,
                json!({ "containers": running.map(shown).collect::<Vec<_>>(), "next": null }),
            );
        }
        let called = ask.target.split('/').nth(3).unwrap_or_default().to_owned();
        let title = format!("Container {called} could not be found.");
        let error = json!({ "status": 404, "code": "", "title": title, "detail": title,
            "request_id": "req-fake", "links": [] });
        // A request about an existing container is refused with its name, so that the test sees which one it is.
        match statuses.iter().copied().find(|(id, _)| *id == called) {
            Some(known) if ask.method == "GET" => (200, shown(known)),
            _ => (404, json!({ "errors": [error] })),
        }
    })
    .await
}

#[tokio::test]
async fn an_attach_without_a_name_comes_back_to_the_last_session_that_runs_or_says_what_to_do() {
    const A: &str = "1b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a11";
    const B: &str = "2b06f2a4-7c43-4a2e-9f0f-3f6d8f7f0a22";
    let gone = format!(
        "zun: there is no session to reattach to; name a container: `zun attach {B}` connects"
    );
    let back = format!("zun: coming back to {B}\n");
    let ended =
        format!("zun: your session with {A} has ended: it is Stopped; `zun why {A}` shows more");
    for (left, statuses, begin, then) in [
        (
            &[][..],
            &[][..],
            "zun: there is no session to reattach to; no container runs: `zun run",
            "",
        ),
        (&[], &[(A, "Stopped"), (B, "Running")], gone.as_str(), ""),
        (&[A], &[(B, "Running")], gone.as_str(), ""),
        (&[A, B], &[(B, "Running")], back.as_str(), ""),
        (&[A, B], &[(A, "Stopped"), (B, "Running")], ended.as_str(), back.as_str()),
        (&[A], &[(A, "Stopped")], ended.as_str(), "no container runs"),
    ] {
        let service = with_statuses(statuses).await;
        let state = tempfile::tempdir().expect("a directory");
        let endpoint = format!("http://127.0.0.1:{}/v1", service.port);
        let file = hex::encode(Sha256::digest(endpoint.as_bytes()));
        let directory = state.path().join("zun/left-sessions");
        std::fs::create_dir_all(&directory).expect("a directory");
        let left: Vec<Value> =
            left.iter().map(|id| json!({ "project": "p", "container": id, "name": id })).collect();
        let text = serde_json::to_vec(&left).expect("JSON");
        std::fs::write(directory.join(format!("{file}.json")), text).expect("written");
        let shown = tokio::process::Command::new(env!("CARGO_BIN_EXE_zun"))
            .arg("attach")
            .env_clear()
            .env("OS_ENDPOINT", &endpoint)
            .env("XDG_STATE_HOME", state.path())
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .expect("the binary runs");
        let message = String::from_utf8(shown.stderr).expect("text");
        assert_eq!(shown.status.code(), Some(1), "{message}");
        assert!(message.starts_with(begin) && message.contains(then), "{message}");
    }
}

/// A service with an image that was committed as `web:v1`, whose host removes it or keeps it for this reason.
async fn with_committed_image(kept_because: Option<&'static str>) -> Service {
    const COMMITTED: &str = "zun.local/8c6976e5b5410415/web";
    let reads = AtomicUsize::new(0);
    let path = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
    Service::start(move |ask| match (ask.method.as_str(), path(&ask.target).as_str()) {
        ("DELETE", _) => (204, Value::Null),
        (_, "/v1/images") => {
            let images = [image(COMMITTED, "v1", "Available"), image("web", "v2", "Available")];
            (200, json!({ "images": images, "next": null }))
        }
        _ if reads.fetch_add(1, Ordering::Relaxed) == 0 => {
            (200, image(COMMITTED, "v1", "Deleting"))
        }
        _ => kept_because.map_or_else(
            || missing("Image could not be found."),
            |reason| {
                let mut kept = image(COMMITTED, "v1", "Available");
                let fields = kept.as_object_mut().expect("an object");
                fields.insert("status_reason".to_owned(), json!(reason));
                (200, kept)
            },
        ),
    })
    .await
}

#[tokio::test]
async fn a_committed_image_is_removed_by_its_own_name_and_a_host_that_keeps_it_is_an_error() {
    let refused = "zun: web:v1: the host did not remove it: a container uses it\n";
    for (kept_because, expected) in
        [(None, (Some(0), "web:v1\n", "")), (Some("a container uses it"), (Some(1), "", refused))]
    {
        let service = with_committed_image(kept_because).await;
        let (code, text, message) = piped(&service, &["image", "rm", "web:v1"]).await;
        assert_eq!((code, text.as_str(), message.as_str()), expected);
    }
}
