//! A gate in front of the engine of the test run, with a CA that issues grants and forged certificates.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use chrono::Utc;
use serde_json::{Value, json};
use tempfile::TempDir;
use zun_api::ca::{CertificateAuthority, EnrolledHost};
use zun_common::grant::{Grant, Mode, Target};
use zun_common::id::HostName;
use zun_common::pki::signing_request;
use zun_gate::run::{Gate, Handover};
use zun_gate::settings::{PublicSettings, Settings};
use zun_tests::proxy::Proxy;
use zun_tests::tls::{Identity, RogueCa, TlsDialer};

pub(super) const HOST: &str = "compute1";

/// The name for clients with tickets.
pub(super) const PUBLIC: &str = "console.test";

pub(super) struct Bench {
    pub(super) gate: Option<Gate>,
    pub(super) ca: CertificateAuthority,
    pub(super) dialer: TlsDialer,
    pub(super) settings: Settings,
    socket: PathBuf,
    containers: Mutex<Vec<String>>,
    pub(super) directory: TempDir,
}

impl Bench {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a gate whose settings `change` has changed.
    pub(super) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let socket = engine_socket();
        let directory = tempfile::tempdir().expect("a directory");
        let ca = CertificateAuthority::init(&directory.path().join("ca")).expect("a CA");
        let mut settings = settings(directory.path(), &ca);
        settings.docker.socket.clone_from(&socket);
        change(&mut settings);
        let gate = Gate::start(&settings, Handover::default()).await.expect("a gate");
        let dialer = TlsDialer {
            address: gate.address().expect("an address"),
            name: HOST.to_owned(),
            ca: ca.certificate_pem().to_owned(),
        };
        let (gate, containers) = (Some(gate), Mutex::default());
        Self { gate, ca, dialer, settings, socket, containers, directory }
    }

    /// A dialer of the name for clients with tickets.
    pub(super) fn public(&self) -> TlsDialer {
        TlsDialer { name: PUBLIC.to_owned(), ..self.dialer.clone() }
    }

    /// Sends a request to the control socket, and returns the status and the answer.
    pub(super) fn control(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let socket = self.settings.control_socket.as_deref().expect("a control socket");
        control(socket, method, path, body)
    }

    /// Asks for a ticket for one session within a minute.
    pub(super) fn ticket(&self, target: &Value, mode: &str, id: &str) -> String {
        let request = json!({
            "target": target, "mode": mode, "project": "p1", "grant": id, "seconds": 60, "uses": 1,
        });
        let (status, answer) = self.control("POST", "/tickets", &request);
        assert_eq!(status, 200, "{answer}");
        let port = self.address().port();
        assert_eq!(answer["address"], format!("{PUBLIC}:{port}"));
        answer["ticket"].as_str().expect("a ticket").to_owned()
    }

    /// A dialer that goes through a proxy.
    pub(super) fn through(&self, proxy: &Proxy) -> TlsDialer {
        TlsDialer { address: proxy.address(), ..self.dialer.clone() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.dialer.address
    }

    pub(super) fn rogue_ca(&self) -> RogueCa {
        RogueCa::of(&self.directory.path().join("ca"))
    }

    /// Issues a grant as zun-api does.
    pub(super) fn granted(&self, grant: &Grant) -> Identity {
        Identity::granted(&self.ca, grant, "g1", Utc::now())
    }

    /// Creates a container without network, which is removed with this, and returns its ID.
    pub(super) fn container(&self, arguments: &[&str]) -> String {
        let all = [&["create", "--network", "none"], arguments].concat();
        let id = self.docker(&all);
        self.containers.lock().expect("unpoisoned").push(id.clone());
        id
    }

    /// Creates a container with the options for a terminal, or only for stdin.
    pub(super) fn shell(&self, tty: bool, script: &str) -> String {
        let options: &[&str] = if tty { &["-i", "-t"] } else { &["-i"] };
        self.container(&[options, &["busybox", "sh", "-c", script]].concat())
    }

    /// Runs Docker's client, and returns its stdout.
    pub(super) fn docker(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("docker runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("-H").arg(format!("unix://{}", self.socket.display())).args(arguments);
        command
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Creates an exec in a running container, and returns its ID.
    pub(super) fn exec(&self, container: &str, tty: bool, command: &[&str]) -> String {
        let body = json!({
            "AttachStdin": true, "AttachStdout": true, "AttachStderr": true, "Tty": tty, "Cmd": command,
        });
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--unix-socket"])
            .arg(&self.socket)
            .args(["-H", "Content-Type: application/json", "--data", &body.to_string()])
            .arg(format!("http://docker/containers/{container}/exec"))
            .output()
            .expect("curl runs");
        let made: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        made["Id"].as_str().expect("an exec").to_owned()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let containers = self.containers.lock().expect("unpoisoned");
        if !containers.is_empty() {
            let names: Vec<_> = containers.iter().map(String::as_str).collect();
            let mut command = self.command(&[&["rm", "--force", "--volumes"], &*names].concat());
            // Those with --rm are gone.
            drop(command.stdout(Stdio::null()).stderr(Stdio::null()).status());
        }
    }
}

fn engine_socket() -> PathBuf {
    let address = std::env::var_os("ZUN_TEST_DOCKER").expect("ZUN_TEST_DOCKER names an engine");
    let address = address.into_string().expect("ZUN_TEST_DOCKER is text");
    address.strip_prefix("unix://").expect("it begins with unix://").into()
}

/// Returns settings with the TLS files in this directory, and a free port.
pub(super) fn settings(directory: &Path, ca: &CertificateAuthority) -> Settings {
    let write = |name: &str, text: &str| {
        let file = directory.join(name);
        std::fs::write(&file, text).expect("written");
        file
    };
    let mut settings = Settings::default();
    settings.listen.set_port(0);
    settings.host = Some(host());
    settings.tls.ca = write("ca.pem", ca.certificate_pem());
    // As on hosts: the certificate and its key are in one file.
    settings.tls.key = write("key.pem", &certificate(ca, HOST));
    settings.tls.certificate.clone_from(&settings.tls.key);
    let key = write("public.pem", &certificate(ca, PUBLIC));
    let name = PUBLIC.parse().expect("a name");
    let origins = vec!["https://horizon.test".to_owned()];
    settings.public =
        Some(PublicSettings { name, port: None, certificate: key.clone(), key, origins });
    settings.control_socket = Some(directory.join("control.sock"));
    settings
}

/// Returns a certificate for this name, and its key.
fn certificate(ca: &CertificateAuthority, name: &str) -> String {
    let names = vec![name.to_owned(), "127.0.0.1".to_owned()];
    let request = signing_request(name, names).expect("a request");
    let host = name.parse().expect("a host name");
    let enrolled = EnrolledHost::new(host, ["127.0.0.1".parse().expect("an address")]);
    let certificate =
        ca.host_certificate(&enrolled, &request.csr, Utc::now()).expect("a certificate");
    format!("{certificate}\n{}", request.key.expose())
}

pub(super) fn host() -> HostName {
    HOST.parse().expect("a host")
}

pub(super) fn console(container: &str, mode: Mode) -> Grant {
    Grant {
        host: host(),
        target: Target::Container { id: container.parse().expect("an id"), mode },
        gate_only: false,
    }
}

pub(super) fn exec(id: &str) -> Grant {
    Grant {
        host: host(),
        target: Target::Exec { id: id.parse().expect("an id") },
        gate_only: false,
    }
}

/// Sends a request to a control socket, and returns the status and the answer.
pub(super) fn control(socket: &Path, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--request", method, "--write-out", "\n%{http_code}"])
        .arg("--unix-socket")
        .arg(socket)
        .args(["--data", &body.to_string()])
        .arg(format!("http://gate{path}"))
        .output()
        .expect("curl runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let (answer, status) = text.rsplit_once('\n').expect("a status");
    (status.parse().expect("a status"), serde_json::from_str(answer).expect("JSON"))
}
