//! The plugin as a program: how it is started and ended.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use zun_api::ca::{Authority, CERTIFICATE_FILE};
use zun_tests::bed::binary;
use zun_tests::eventually::eventually;

const PATIENCE: Duration = Duration::from_secs(20);

/// A directory with an authority.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Authority::init(directory.path()).expect("an authority");
        Self(directory)
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("plugin.sock")
    }

    fn start(&self, socket: Option<&Path>, activated: Stdio) -> Child {
        // As systemd does it: the socket is the third descriptor and is for this process.
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

/// Asks what the plugin is for, once its socket is there.
fn activate(socket: &Path) -> String {
    let mut connected = None;
    eventually("the plugin listens", || {
        connected = UnixStream::connect(socket).ok();
        connected.is_some()
    });
    let mut stream = connected.expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
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
fn it_makes_its_socket_refuses_a_second_one_and_takes_it_away() {
    let place = Place::new();
    let first = place.start(Some(&place.socket()), Stdio::null());
    assert!(activate(&place.socket()).ends_with(r#"{"Implements":["authz"]}"#));
    let second = place.start(Some(&place.socket()), Stdio::null()).wait_with_output();
    let second = second.expect("an end");
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second).contains("is in use by another process"), "{}", text(&second));
    let first = terminated(first);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first));
    assert!(!place.socket().exists());
}

#[test]
fn it_takes_the_socket_that_systemd_hands_over_and_leaves_it() {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).expect("a socket");
    let child = place.start(None, Stdio::from(OwnedFd::from(listener)));
    assert!(activate(&place.socket()).ends_with(r#"{"Implements":["authz"]}"#));
    assert_eq!(terminated(child).status.code(), Some(0));
    assert!(place.socket().exists());
}

#[test]
fn after_a_kill_the_next_one_replaces_the_socket() {
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
fn without_an_authority_it_does_not_start() {
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
