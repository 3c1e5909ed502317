//! A real engine. `ZUN_TEST_DOCKER` names its socket (`unix:///path/of/its.sock`).

use std::any::Any;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::OnceCell;
use zun_common::id::{ContainerId, ExecId};
use zun_compute::driver::ContainerDriver;
use zun_compute::driver::docker::DockerDriver;
use zun_compute::driver::fake::InspectionFault;
use zun_tests::conformance::driver::{BrokenInspection, TestEngine};
use zun_tests::registry::Registry;

use super::proxy::{Fault, Proxy};

pub(crate) struct RealEngine {
    pub(crate) socket: PathBuf,
    registry: OnceCell<Registry>,
}

impl RealEngine {
    /// Returns the registry of this test. Its images are removed when the test ends.
    pub(crate) async fn registry(&self) -> &Registry {
        self.registry.get_or_init(Registry::start).await
    }
}

impl Drop for RealEngine {
    fn drop(&mut self) {
        let Some(registry) = self.registry.get() else { return };
        let repository = format!("{}/zun-conformance", registry.address);
        for image in [format!("{repository}:v1"), format!("{repository}@{}", registry.digest)] {
            // One of the two may never have been pulled.
            let removed = docker_cli(&self.socket, &["rmi", &image]);
            tracing::debug!(image, removed, "cleaned up");
        }
    }
}

/// Runs Docker's client and returns whether it succeeded.
pub(crate) fn docker_cli(socket: &Path, arguments: &[&str]) -> bool {
    let host = format!("unix://{}", socket.display());
    let done = Command::new("docker").arg("-H").arg(host).args(arguments).output();
    done.expect("the docker client").status.success()
}

pub(crate) fn docker() -> RealEngine {
    let address = std::env::var_os("ZUN_TEST_DOCKER")
        .expect("ZUN_TEST_DOCKER must name an engine, such as unix:///var/run/docker.sock");
    let address = address.into_string().expect("ZUN_TEST_DOCKER is text");
    let socket = address.strip_prefix("unix://").expect("ZUN_TEST_DOCKER begins with unix://");
    RealEngine { socket: socket.into(), registry: OnceCell::new() }
}

#[async_trait]
impl TestEngine for RealEngine {
    fn driver(&self) -> Arc<dyn ContainerDriver> {
        Arc::new(DockerDriver::connect(&self.socket).expect("an absolute path"))
    }

    async fn pullable(&self) -> Option<String> {
        Some(format!("{}/zun-conformance:v1", self.registry().await.address))
    }

    /// Nothing listens on this port.
    fn unpullable(&self) -> String {
        "127.0.0.1:1/no-such-image:latest".to_owned()
    }

    fn break_inspection(&self, container: ContainerId, fault: InspectionFault) -> BrokenInspection {
        let proxy = Proxy::new(&self.socket);
        let fault = proxy.break_inspection(
            container,
            match fault {
                InspectionFault::Stalled => Fault::Stalled,
                InspectionFault::Failed => Fault::Unreadable,
            },
        );
        let driver = DockerDriver::connect(&proxy.socket()).expect("an absolute path");
        BrokenInspection { driver: Arc::new(driver), fault: Box::new(fault), link: Box::new(proxy) }
    }

    async fn start_exec(&self, exec: &ExecId) -> Box<dyn Any + Send> {
        let body = r#"{"Detach":false,"Tty":true}"#;
        let head = format!(
            "POST /v1.41/exec/{exec}/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\n\
             Upgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let (answer, stream) = exchange(self, &format!("{head}{body}")).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        Box::new(stream)
    }
}

/// Sends a request and reads the head of its answer.
async fn exchange(engine: &RealEngine, request: &str) -> (String, UnixStream) {
    let mut stream = UnixStream::connect(&engine.socket).await.expect("the engine listens");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.expect("a head"));
    }
    (String::from_utf8(answer).expect("text"), stream)
}

/// Returns the engine's JSON answer to a GET request.
pub(crate) async fn raw(engine: &RealEngine, path: &str) -> serde_json::Value {
    let request = format!("GET {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n");
    let (head, mut stream) = exchange(engine, &request).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut body = Vec::new();
    stream.read_to_end(&mut body).await.expect("a body");
    let text = String::from_utf8(body).expect("text");
    // The engine sends large answers in chunks.
    let plain = if head.to_lowercase().contains("transfer-encoding: chunked") {
        unchunk(&text)
    } else {
        text
    };
    serde_json::from_str(&plain).expect("json")
}

fn unchunk(mut text: &str) -> String {
    let mut plain = String::new();
    while let Some((length, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a chunk's length");
        plain.push_str(rest.get(..length).expect("a whole chunk"));
        text = rest.get(length..).unwrap_or_default().trim_start_matches("\r\n");
    }
    plain
}
