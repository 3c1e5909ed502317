//! The error messages of `zun`: the cause, and what to do next.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use zun_common::shutdown::Tasks;

use crate::actions::minutes_ago;
use crate::fake::service::{ID, Service};
use crate::lists::{piped, shown};
use crate::run::container;

fn error(status: u16, title: &str) -> (u16, Value) {
    let error = json!({ "status": status, "code": "", "title": title, "detail": title,
        "request_id": "req-fake", "links": [] });
    (status, json!({ "errors": [error] }))
}

/// Runs `zun list` with these variables, and returns the exit code and the message.
async fn list(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_zun"))
        .arg("list")
        .env_clear()
        .envs(variables.iter().copied())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the binary runs");
    (ended.status.code(), String::from_utf8(ended.stderr).expect("text"))
}

#[tokio::test]
async fn a_rejected_token_is_answered_with_where_it_comes_from() {
    let service = Service::start(|_ask| error(401, "Authentication required.")).await;
    let endpoint = format!("http://127.0.0.1:{}/v1", service.port);
    for (kind, advice) in [
        ("none", "zun sent no token: load the settings of the service, such as `. target/zun.env`"),
        ("admin_token", "zun sent the token from OS_TOKEN or clouds.yaml"),
    ] {
        let variables =
            [("OS_ENDPOINT", endpoint.as_str()), ("OS_AUTH_TYPE", kind), ("OS_TOKEN", "secret")];
        let (code, message) = list(&variables).await;
        assert_eq!(code, Some(1), "{message}");
        assert!(message.contains(advice) && !message.contains("secret"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[tokio::test]
async fn an_https_address_of_a_plain_service_is_answered_with_the_address_to_use() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let tasks = Tasks::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 16];
            stream.read_exact(&mut hello).await.expect("the beginning of TLS");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("an answer");
        }
    });
    // Any file with a certificate: it is not used before the handshake fails.
    let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a key");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), key.cert.pem()).expect("written");
    let endpoint = format!("https://127.0.0.1:{port}/v1");
    let file = file.path().to_string_lossy();
    let (code, message) = list(&[("OS_ENDPOINT", &endpoint), ("OS_CACERT", &file)]).await;
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("use http:// in OS_ENDPOINT"), "{message}");
}

/// A service whose container could not be created for this reason.
async fn failed_pull(reason: &'static str) -> Service {
    Service::start(move |ask| {
        if ask.target.contains("/attach") {
            return error(409, "Cannot attach container web in Error state");
        }
        (200, container("Error", &json!({ "status_reason": reason, "name": "web" })))
    })
    .await
}

#[tokio::test]
async fn a_pull_that_was_denied_or_found_nothing_says_what_to_check() {
    for (reason, advice) in [
        ("pull access denied for private/app", "a private image needs a login to its registry"),
        ("No such image: nothing:latest", "check the name and the tag of the image"),
    ] {
        let service = failed_pull(reason).await;
        let (code, _, message) = piped(&service, &["run", "nothing", "true"]).await;
        assert_eq!(code, Some(125), "{message}");
        assert!(message.contains(reason) && message.contains(advice), "{message}");
    }
}

/// A container that ran out of memory. Its host does not send its output.
async fn ended() -> Service {
    Service::start(|ask| {
        let target = ask.target.as_str();
        if target.ends_with("/runs") {
            let run = json!({ "number": 1, "started_at": "2026-11-29 06:00:02.000000",
                "finished_at": "2026-11-29 06:00:03.000000", "exit_code": 137,
                "reason": "out_of_memory", "message": "killed: out of memory (limit 16 MiB)" });
            return (200, json!({ "runs": [run] }));
        }
        if target.ends_with("/container_actions") {
            let actions = ["start", "execute"].map(|action| {
                json!({ "action": action, "container_uuid": ID, "user_id": "u",
                    "request_id": "req-5c2d8a4e-0f3b-4d53-9c0e-2f6f8f0f7a11", "project_id": "p",
                    "message": null, "start_time": minutes_ago(5), "finish_time": minutes_ago(5) })
            });
            return (200, json!({ "containerActions": actions }));
        }
        if target.ends_with("/logs") {
            return error(409, "Cannot logs container web: host compute1 is down");
        }
        let fields = json!({ "name": "web", "exit_code": 137, "memory": "16", "host": "compute1",
            "status_reason": "killed: out of memory (limit 16 MiB)" });
        (200, container("Stopped", &fields))
    })
    .await
}

#[tokio::test]
async fn why_shows_the_end_the_operations_the_output_and_the_next_command() {
    let service = ended().await;
    insta::assert_snapshot!("why", shown(&service, &["why", "web"], 80).await);
    insta::assert_snapshot!("why_at_200_columns", shown(&service, &["why", "web"], 200).await);
    let (_, text, _) = piped(&service, &["why", "web"]).await;
    insta::assert_snapshot!("why_in_a_pipe", text);
    let (code, json, _) = piped(&service, &["why", "web", "-o", "json"]).await;
    assert_eq!(code, Some(0));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["runs"][0]["reason"], "out_of_memory");
    assert_eq!(json["actions"][0]["request_id"], "req-5c2d8a4e-0f3b-4d53-9c0e-2f6f8f0f7a11");
    assert_eq!(json["next"][1], "zun start web");
    let missing = Service::start(|_ask| error(404, "Container nope could not be found.")).await;
    let (code, _, message) = piped(&missing, &["why", "nope"]).await;
    assert_eq!(code, Some(1));
    assert!(message.starts_with("zun: Container nope could not be found."), "{message}");
}

#[tokio::test]
async fn why_shows_the_output_of_the_health_check_that_failed() {
    let service = Service::start(|ask| {
        let target = ask.target.as_str();
        if target.ends_with("/runs") {
            return (200, json!({ "runs": [] }));
        }
        if target.ends_with("/container_actions") {
            return (200, json!({ "containerActions": [] }));
        }
        if target.ends_with("/logs") {
            return error(409, "Cannot logs container web: host compute1 is down");
        }
        let fields = json!({ "name": "web", "host": "compute1", "health": "unhealthy",
            "health_output": "wget: can't connect\nto 127.0.0.1" });
        (200, container("Running", &fields))
    })
    .await;
    let (code, text, _) = piped(&service, &["why", "web"]).await;
    assert_eq!(code, Some(0), "{text}");
    let shown = "Last health check (failed):\n  wget: can't connect\n  to 127.0.0.1\n";
    assert!(text.contains(shown), "{text}");
}
