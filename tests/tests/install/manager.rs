//! Tests of the services' notifications to the service manager.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use zun_tests::eventually::eventually;
use zun_tests::rabbit::{Rabbit, VirtualHost};
use zun_tests::zun_cli::binary;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A service with this test as service manager.
struct Managed {
    child: Child,
    socket: UnixDatagram,
    lines: Vec<String>,
    directory: TempDir,
}

impl Managed {
    /// Runs the program with these settings (`HERE` in them is its directory) and a watchdog of 3 s.
    fn start(program: &str, settings: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("settings.toml");
        let here = directory.path().display().to_string();
        std::fs::write(&file, settings.replace("HERE", &here)).expect("written");
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let child = spawn(program, &file, &path);
        Self { child, socket, lines: Vec::new(), directory }
    }

    /// Reads notifications until one contains this text. Returns those since the last call.
    fn sends(&mut self, wanted: &str) -> Vec<String> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(at) = self.lines.iter().position(|line| line.contains(wanted)) {
                return self.lines.drain(..=at).collect();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "`{wanted}` was not sent, only {:?}", self.lines);
            self.socket.set_read_timeout(Some(left)).expect("a timeout");
            let mut bytes = [0; 4096];
            if let Ok(length) = self.socket.recv(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                self.lines.extend(text.lines().map(str::to_owned));
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the service runs");
    }

    /// Stops the service as a service manager does, and checks that the service notifies the manager.
    fn stop(mut self) {
        self.signal(Signal::TERM);
        self.sends("STOPPING=1");
        eventually("it has ended", || self.child.try_wait().expect("its status").is_some());
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(self.directory.path()));
    }
}

/// `WATCHDOG_PID` must be the pid of the service, so the shell sets it before it becomes the service.
fn spawn(program: &str, settings: &Path, notify: &Path) -> Child {
    Command::new("sh")
        .args(["-c", "WATCHDOG_PID=$$ exec \"$0\" --config \"$1\""])
        .arg(binary(program))
        .arg(settings)
        .env("NOTIFY_SOCKET", notify)
        .env("WATCHDOG_USEC", "3000000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the service runs")
}

fn api(bus: &str) -> String {
    format!(
        "[http]\nlisten = '127.0.0.1:0'\n[auth]\nstrategy = 'none'\n[database]\npath = 'HERE/zun.sqlite'\n\
         [bus]\nurl = '{bus}'\n"
    )
}

fn agent(bus: &str, engine: &Path) -> String {
    format!(
        "host = 'managed1'\nstate_directory = 'HERE/state'\n[bus]\nurl = '{bus}'\n[docker]\nsocket = '{}'\n[heartbeat]\ninterval = 1\n",
        engine.display()
    )
}

/// Returns the URL of a broker that does not exist.
fn no_broker(broker: &VirtualHost) -> String {
    broker.settings_through("127.0.0.1:9".parse().expect("an address")).url
}

fn engine() -> PathBuf {
    let url = std::env::var_os("ZUN_TEST_DOCKER").expect("run the tests with `make test`");
    PathBuf::from(url.to_string_lossy().trim_start_matches("unix://"))
}

#[tokio::test]
async fn zun_api_reports_ready_watchdog_and_stopping_to_systemd() {
    let rabbit = Rabbit::shared().await;
    let mut service = Managed::start("zun-api", &api(rabbit.virtual_host().await.url()));
    service.sends("READY=1");
    service.sends("STATUS=listening on 127.0.0.1:");
    service.sends("WATCHDOG=1");
    service.sends("WATCHDOG=1");
    service.stop();
}

#[test]
fn zun_api_is_ready_although_its_clients_need_certificates() {
    let directory = tempfile::tempdir().expect("a directory");
    let ca = directory.path().join("ca");
    let here = directory.path().display();
    super::tls::zun_api(&["ca", "init", "--directory"], &ca);
    let create = ["ca", "api-certificate", "--name", "zun.example.org", "--output"];
    super::tls::zun_api(&[&create[..], &[&format!("{here}/tls"), "--directory"]].concat(), &ca);
    let http = format!(
        "[http]\ncertificate = '{here}/tls/cert.pem'\nkey = '{here}/tls/key.pem'\nclient_ca = '{here}/ca/ca.pem'\n"
    );
    let settings = api("memory://").replace("[http]\n", &http);
    let mut service = Managed::start("zun-api", &settings);
    service.sends("READY=1");
    service.sends("WATCHDOG=1");
    service.stop();
}

#[tokio::test]
async fn zun_api_reports_that_it_waits_for_its_bus() {
    let rabbit = Rabbit::shared().await;
    let mut service = Managed::start("zun-api", &api(&no_broker(&rabbit.virtual_host().await)));
    let lines =
        [service.sends("the bus is not connected"), service.sends("EXTEND_TIMEOUT_USEC")].concat();
    assert!(!lines.iter().any(|line| line == "READY=1"), "{lines:?}");
    service.stop();
}

#[tokio::test]
async fn zun_compute_reports_ready_and_watchdog_to_systemd() {
    let rabbit = Rabbit::shared().await;
    let bus = rabbit.virtual_host().await;
    let mut service = Managed::start("zun-compute", &agent(bus.url(), &engine()));
    service.sends("READY=1");
    service.sends("STATUS=Docker answers; the bus is connected");
    service.sends("WATCHDOG=1");
    service.sends("WATCHDOG=1");
    service.stop();
}

#[tokio::test]
async fn zun_compute_feeds_the_watchdog_while_it_waits_for_its_engine() {
    let rabbit = Rabbit::shared().await;
    let bus = rabbit.virtual_host().await;
    let mut service = Managed::start("zun-compute", &agent(bus.url(), Path::new("/nowhere.sock")));
    let lines = service.sends("Docker does not answer; the bus is connected");
    assert!(!lines.iter().any(|line| line == "READY=1"), "{lines:?}");
    service.sends("EXTEND_TIMEOUT_USEC");
    service.stop();
}
