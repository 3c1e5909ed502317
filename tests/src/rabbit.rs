//! The RabbitMQ of this test run. `tests/services/with-services.sh` starts it in a container and passes its address in
//! the environment.

mod cluster;

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use lapin::{Connection, ConnectionProperties};
use rustix::fs::{FlockOperation, flock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use url::Url;
use uuid::Uuid;
use zun_common::bus::BusSettings;

use crate::eventually::eventually_some;

pub use cluster::RabbitCluster;

/// The broker. A test uses it shared with other tests, or exclusively.
#[derive(Debug)]
pub struct Rabbit {
    amqp: Url,
    api: Url,
    container: String,
    engine: String,
    /// None for a broker that only one test knows.
    _lock: Option<File>,
}

/// A virtual host that no other test uses.
#[derive(Debug, Clone)]
pub struct VirtualHost {
    url: Url,
}

impl Rabbit {
    /// Waits for shared use of the broker.
    pub async fn shared() -> Self {
        Self::locked(FlockOperation::LockShared).await
    }

    /// Waits for exclusive use of the broker, for a test that kills it.
    pub async fn exclusive() -> Self {
        Self::locked(FlockOperation::LockExclusive).await
    }

    async fn locked(how: FlockOperation) -> Self {
        let amqp: Url = variable("ZUN_TEST_AMQP").parse().expect("a URL");
        let path = variable("ZUN_TEST_RABBIT_LOCK").into();
        Self {
            amqp,
            api: variable("ZUN_TEST_RABBIT_API").parse().expect("a URL"),
            container: variable("ZUN_TEST_RABBIT_CONTAINER"),
            engine: variable("ZUN_TEST_DOCKER"),
            _lock: Some(lock(path, how).await),
        }
    }

    /// Returns the address on which the broker listens.
    pub fn address(&self) -> SocketAddr {
        address(&self.amqp)
    }

    /// Creates an empty virtual host.
    pub async fn virtual_host(&self) -> VirtualHost {
        let mut url = self.amqp.clone();
        url.set_path(&format!("/test-{}", Uuid::new_v4()));
        let virtual_host = VirtualHost { url };
        self.create(&virtual_host).await;
        virtual_host
    }

    /// Creates a virtual host again that was removed.
    pub async fn create(&self, virtual_host: &VirtualHost) {
        let (path, user) = (virtual_host.url.path(), self.amqp.username());
        self.request("PUT", &format!("vhosts{path}"), "").await;
        let all = r#"{"configure":".*","write":".*","read":".*"}"#;
        self.request("PUT", &format!("permissions{path}/{user}"), all).await;
    }

    /// Creates a user with these permissions (configure, write, read) on a virtual host, and returns the URL.
    pub async fn user(&self, on: &VirtualHost, name: &str, permissions: [&str; 3]) -> String {
        let password = Uuid::new_v4().to_string();
        let about = serde_json::json!({"password": password, "tags": ""});
        self.request("PUT", &format!("users/{name}"), &about.to_string()).await;
        let [configure, write, read] = permissions;
        let rules = serde_json::json!({"configure": configure, "write": write, "read": read});
        let path = format!("permissions{}/{name}", on.url.path());
        self.request("PUT", &path, &rules.to_string()).await;
        let mut url = on.url.clone();
        url.set_username(name).expect("a user");
        url.set_password(Some(&password)).expect("a password");
        url.to_string()
    }

    /// Removes a virtual host. Every remaining one makes a restart of the broker slower.
    pub async fn remove(&self, virtual_host: &VirtualHost) {
        self.request("DELETE", &format!("vhosts{}", virtual_host.url.path()), "").await;
    }

    /// Removes a queue and its messages.
    pub async fn remove_queue(&self, on: &VirtualHost, queue: &str) {
        self.request("DELETE", &format!("queues{}/{queue}", on.url.path()), "").await;
    }

    /// Kills the broker and starts it again with the same data.
    pub async fn kill_and_start(&self) {
        self.kill().await;
        self.start().await;
        eventually_some("the broker answers again", || answers_greeting(self.address())).await;
    }

    /// Kills the broker.
    pub async fn kill(&self) {
        self.engine(&["kill", &self.container]).await;
    }

    /// Starts the killed broker, with the same data. Does not wait until it answers.
    pub async fn start(&self) {
        self.engine(&["start", &self.container]).await;
    }

    /// Freezes the broker.
    pub async fn pause(&self) {
        self.engine(&["pause", &self.container]).await;
    }

    /// Lets the frozen broker continue.
    pub async fn unpause(&self) {
        self.engine(&["unpause", &self.container]).await;
    }

    async fn engine(&self, arguments: &[&str]) {
        docker(&self.engine, arguments).await;
    }

    /// Waits until the management API answers.
    pub async fn until_managed(&self) {
        let asked = || self.asked("GET", "vhosts", "");
        let answers = || async { asked().await.filter(|status| status.contains(" 200")) };
        eventually_some("the management API answers", answers).await;
    }

    /// Sends a request to the management API.
    async fn request(&self, method: &str, path: &str, body: &str) {
        let status = self.asked(method, path, body).await.expect("the management API answers");
        assert!(status.contains(" 20"), "{method} {path}: {status}");
    }

    /// Sends a request to the management API, and returns the first line of the answer.
    async fn asked(&self, method: &str, path: &str, body: &str) -> Option<String> {
        let host = address(&self.api);
        let authorization = BasicAuthorization(&self.api);
        let mut stream = TcpStream::connect(host).await.ok()?;
        let request = format!(
            "{method} /api/{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.lines().next().map(str::to_owned)
    }
}

impl VirtualHost {
    /// Returns its URL, with the password.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Returns settings for a bus on this virtual host.
    pub fn settings(&self) -> BusSettings {
        BusSettings::at(self.url.as_str())
    }

    /// Returns settings for a bus on this virtual host that connects to another address.
    pub fn settings_through(&self, way: SocketAddr) -> BusSettings {
        let mut url = self.url.clone();
        url.set_ip_host(way.ip()).expect("an address");
        url.set_port(Some(way.port())).expect("a port");
        BusSettings::at(url.as_str())
    }

    /// Opens a plain AMQP connection.
    pub async fn raw(&self) -> Connection {
        Connection::connect(self.url.as_str(), ConnectionProperties::default())
            .await
            .expect("a raw connection")
    }
}

struct BasicAuthorization<'a>(&'a Url);

impl std::fmt::Display for BasicAuthorization<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use base64::Engine as _;
        let pair = format!("{}:{}", self.0.username(), self.0.password().unwrap_or_default());
        write!(out, "Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }
}

/// Runs `docker` on an engine, and returns what it prints.
async fn docker(engine: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("docker");
    command.args(["--host", engine]).args(arguments).stdin(Stdio::null());
    let output = command.output().await.expect("docker runs");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {message}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn variable(name: &str) -> String {
    std::env::var_os(name)
        .and_then(|value| value.into_string().ok())
        .unwrap_or_else(|| panic!("{name} is not set: run the tests with `make test`"))
}

fn address(url: &Url) -> SocketAddr {
    let host = url.host_str().expect("a host").parse().expect("an IP address");
    SocketAddr::new(host, url.port().expect("a port"))
}

async fn lock(path: PathBuf, how: FlockOperation) -> File {
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::options().create(true).append(true).open(path).expect("a lock file");
        flock(&file, how).expect("locked");
        file
    });
    locked.await.expect("locked")
}

/// Returns `Some` if the broker answers the AMQP greeting with a method frame.
async fn answers_greeting(at: SocketAddr) -> Option<()> {
    let mut stream = TcpStream::connect(at).await.ok()?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").await.ok()?;
    (stream.read_u8().await.ok()? == 1).then_some(())
}
