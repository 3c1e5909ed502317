//! Tests of the plugin through its socket, with raw bytes.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::*;
use crate::counts::Counts;
use crate::decision_log::DecisionLog;
use crate::reload::ReloadingPolicy;
use crate::testing::{HOST, Signer};

const TIMEOUT: Duration = Duration::from_secs(20);

struct TestServer {
    socket: PathBuf,
    tasks: Tasks,
    _directory: TempDir,
}

impl TestServer {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("plugin.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, Signer::new("ours").ca_pem()).expect("written");
        let (host, version) = (HOST.parse().expect("a host"), "1.41".parse().expect("a version"));
        let plugin = Plugin {
            policy: ReloadingPolicy::load(ca, host, version).expect("a CA"),
            notifier: None,
            log: DecisionLog::to(io::sink()),
            counts: Counts::default(),
            log_local: false,
        };
        let (tasks, (_connections, nobody)) = (Tasks::new(), tokio::sync::mpsc::channel(1));
        let own = tasks.clone();
        tasks.spawn(async move { serve(&listener, nobody, Arc::new(plugin), &own).await });
        Self { socket, tasks, _directory: directory }
    }

    async fn dial(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.expect("a connection")
    }

    /// Sends bytes, half-closes and reads to the end.
    async fn ask(&self, bytes: &[u8]) -> String {
        let mut stream = self.dial().await;
        // The plugin may close the connection before it has read everything.
        drop(stream.write_all(bytes).await);
        drop(stream.shutdown().await);
        rest(&mut stream).await
    }

    async fn is_alive(&self) {
        let answer = self.ask(&post("/AuthZPlugin.AuthZReq", &local().to_string())).await;
        assert!(answer.ends_with(ALLOWED), "{answer}");
    }
}

async fn rest(stream: &mut UnixStream) -> String {
    let mut answer = Vec::new();
    drop(timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.expect("an end in time"));
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn local() -> Value {
    json!({ "RequestMethod": "GET", "RequestUri": "/v1.41/info" })
}

#[tokio::test]
async fn activation_declares_an_authorization_plugin() {
    let served = TestServer::start();
    let answer = served.ask(&post("/Plugin.Activate", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("application/vnd.docker.plugins.v1.1+json"), "{answer}");
    assert!(answer.ends_with(ACTIVATED), "{answer}");
}

#[tokio::test]
async fn the_counts_can_be_read_through_the_socket() {
    let served = TestServer::start();
    served.is_alive().await;
    served.ask(&post("/AuthZPlugin.AuthZReq", "nonsense")).await;
    let socket = served.socket.clone();
    let asking = tokio::task::spawn_blocking(move || crate::stats(&socket));
    let counts = asking.await.expect("no panic").expect("counts");
    let counts: Value = serde_json::from_str(&counts).expect("JSON");
    assert_eq!(
        (&counts["requests"]["local"], &counts["requests"]["refused"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(counts["authorities"], json!(1));
    assert!(crate::stats(&served.socket.with_extension("none")).is_err());
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let served = TestServer::start();
    let request = post("/AuthZPlugin.AuthZReq", &local().to_string());
    let answer = served.ask(&request.repeat(50)).await;
    assert_eq!(answer.matches(ALLOWED).count(), 50);
}

#[tokio::test]
async fn a_response_body_of_many_megabytes_is_not_refused() {
    let served = TestServer::start();
    let mut request = local();
    request["ResponseBody"] = json!("QUJD".repeat(5 << 20));
    request["ResponseStatusCode"] = json!(200);
    let answer = served.ask(&post("/AuthZPlugin.AuthZRes", &request.to_string())).await;
    assert!(answer.ends_with(ALLOWED), "{answer}");
}

#[tokio::test]
async fn garbage_is_refused_and_the_next_request_is_served() {
    let served = TestServer::start();
    for body in ["", "x", "{", "[]", "null", "{}", "\"\"", "[[[[", r#"{"RequestMethod":7}"#] {
        for path in ["/AuthZPlugin.AuthZReq", "/AuthZPlugin.AuthZRes"] {
            let answer = served.ask(&post(path, body)).await;
            assert!(answer.ends_with(REFUSED), "{body}: {answer}");
        }
    }
    let nested = "[".repeat(100_000);
    assert!(served.ask(&post("/AuthZPlugin.AuthZReq", &nested)).await.ends_with(REFUSED));
    for raw in [&b""[..], b"\0\xff\xfe", b"GET\r\n\r\n", b"\r\n\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n"]
    {
        let answer = served.ask(raw).await;
        assert!(!answer.contains("\"Allow\":true"), "{answer}");
    }
    let long_head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(!served.ask(long_head.as_bytes()).await.contains("Allow"));
    served.is_alive().await;
}

#[tokio::test]
async fn a_request_that_stays_too_large_after_truncation_is_refused() {
    let served = TestServer::start();
    let many =
        json!({ "RequestMethod": "GET", "RequestUri": "/", "X": vec!["x".repeat(100); 20_000] });
    let answer = served.ask(&post("/AuthZPlugin.AuthZReq", &many.to_string())).await;
    assert!(answer.contains(REFUSED), "{answer}");
    served.is_alive().await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_with_404() {
    let served = TestServer::start();
    for path in ["/", "/Plugin.Deactivate", "/AuthZPlugin.AuthZReq/", "/VolumeDriver.Create"] {
        assert!(served.ask(&post(path, "{}")).await.starts_with("HTTP/1.1 404"), "{path}");
    }
    let get = b"GET /AuthZPlugin.AuthZReq HTTP/1.1\r\nHost: x\r\n\r\n";
    assert!(served.ask(get).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn an_incomplete_body_is_not_allowed() {
    let served = TestServer::start();
    let whole = post("/AuthZPlugin.AuthZReq", &local().to_string());
    let answer = served.ask(&whole[..whole.len() - 1]).await;
    assert!(!answer.contains("\"Allow\":true"), "{answer}");
}

#[tokio::test]
async fn slow_and_silent_peers_do_not_block_other_requests() {
    let served = TestServer::start();
    let mut slow = Vec::new();
    for part in
        ["", "POST /AuthZ", "POST /AuthZPlugin.AuthZReq HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"]
            .iter()
            .cycle()
            .take(MAX_CONNECTIONS - 1)
    {
        let mut stream = served.dial().await;
        stream.write_all(part.as_bytes()).await.expect("sent");
        slow.push(stream);
    }
    served.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_arrives_is_refused_after_the_time_limit() {
    let served = TestServer::start();
    let mut stream = served.dial().await;
    let head = b"POST /AuthZPlugin.AuthZReq HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{";
    stream.write_all(head).await.expect("sent");
    assert!(rest(&mut stream).await.contains(REFUSED));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_the_time_limit() {
    let served = TestServer::start();
    let mut stream = served.dial().await;
    let mut answer = Vec::new();
    let ended = timeout(HEAD_TIMEOUT * 2, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok());
}

#[tokio::test]
async fn shutdown_closes_idle_connections() {
    let served = TestServer::start();
    let mut idle = served.dial().await;
    idle.write_all(&post("/Plugin.Activate", "")).await.expect("sent");
    let mut begun = [0; 16];
    idle.read_exact(&mut begun).await.expect("an answer");
    assert!(served.tasks.finish(TIMEOUT).await);
}
