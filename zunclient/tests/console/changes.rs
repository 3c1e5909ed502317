//! `zun diff`, `zun commit` and `zun prune`: the requests to the service, and what is shown of its answers.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::fake::service::{ID, Service, ServiceRequest};

/// Runs `zun` without a terminal, and returns its exit code, stdout and stderr.
async fn zun(service: &Service, words: &[&str]) -> (Option<i32>, String, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_zun"))
        .args(words)
        .env_clear()
        .env("OS_ENDPOINT", format!("http://127.0.0.1:{}/v1", service.port))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

fn lines(service: &Service) -> Vec<String> {
    service.requests().iter().map(ServiceRequest::line).collect()
}

#[tokio::test]
async fn changed_files_are_shown_as_docker_shows_them() {
    let change = |kind: &str, path: &str| json!({"path": path, "kind": kind});
    let changes =
        json!([change("changed", "/tmp"), change("added", "/tmp/x"), change("deleted", "/etc/y")]);
    let service =
        Service::start(move |_ask| (200, json!({"changes": changes, "truncated": true}))).await;
    let (code, shown, notice) = zun(&service, &["diff", "test"]).await;
    assert_eq!((code, shown.as_str()), (Some(0), "C /tmp\nA /tmp/x\nD /etc/y\n"));
    assert!(notice.contains("only the first 100,000"), "{notice}");
    assert_eq!(lines(&service), ["GET /v1/containers/test/changes"]);
}

#[tokio::test]
async fn a_commit_prints_the_name_of_the_image() {
    let answer = json!({"uuid": "sha256:ab", "image": "zun.local/ab/web:v1"});
    let service = Service::start(move |_ask| (202, answer.clone())).await;
    for image in ["web:v1", "team/web"] {
        let (code, shown, _) = zun(&service, &["commit", "test", image]).await;
        assert_eq!((code, shown.as_str()), (Some(0), "zun.local/ab/web:v1\n"));
    }
    let path = "POST /v1/containers/test/commit?repository=";
    assert_eq!(lines(&service), [format!("{path}web&tag=v1"), format!("{path}team%2Fweb")]);
}

/// A service with containers of these IDs, statuses and operations in progress.
async fn with_containers(all: &[(&str, &str, Option<&str>)]) -> Service {
    let shown = all.iter().map(|(uuid, status, task_state)| {
        json!({"uuid": uuid, "name": "test", "project_id": "p", "user_id": "u", "image": "cirros",
            "cpu": 1.0, "cpu_policy": "shared", "memory": "512", "command": null, "entrypoint": null,
            "status": status, "status_reason": null, "status_detail": null, "task_state": task_state,
            "environment": {}, "workdir": null, "hostname": null, "labels": {}, "interactive": false,
            "tty": false, "attached": 0, "exit_code": 0, "auto_remove": false, "auto_heal": false,
            "restart_policy": null, "image_driver": "docker", "ports": [], "addresses": {},
            "security_groups": null, "disk": 0, "healthcheck": null, "registry_id": null,
            "created_at": null, "updated_at": null})
    });
    let shown = shown.collect::<Vec<_>>();
    Service::start(move |ask| match ask.method.as_str() {
        "GET" => (200, json!({"containers": shown, "next": null})),
        _ => (204, Value::Null),
    })
    .await
}

#[tokio::test]
async fn prune_removes_the_stopped_containers_only_if_it_may() {
    let list = "GET /v1/containers";
    let service = with_containers(&[(ID, "Stopped", None)]).await;
    let (code, _, notice) = zun(&service, &["prune"]).await;
    assert_eq!(code, Some(1), "{notice}");
    assert!(notice.contains("use --force"), "{notice}");
    assert_eq!(lines(&service), [list]);
    let (code, shown, _) = zun(&service, &["prune", "--force"]).await;
    assert_eq!((code, shown), (Some(0), format!("{ID}\n")));
    assert_eq!(lines(&service), [list, list, "DELETE /v1/containers/ID"]);
    let service = with_containers(&[(ID, "Running", None)]).await;
    let (code, _, notice) = zun(&service, &["prune"]).await;
    assert_eq!(code, Some(0));
    assert!(notice.contains("there are no stopped containers"), "{notice}");
}

#[tokio::test]
async fn prune_removes_what_docker_would_and_no_container_with_an_operation_in_progress() {
    let ids = ["0", "1", "2", "3", "4", "5", "6"]
        .map(|last| ID.split_at(ID.len() - 1).0.to_owned() + last);
    let states = [
        ("Stopped", None),
        ("Created", None),
        ("Error", None),
        ("Dead", None),
        ("Created", Some("container_starting")),
        ("Running", None),
        ("Paused", None),
    ];
    let all: Vec<_> =
        ids.iter().zip(states).map(|(id, (status, task))| (id.as_str(), status, task)).collect();
    let service = with_containers(&all).await;
    let (code, shown, _) = zun(&service, &["prune", "--force"]).await;
    assert_eq!(code, Some(0));
    let mut removed: Vec<&str> = shown.lines().collect();
    removed.sort_unstable();
    assert_eq!(removed, ids[..4]);
}
