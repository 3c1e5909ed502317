//! A test bench: a private engine with the TLS listener and `zun-authz`, and a CA that issues grants and forged
//! certificates.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::Utc;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use zun_api::ca::{CertificateAuthority, EnrolledHost};
use zun_common::grant::{ApiVersion, Grant, Mode, SessionEvent, Target};
use zun_common::id::HostName;
use zun_common::pki::signing_request;
use zun_standalone::engine::{EngineSettings, Plugin, PrivateEngine, TlsListener};
use zun_tests::tls::{Identity, RogueCa, TlsDialer};
use zun_tests::zun_cli::binary;

const HOST: &str = "compute1";
const TIMEOUT: Duration = Duration::from_secs(20);

pub(super) struct Bench {
    engine: PrivateEngine,
    pub(super) ca: CertificateAuthority,
    pub(super) rogue_ca: RogueCa,
    pub(super) dialer: TlsDialer,
    pub(super) version: ApiVersion,
    notes: UnixDatagram,
    directory: TempDir,
}

impl Bench {
    pub(super) async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let ca_directory = directory.path().join("ca");
        let ca = CertificateAuthority::init(&ca_directory).expect("a CA");
        let rogue_ca = RogueCa::of(&ca_directory);
        let notify = directory.path().join("notes");
        let notes = UnixDatagram::bind(&notify).expect("a socket");
        notes.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        let version: ApiVersion = engine_version();
        let plugin = Plugin {
            program: binary("zun-authz"),
            host: host(),
            api_version: version,
            notify: Some(notify),
        };
        let listener = listener(directory.path(), &ca, plugin);
        let dialer = TlsDialer {
            address: listener.address,
            name: HOST.to_owned(),
            ca: ca.certificate_pem().to_owned(),
        };
        let settings = EngineSettings {
            directory: directory.path().join("engine"),
            listener: Some(listener),
            runtime: None,
        };
        let engine = PrivateEngine::start(&settings).await.expect("a private engine");
        let bench = Self { engine, ca, rogue_ca, dialer, version, notes, directory };
        bench.import();
        bench
    }

    /// Stops the engine. Returns the plugin's log of decisions.
    pub(super) async fn stop(self) -> String {
        // Shells ignore SIGTERM, and their grace period is long.
        let all = self.docker(&["ps", "--all", "--quiet"]);
        if !all.is_empty() {
            self.docker(&[&["rm", "--force"], all.lines().collect::<Vec<_>>().as_slice()].concat());
        }
        let log = self.log();
        self.engine.stop().await.expect("stopped");
        std::fs::read_to_string(log).expect("the plugin's log")
    }

    /// Returns the path of the plugin's log.
    pub(super) fn log(&self) -> PathBuf {
        self.directory.path().join("engine/zun-authz.log")
    }

    /// Returns the command that runs Docker's client on the engine's unix socket.
    pub(super) fn client(&self) -> Vec<String> {
        let socket = format!("unix://{}", self.engine.socket().display());
        vec!["docker".to_owned(), "-H".to_owned(), socket]
    }

    pub(super) fn ca_directory(&self) -> PathBuf {
        self.directory.path().join("ca")
    }

    /// Runs Docker's client on the engine's unix socket and returns its stdout.
    pub(super) fn docker(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("docker runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// Kills the plugin. Nothing restarts it here.
    pub(super) fn kill_plugin(&self) {
        let own = self.directory.path().join("ca.pem").display().to_string();
        let all = std::fs::read_dir("/proc").expect("processes").flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut ours = pids.filter(|pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            line.contains("/zun-authz\0--socket") && line.contains(&own)
        });
        let pid = ours.next().and_then(Pid::from_raw).expect("zun-authz runs");
        kill_process(pid, Signal::KILL).expect("killed");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("-H").arg(format!("unix://{}", self.engine.socket().display()));
        command.args(arguments);
        command
    }

    /// Creates a container without network from these options, image and command, and returns its ID.
    pub(super) fn container(&self, arguments: &[&str]) -> String {
        let all = [&["create", "--network", "none"], arguments].concat();
        self.docker(&all)
    }

    /// Creates an exec with a terminal in a running container and returns its ID.
    pub(super) async fn exec(&self, container: &str, command: &[&str]) -> String {
        let body = serde_json::json!({ "AttachStdin": true, "AttachStdout": true, "Tty": true, "Cmd": command });
        let body = body.to_string();
        let request = format!(
            "POST /containers/{container}/exec HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut engine = UnixStream::connect(self.engine.socket()).await.expect("the engine");
        engine.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        engine.read_to_string(&mut answer).await.expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let made: serde_json::Value = serde_json::from_str(body).expect("JSON");
        made.get("Id").and_then(|id| id.as_str()).expect("an exec").to_owned()
    }

    fn import(&self) {
        let root = self.directory.path().join("image");
        std::fs::create_dir_all(root.join("bin")).expect("a directory");
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from);
        let busybox = busybox.iter().find(|file| file.exists()).expect("busybox-static");
        std::fs::copy(busybox, root.join("bin/busybox")).expect("copied");
        for applet in ["sh", "cat", "sleep", "stty", "echo"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("linked");
        }
        let mut tar = Command::new("tar")
            .arg("-C")
            .arg(&root)
            .args(["-c", "."])
            .stdout(Stdio::piped())
            .spawn()
            .expect("tar runs");
        let input = tar.stdout.take().expect("a pipe");
        let imported =
            self.command(&["import", "-", "small"]).stdin(input).output().expect("docker");
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
        assert!(tar.wait().expect("tar ends").success());
    }

    /// Issues a grant as zun-api does.
    pub(super) fn granted(&self, grant: &Grant, id: &str) -> Identity {
        Identity::granted(&self.ca, grant, id, Utc::now())
    }

    /// Waits for the plugin's next notification.
    pub(super) fn next_event(&self) -> SessionEvent {
        let mut bytes = [0; 1024];
        let length = self.notes.recv(&mut bytes).expect("an event");
        serde_json::from_slice(bytes.get(..length).expect("an event")).expect("an event in JSON")
    }

    pub(super) fn expect_no_event(&self) {
        self.notes.set_nonblocking(true).expect("set");
        let mut bytes = [0; 1024];
        assert!(self.notes.recv(&mut bytes).is_err(), "{}", String::from_utf8_lossy(&bytes));
        self.notes.set_nonblocking(false).expect("set");
    }
}

fn listener(directory: &Path, ca: &CertificateAuthority, plugin: Plugin) -> TlsListener {
    let names = vec![HOST.to_owned(), "127.0.0.1".to_owned()];
    let request = signing_request(HOST, names).expect("a request");
    let enrolled = EnrolledHost::new(host(), ["127.0.0.1".parse().expect("an address")]);
    let certificate =
        ca.host_certificate(&enrolled, &request.csr, Utc::now()).expect("a certificate");
    let write = |name: &str, text: &str| {
        let file = directory.join(name);
        std::fs::write(&file, text).expect("written");
        file
    };
    TlsListener {
        address: free_address(),
        ca: write("ca.pem", ca.certificate_pem()),
        certificate: write("cert.pem", &certificate),
        key: write("key.pem", request.key.expose()),
        plugin,
    }
}

fn free_address() -> SocketAddr {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    probe.local_addr().expect("an address")
}

/// Returns the API version of the installed engine.
fn engine_version() -> ApiVersion {
    let output = Command::new("dockerd").arg("--version").output().expect("dockerd is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = if text.contains(" 20.10") { "1.41" } else { "1.45" };
    version.parse().expect("a version")
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
