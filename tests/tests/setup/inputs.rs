//! Mistakes of an operator: docker-setup prints one clear error and changes nothing.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use rcgen::{CertificateParams, KeyPair};
use zun_common::bus::{Incoming, Route, Router};
use zun_common::chain;
use zun_common::rpc::host::{ProbeGrant, SignProbe};
use zun_compute::docker_setup::{Services as _, UnitAction, undo};
use zun_tests::tls::common_name;
use zun_tests::zun_cli::binary;

use super::host::Host;
use super::refused::open_plugin;

/// Asserts that the setup fails with an error that contains all these texts, and that nothing was changed or
/// restarted.
async fn refused(host: &Host, expected: &[&str]) {
    let (dockerd, files) = (host.units.dockerd(), host.files());
    let message = chain(&host.set_up().await.expect_err("refused"));
    for part in expected {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert_eq!(host.files(), files, "no file may change");
    assert_eq!(host.units.dockerd(), dockerd, "Docker must not be restarted");
}

/// Serves an engine that only reports an old API version.
fn old_engine(socket: &Path) {
    let listener = UnixListener::bind(socket).expect("a socket");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a stream");
            let mut question = [0; 4096];
            let count = stream.read(&mut question).expect("a question");
            let body = if question[..count].starts_with(b"GET /version") {
                r#"{"ApiVersion":"1.39","MinAPIVersion":"1.12"}"#
            } else {
                r#"{"LiveRestoreEnabled":false,"Plugins":{"Authorization":null}}"#
            };
            let answer = format!("HTTP/1.0 200 OK\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).expect("answered");
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_settings_are_named() {
    let host = Host::start("{}\n").await;
    let path = host.layout.config();
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("a directory in its place");
    refused(&host, &["cannot read", &path.display().to_string(), "directory"]).await;
    fs::remove_dir(&path).expect("removed");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_clock_is_an_error() {
    let mut host = Host::start("{}\n").await;
    host.stop_api().await;
    let slow = |_: SignProbe, _: Incoming| async move {
        let signed_at = Utc::now() - TimeDelta::hours(1);
        Ok(ProbeGrant { certificate: String::new(), signed_at })
    };
    let questions = host.bus.transport().consume(Route::Controller, 8).await.expect("questions");
    Arc::new(Router::new().on(slow)).serve(questions, &host.tasks);
    refused(&host, &["this host's clock is 3600 s ahead of zun-api's", "set the clock"]).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_host_is_an_error() {
    let host = Host::start("{}\n").await;
    let directory = host.settings.console.certificates.clone().expect("a directory");
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("compute2");
    let pem = params.self_signed(&KeyPair::generate().expect("a key")).expect("signed").pem();
    fs::create_dir(&directory).expect("a directory");
    fs::write(directory.join("cert.pem"), pem).expect("written");
    refused(
        &host,
        &["is for host `compute2`, and this host is `compute1`", "remove the certificate"],
    )
    .await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_too_old_is_an_error() {
    let mut host = Host::start("{}\n").await;
    let socket = host.directory.path().join("old.sock");
    old_engine(&socket);
    host.machine.engine = socket;
    refused(&host, &["Docker supports API 1.39 at most", "at least API 1.41 (Docker 20.10)"]).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_authorization_plugin_is_kept_in_front_of_ours() {
    let host = Host::start("{}\n").await;
    open_plugin(&host.layout.run_docker().join("plugins/other.sock"));
    let theirs = "{ \"authorization-plugins\" : [\"other\"] }\n";
    fs::write(host.layout.config(), theirs).expect("written");
    host.units.control(UnitAction::Restart, "docker.service").await.expect("it starts");
    let files = host.files();
    host.set_up().await.expect("set up");
    let asked = || host.docker(&["info", "-f", "{{.Plugins.Authorization}}"]);
    assert_eq!(asked(), "[other zun-authz]");
    undo(&host.machine).await.expect("undone");
    assert_eq!(asked(), "[other]");
    assert_eq!(host.files(), files, "all files must be restored byte for byte");
    host.stop().await;
}

#[test]
fn without_systemd_or_root_nothing_is_started() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("set");
    let program = directory.path().join("zun-compute");
    fs::copy(binary("zun-compute"), &program).expect("copied");
    let says = |before: &str| {
        let script = format!("mount -t tmpfs tmpfs /run && {before} \"$0\" docker-setup");
        let arguments = ["--mount", "--propagation", "private", "sh", "-c", &script];
        let output =
            Command::new("unshare").args(arguments).arg(&program).output().expect("it runs");
        assert!(!output.status.success(), "{before}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let message = says("");
    assert!(message.contains("docker-setup needs systemd"), "{message}");
    let nobody = "setpriv --reuid 65534 --clear-groups";
    let message = says(&format!("mkdir -p /run/systemd/system && {nobody}"));
    assert!(message.contains("run it as root"), "{message}");
}
