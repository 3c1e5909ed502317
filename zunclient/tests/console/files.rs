//! Tests of `zun cp` and `zun logs` with a host that is hostile, slow, or lost during the copy.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::Full;
use rustix::process::{Pid, Signal};
use serde_json::json;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use zunclient::console::docker::address::Address;
use zunclient::console::docker::direct::Direct;
use zunclient::console::{ConsoleError, LinkTimeouts};

use crate::fake::service::Service;
use crate::fake::{Engine, EngineRequest, Server};

const TIMEOUT: Duration = Duration::from_secs(30);
const NOBODY: &str = "65534";

/// Starts a service that grants every request on this engine.
async fn service(engine: &Arc<Engine>) -> Service {
    let engine = Arc::clone(engine);
    Service::start(move |request| {
        let csr = request.body.get("csr").and_then(|csr| csr.as_str()).unwrap_or_default();
        let mut endpoint = engine.endpoint(csr);
        let url = json!(format!("https://127.0.0.1:{}/c/data", engine.port));
        let fields = endpoint.as_object_mut().expect("fields");
        fields.insert("url".to_owned(), url);
        let export = format!("https://127.0.0.1:{}/c/export", engine.port);
        fields.insert("calls".to_owned(), json!({"export": export}));
        (200, endpoint)
    })
    .await
}

/// Returns a command that runs zun without root's rights: root would ignore the modes of files.
fn unprivileged(dir: &TempDir) -> Command {
    let zun = env!("CARGO_BIN_EXE_zun");
    if !rustix::process::geteuid().is_root() {
        return Command::new(zun);
    }
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).expect("root may");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", zun]);
    command
}

fn start(mut command: Command, service: &Service, arguments: &[&str]) -> Child {
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("OS_ENDPOINT", format!("http://127.0.0.1:{}/v1", service.port))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary runs")
}

/// Returns the exit code, stdout and stderr.
async fn end(child: Child) -> (Option<i32>, String, String) {
    let output = timeout(TIMEOUT, child.wait_with_output()).await.expect("in time").expect("ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("one").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

fn add(tar: &mut Builder<Vec<u8>>, (name, kind, mode): (&str, EntryType, u32), content: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, name, content).expect("a vector takes all");
}

/// Returns an archive of a read-only tree, such as Go's module cache.
fn read_only_tree() -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    add(&mut tar, ("tree/", EntryType::Directory, 0o555), b"");
    add(&mut tar, ("tree/deep/", EntryType::Directory, 0o555), b"");
    add(&mut tar, ("tree/deep/file", EntryType::Regular, 0o444), &vec![7; 100_000]);
    add(&mut tar, ("tree/last", EntryType::Regular, 0o444), b"x");
    tar.into_inner().expect("a vector takes all")
}

/// Sends the first `count` bytes of an archive, with the `Content-Length` of the whole archive.
async fn send_part(stream: &mut Server, archive: &[u8], count: usize) {
    let directory = base64::engine::general_purpose::STANDARD.encode(r#"{"mode":2147484013}"#);
    let head = format!(
        "HTTP/1.1 200 OK\r\nX-Docker-Container-Path-Stat: {directory}\r\nContent-Length: {}\r\n\r\n",
        archive.len()
    );
    stream.write_all(head.as_bytes()).await.expect("answered");
    stream.write_all(archive.get(..count).expect("so much")).await.expect("sent");
    stream.flush().await.expect("sent");
}

#[tokio::test]
async fn a_read_only_tree_can_be_copied_twice_to_the_same_place() {
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        let archive = read_only_tree();
        send_part(&mut request.stream, &archive, archive.len()).await;
        request.stream.shutdown().await.expect("ended");
    });
    let engine = Arc::new(engine.await);
    let service = service(&engine).await;
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    for destination in [at("new"), at(""), at("")] {
        let child = start(unprivileged(&dir), &service, &["cp", "test:/tree", &destination]);
        assert_eq!(end(child).await, (Some(0), String::new(), String::new()), "{destination}");
    }
    assert_eq!(names(dir.path()), ["new", "tree"]);
    for directory in ["new", "new/deep", "tree", "tree/deep"] {
        let mode = std::fs::metadata(at(directory)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o555, "{directory}");
    }
    assert_eq!(std::fs::read(at("new/deep/file")).expect("a file"), vec![7; 100_000]);
    for directory in ["new", "new/deep", "tree", "tree/deep"] {
        std::fs::set_permissions(at(directory), PermissionsExt::from_mode(0o777)).expect("ours");
    }
}

#[tokio::test]
async fn a_lost_link_leaves_no_files_and_the_error_says_after_how_many_bytes() {
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        send_part(&mut request.stream, &read_only_tree(), 50_000).await;
    });
    let engine = Arc::new(engine.await);
    let service = service(&engine).await;
    let dir = tempfile::tempdir().expect("a directory");
    let new = dir.path().join("new").to_str().expect("text").to_owned();
    let child = start(unprivileged(&dir), &service, &["cp", "test:/tree", &new]);
    let (code, _, stderr) = end(child).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("lost the connection after 50000 bytes"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(names(dir.path()), [""; 0]);
    let child = start(unprivileged(&dir), &service, &["cp", "test:/tree", "-"]);
    let (code, came, stderr) = end(child).await;
    assert_eq!((code, came.len()), (Some(1), 50_000), "{stderr}");
    assert!(stderr.contains("lost the connection after 50000 bytes"), "{stderr}");
}

/// Returns after a file of the tree is in the temporary directory beside the destination.
async fn wait_until_halfway(dir: &Path) {
    let deep = |name: &String| dir.join(name).join("tree/deep/file").exists();
    while !names(dir).iter().any(deep) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_signal_during_a_copy_leaves_no_files() {
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        send_part(&mut request.stream, &read_only_tree(), 50_000).await;
        std::future::pending::<()>().await;
    });
    let engine = Arc::new(engine.await);
    let service = service(&engine).await;
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let dir = tempfile::tempdir().expect("a directory");
        let new = dir.path().join("new").to_str().expect("text").to_owned();
        let child = start(unprivileged(&dir), &service, &["cp", "test:/tree", &new]);
        timeout(TIMEOUT, wait_until_halfway(dir.path())).await.expect("half of it is there");
        let pid = i32::try_from(child.id().expect("it runs")).ok().and_then(Pid::from_raw);
        rustix::process::kill_process(pid.expect("a number"), signal).expect("it runs");
        assert_eq!(end(child).await, (Some(code), String::new(), String::new()));
        assert_eq!(names(dir.path()), [""; 0]);
    }
}

#[tokio::test]
async fn a_fifo_destination_is_refused_and_a_symlink_is_followed() {
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        let mut tar = Builder::new(Vec::new());
        add(&mut tar, ("f", EntryType::Regular, 0o644), b"content");
        let archive = tar.into_inner().expect("a vector takes all");
        let file = base64::engine::general_purpose::STANDARD.encode(r#"{"mode":420}"#);
        let head = format!(
            "HTTP/1.1 200 OK\r\nX-Docker-Container-Path-Stat: {file}\r\nContent-Length: {}\r\n\r\n",
            archive.len()
        );
        // A client that refuses the destination does not read everything.
        drop(request.stream.write_all(&[head.as_bytes(), archive.as_slice()].concat()).await);
        drop(request.stream.shutdown().await);
    });
    let engine = Arc::new(engine.await);
    let service = service(&engine).await;
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let copy = async |to: &str| {
        let command = Command::new(env!("CARGO_BIN_EXE_zun"));
        end(start(command, &service, &["cp", "test:/f", to])).await
    };
    let made = std::process::Command::new("mkfifo").arg(at("fifo")).status().expect("mkfifo runs");
    assert!(made.success());
    let (code, _, stderr) = copy(&at("fifo")).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("fifo: it is not a file or directory"), "{stderr}");
    assert!(std::fs::metadata(at("fifo")).expect("kept").file_type().is_fifo());
    std::fs::write(at("file"), b"former").expect("a file");
    std::os::unix::fs::symlink("file", at("link")).expect("a link");
    assert_eq!(copy(&at("link")).await.0, Some(0));
    assert_eq!(std::fs::read(at("file")).expect("a file"), b"content");
    assert!(std::fs::symlink_metadata(at("link")).expect("kept").is_symlink());
    assert_eq!(names(dir.path()), ["fifo", "file", "link"]);
    let (code, _, stderr) = copy(&at("missing/f")).await;
    let expected =
        format!("zun: {}: the directory {} does not exist\n", at("missing/f"), at("missing"));
    assert_eq!((code, stderr), (Some(1), expected));
}

/// Answers inspections and copies of a container with `/link`, which points to `/real`, and `/door`, which points to the
/// directory `/room`.
async fn with_links(mut request: EngineRequest) {
    const LINK: u32 = 1 << 27;
    const DIRECTORY: u32 = 1 << 31;
    let path = request.head.split("path=").nth(1).and_then(|rest| rest.split(' ').next());
    let path = path.unwrap_or_default().to_owned();
    let (mode, target) = match path.as_str() {
        "/link" => (LINK | 0o777, "/real"),
        "/door" => (LINK | 0o777, "/room"),
        "/room" | "/room/." => (DIRECTORY | 0o755, ""),
        _ => (0o644, ""),
    };
    let mut tar = Builder::new(Vec::new());
    match path.as_str() {
        "/room/." => {
            add(&mut tar, ("./", EntryType::Directory, 0o755), b"");
            add(&mut tar, ("./chair", EntryType::Regular, 0o644), b"wood");
        }
        "/link" => {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, "link", "/real").expect("a vector takes all");
        }
        _ => add(&mut tar, ("real", EntryType::Regular, 0o644), b"content"),
    }
    let archive = tar.into_inner().expect("a vector takes all");
    let stat = json!({ "mode": mode, "linkTarget": target }).to_string();
    let stat = base64::engine::general_purpose::STANDARD.encode(stat);
    let body = if request.head.starts_with("HEAD ") { &[][..] } else { &archive };
    let head = format!(
        "HTTP/1.1 200 OK\r\nX-Docker-Container-Path-Stat: {stat}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    request.stream.write_all(&[head.as_bytes(), body].concat()).await.expect("sent");
    drop(request.stream.shutdown().await);
}

#[tokio::test]
async fn a_followed_link_is_copied_under_its_own_name() {
    let engine = Arc::new(Engine::start(&["127.0.0.1"], with_links).await);
    let service = service(&engine).await;
    let dir = tempfile::tempdir().expect("a directory");
    let to = dir.path().to_str().expect("text").to_owned();
    let copy = async |words: &[&str], to: &str| {
        let command = Command::new(env!("CARGO_BIN_EXE_zun"));
        let words = [&["cp"], words, &[to]].concat();
        let (code, _, stderr) = end(start(command, &service, &words)).await;
        assert_eq!(code, Some(0), "{words:?}: {stderr}");
    };
    copy(&["test:/link"], &to).await;
    assert!(dir.path().join("link").is_symlink());
    copy(&["-L", "test:/link"], &to).await;
    assert!(!dir.path().join("link").is_symlink());
    assert_eq!(std::fs::read(dir.path().join("link")).expect("a file"), b"content");
    copy(&["--follow-link", "-a", "test:/door"], &to).await;
    assert_eq!(std::fs::read(dir.path().join("door/chair")).expect("a file"), b"wood");
    copy(&["-L", "test:/door"], dir.path().join("new").to_str().expect("text")).await;
    assert_eq!(std::fs::read(dir.path().join("new/chair")).expect("a file"), b"wood");
    assert_eq!(names(dir.path()), ["door", "link", "new"]);
}

#[tokio::test]
async fn a_refusal_of_the_host_ends_a_copy_from_an_endless_stdin() {
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
        request.stream.write_all(answer).await.expect("refused");
        std::future::pending::<()>().await;
    });
    let engine = Arc::new(engine.await);
    let service = service(&engine).await;
    let command = Command::new(env!("CARGO_BIN_EXE_zun"));
    let mut child = start(command, &service, &["cp", "-", "test:/nope"]);
    let _open = child.stdin.take().expect("a pipe");
    let (code, _, stderr) = end(child).await;
    assert_eq!(code, Some(1));
    assert_eq!(stderr, "zun: test:/nope: there is no such directory in the container\n");
}

#[tokio::test]
async fn a_lost_link_during_an_upload_is_reported_as_a_lost_link() {
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        let mut some = vec![0; 1 << 20];
        request.stream.read_exact(&mut some).await.expect("some of it");
    });
    let engine = Arc::new(engine.await);
    let service = service(&engine).await;
    let command = Command::new(env!("CARGO_BIN_EXE_zun"));
    let mut child = start(command, &service, &["cp", "-", "test:/tmp"]);
    let mut input = child.stdin.take().expect("a pipe");
    let feeding = async move {
        let piece = vec![0; 1 << 16];
        while input.write_all(&piece).await.is_ok() {}
    };
    let ((code, _, stderr), ()) = tokio::join!(end(child), feeding);
    assert_eq!(code, Some(1));
    let expected = "zun: test:/tmp: lost the connection to the host: after ";
    assert!(stderr.starts_with(expected), "{stderr}");
    assert!(
        stderr.lines().count() == 1 && !stderr.contains("cannot open a TLS connection"),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_host_that_reads_late_still_gets_the_whole_upload() {
    const SIZE: usize = 64 << 20;
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        // The host pauses for longer than the peer timeout.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let mut buffer = vec![0; 1 << 16];
        let mut count = 0;
        while count < SIZE {
            count += request.stream.read(&mut buffer).await.expect("all of it");
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        request.stream.write_all(answer).await.expect("answered");
        request.stream.shutdown().await.expect("ended");
    });
    let engine = engine.await;
    let mut dial = engine.dial(false, "127.0.0.1");
    let (probe_after, give_up_after) = (Duration::from_millis(500), Duration::from_millis(500));
    dial.link = LinkTimeouts { probe_after, give_up_after, ..LinkTimeouts::default() };
    let address = Address::parse(&format!("https://127.0.0.1:{}/c/data", engine.port));
    let direct = Direct::new(&dial).expect("certificates");
    let stream = Full::new(Bytes::from(vec![0; SIZE]));
    let address = address.expect("an address");
    let put = direct.put(&address, stream);
    timeout(TIMEOUT, put).await.expect("in time").expect("taken");
}

#[tokio::test]
async fn log_output_before_a_lost_link_is_printed() {
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
        request.stream.write_all(head).await.expect("answered");
        for (stream, text) in [(1, b"out"), (2, b"err")] {
            request.stream.write_all(&[stream, 0, 0, 0, 0, 0, 0, 3]).await.expect("sent");
            request.stream.write_all(text).await.expect("sent");
        }
        request.stream.flush().await.expect("sent");
    });
    let engine = Arc::new(engine.await);
    let service = service(&engine).await;
    for (flags, expected_stdout, expected_stderr) in [
        (&["logs", "test"][..], "out", "err"),
        (&["logs", "--stdout", "--stderr", "x"], "out", "err"),
    ] {
        let command = Command::new(env!("CARGO_BIN_EXE_zun"));
        let (code, printed, stderr) = end(start(command, &service, flags)).await;
        assert_eq!((code, printed.as_str()), (Some(1), expected_stdout), "{stderr}");
        assert!(stderr.starts_with(expected_stderr), "{stderr}");
        assert!(stderr.contains("zun: lost the connection to the host"), "{stderr}");
    }
}

#[tokio::test]
async fn a_rejected_client_certificate_is_a_handshake_error() {
    let engine = Engine::start(&["127.0.0.1"], |_asked: EngineRequest| async {}).await;
    let stranger = Engine::start(&["127.0.0.1"], |_asked: EngineRequest| async {}).await;
    let mut dial = engine.dial(false, "127.0.0.1");
    let address = Address::parse(&format!("https://127.0.0.1:{}/c/data", engine.port));
    // The certificate is signed by a CA that the host does not know.
    let own = stranger.dial(false, "127.0.0.1");
    dial.endpoint.tls.certificate = own.endpoint.tls.certificate;
    dial.key = own.key;
    let direct = Direct::new(&dial).expect("certificates");
    let put = direct.put(&address.expect("an address"), Full::new(Bytes::from_static(b"x"))).await;
    assert!(matches!(put, Err(ConsoleError::Handshake { .. })), "{put:?}");
}

#[tokio::test]
async fn an_export_is_the_engines_own_and_a_lost_link_leaves_no_file() {
    let whole = read_only_tree().len();
    for sent in [whole, 50_000] {
        let engine = Engine::start(&["127.0.0.1"], move |mut request: EngineRequest| async move {
            assert!(request.head.starts_with("GET /c/export HTTP/1.1\r\n"), "{}", request.head);
            send_part(&mut request.stream, &read_only_tree(), sent).await;
            request.stream.shutdown().await.ok();
        });
        let engine = Arc::new(engine.await);
        let service = service(&engine).await;
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("test.tar");
        let path = file.to_str().expect("text");
        let child = start(unprivileged(&dir), &service, &["export", "--output", path, "test"]);
        let (code, _, stderr) = end(child).await;
        if sent == whole {
            assert_eq!((code, stderr), (Some(0), String::new()));
            assert_eq!(std::fs::read(&file).expect("a file"), read_only_tree());
        } else {
            assert_eq!(code, Some(1), "{stderr}");
            assert!(!file.exists());
        }
    }
}
