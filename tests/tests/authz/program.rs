//! Tests of the program `zun-authz`: start, service manager, stop, memory.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use zun_api::ca::{CERTIFICATE_FILE, CertificateAuthority};
use zun_tests::eventually::eventually;
use zun_tests::profile;
use zun_tests::zun_cli::binary;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A directory with a CA.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        CertificateAuthority::init(directory.path()).expect("a CA");
        Self(directory)
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("plugin.sock")
    }

    fn start(&self, socket: Option<&Path>, activated: Stdio) -> Child {
        // Like systemd: the socket is file descriptor 3, and the environment names this process.
        let enter = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@""#;
        let mut command = if socket.is_some() {
            Command::new(binary("zun-authz"))
        } else {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", enter, "enter"]).arg(binary("zun-authz"));
            shell
        };
        command.arg("--ca").arg(self.0.path().join(CERTIFICATE_FILE)).args(["--host", "compute1"]);
        if let Some(socket) = socket {
            command.arg("--socket").arg(socket);
        }
        command.stdin(activated).stderr(Stdio::piped()).spawn().expect("zun-authz runs")
    }
}

fn terminated(child: Child) -> Output {
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::TERM).expect("signalled");
    child.wait_with_output().expect("an end")
}

/// Sends Docker's activation request as soon as the socket exists.
fn activate(socket: &Path) -> String {
    let mut connected = None;
    eventually("the plugin listens", || {
        connected = UnixStream::connect(socket).ok();
        connected.is_some()
    });
    let mut stream = connected.expect("a connection");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    let request = b"POST /Plugin.Activate HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(request).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn it_creates_its_socket_refuses_a_second_instance_and_removes_it() {
    let place = Place::new();
    let first = place.start(Some(&place.socket()), Stdio::null());
    assert!(activate(&place.socket()).ends_with(r#"{"Implements":["authz"]}"#));
    let second = place.start(Some(&place.socket()), Stdio::null()).wait_with_output();
    let second = second.expect("an end");
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second).contains("another process listens on"), "{}", text(&second));
    let first = terminated(first);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first));
    assert!(!place.socket().exists());
}

#[test]
fn it_uses_the_socket_from_systemd_and_keeps_it() {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).expect("a socket");
    let child = place.start(None, Stdio::from(OwnedFd::from(listener)));
    assert!(activate(&place.socket()).ends_with(r#"{"Implements":["authz"]}"#));
    assert_eq!(terminated(child).status.code(), Some(0));
    assert!(place.socket().exists());
}

/// The plugin with this test as service manager, with a watchdog of 1.5 s.
struct Manager {
    socket: UnixDatagram,
    child: Child,
}

impl Manager {
    fn start(place: &Place) -> Self {
        let path = place.0.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        // WATCHDOG_PID must name the process itself.
        let script = "WATCHDOG_PID=$$ exec \"$@\"";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "watched"]).arg(binary("zun-authz"));
        command.arg("--ca").arg(place.0.path().join(CERTIFICATE_FILE)).args(["--host", "compute1"]);
        command.arg("--socket").arg(place.socket());
        command.env("NOTIFY_SOCKET", path).env("WATCHDOG_USEC", "1500000");
        let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
        Self { socket, child }
    }

    /// Reads notifications until one contains this text, and returns them.
    fn receives(&self, wanted: &str) -> String {
        let mut received = String::new();
        while !received.contains(wanted) {
            let mut bytes = [0; 1024];
            let length =
                self.socket.recv(&mut bytes).unwrap_or_else(|_| panic!("{wanted}: {received}"));
            received += &String::from_utf8_lossy(&bytes[..length]);
            received.push('\n');
        }
        received
    }
}

#[test]
fn it_is_ready_when_it_answers_and_feeds_the_watchdog_while_it_does() {
    let place = Place::new();
    let manager = Manager::start(&place);
    let received = manager.receives("READY=1");
    assert!(received.contains("STATUS=answering authorization requests"), "{received}");
    assert!(activate(&place.socket()).contains("authz"));
    manager.receives("WATCHDOG=1");
    manager.receives("WATCHDOG=1");
    // As many idle connections as the plugin serves at once. It can answer neither its own health check nor the engine.
    let silent: Vec<_> =
        (0..32).map(|_| UnixStream::connect(place.socket()).expect("a connection")).collect();
    manager.receives("STATUS=does not answer its own health check");
    drop(silent);
    // The next notification says that it decides again, so the watchdog was not fed in between.
    assert!(manager.receives("WATCHDOG=1").contains("STATUS=answering authorization requests"));
    manager.receives("WATCHDOG=1");
    let output = terminated(manager.child);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn without_a_ca_it_is_never_ready() {
    let place = Place::new();
    std::fs::remove_file(place.0.path().join(CERTIFICATE_FILE)).expect("removed");
    let manager = Manager::start(&place);
    assert_eq!(manager.child.wait_with_output().expect("an end").status.code(), Some(1));
    manager.socket.set_nonblocking(true).expect("set");
    assert!(manager.socket.recv(&mut [0; 64]).is_err());
}

/// Returns the output of `zun-authz --stats`.
fn counts(socket: &Path) -> serde_json::Value {
    let mut asking = Command::new(binary("zun-authz"));
    let output = asking.arg("--stats").arg("--socket").arg(socket).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_changed_ca_file_is_reloaded_and_a_broken_one_is_ignored() {
    let place = Place::new();
    let child = place.start(Some(&place.socket()), Stdio::null());
    activate(&place.socket());
    assert_eq!(counts(&place.socket())["authorities"], 1);
    let ca = place.0.path().join(CERTIFICATE_FILE);
    let both = std::fs::read_to_string(&ca).expect("a file").repeat(2);
    std::fs::write(&ca, both).expect("written");
    assert_eq!(counts(&place.socket())["authorities"], 2);
    std::fs::write(&ca, "nonsense").expect("written");
    assert_eq!(counts(&place.socket())["authorities"], 2);
    let output = terminated(child);
    let log = text(&output);
    assert!(log.contains("reloaded the CA file"), "{log}");
    assert_eq!(log.matches("keeping the previous CAs").count(), 1, "{log}");
}

#[test]
fn stats_without_a_plugin_are_an_error() {
    let place = Place::new();
    let mut asking = Command::new(binary("zun-authz"));
    let output = asking.arg("--stats").arg("--socket").arg(place.socket()).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("zun-authz does not answer on"), "{}", text(&output));
}

/// Returns the peak memory of a process in KiB.
fn peak_memory(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("alive");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number")
}

#[test]
fn its_memory_stays_small_whatever_is_sent() {
    let size = profile::times(20) << 20;
    let place = Place::new();
    let child = place.start(Some(&place.socket()), Stdio::null());
    activate(&place.socket());
    let before = peak_memory(&child);
    // One long string, many short ones, no JSON, deep nesting.
    let pieces = ["x", "\"aaaaaaaaaaaaaaaa\",", "\\", "[{\"a\":"];
    let beginnings = ["{\"ResponseBody\":\"", "{\"X\":[", "", ""];
    std::thread::scope(|scope| {
        for number in 0..64 {
            let (piece, socket) = (pieces[number % 4], place.socket());
            let body = beginnings[number % 4].to_owned() + &piece.repeat(size / piece.len());
            scope.spawn(move || {
                let mut stream = UnixStream::connect(socket).expect("a connection");
                stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
                let head = format!(
                    "POST /AuthZPlugin.AuthZRes HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                // The plugin may answer and close before it has read everything.
                drop(
                    stream
                        .write_all(head.as_bytes())
                        .and_then(|()| stream.write_all(body.as_bytes())),
                );
                let mut answer = String::new();
                drop(stream.read_to_string(&mut answer));
                assert!(!answer.contains("\"Allow\":true"), "{answer}");
            });
        }
    });
    let grown = peak_memory(&child) - before;
    println!("{before} KiB at the start, {grown} KiB more after 64 requests of {size} bytes");
    assert!(grown < 16 << 10, "{grown} KiB more than the {before} KiB at the start");
    assert_eq!(terminated(child).status.code(), Some(0));
}

#[test]
fn the_next_instance_after_a_kill_replaces_the_socket() {
    let place = Place::new();
    let mut first = place.start(Some(&place.socket()), Stdio::null());
    activate(&place.socket());
    first.kill().expect("killed");
    first.wait().expect("an end");
    assert!(place.socket().exists());
    let second = place.start(Some(&place.socket()), Stdio::null());
    assert!(activate(&place.socket()).contains("authz"));
    assert_eq!(terminated(second).status.code(), Some(0));
}

#[test]
fn without_a_ca_it_does_not_start() {
    let place = Place::new();
    let ca = place.0.path().join(CERTIFICATE_FILE);
    for content in [Some("nonsense"), None] {
        match content {
            Some(content) => std::fs::write(&ca, content).expect("written"),
            None => std::fs::remove_file(&ca).expect("removed"),
        }
        let child = place.start(Some(&place.socket()), Stdio::null());
        let output = child.wait_with_output().expect("an end");
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains("ca.pem"), "{}", text(&output));
        assert!(!place.socket().exists());
    }
}
