//! Obstacles to a setup: one clear error, and nothing is changed.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use zun_common::chain;
use zun_compute::docker_setup::{ServiceError, Services, UnitAction, dry_run};

use super::host::Host;
use super::units::Units;

/// The units of a host. Actions on zun-authz do nothing, because the test serves its own plugin.
pub(super) struct Others(pub(super) Arc<Units>);

/// Serves a plugin that allows everything.
pub(super) fn open_plugin(socket: &Path) {
    let listener = UnixListener::bind(socket).expect("a socket");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a stream");
            let mut question = [0; 4096];
            let count = stream.read(&mut question).expect("a question");
            let activate = question[..count].starts_with(b"POST /Plugin.Activate");
            let body = if activate { r#"{"Implements":["authz"]}"# } else { r#"{"Allow":true}"# };
            let answer = format!("HTTP/1.0 200 OK\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).expect("answered");
        }
    });
}

#[async_trait]
impl Services for Others {
    async fn files(&self, unit: &str) -> Result<Vec<PathBuf>, ServiceError> {
        self.0.files(unit).await
    }
    async fn is_active(&self, _unit: &str) -> Result<bool, ServiceError> {
        Ok(true)
    }
    async fn daemon_reload(&self) -> Result<(), ServiceError> {
        Ok(())
    }
    async fn control(&self, action: UnitAction, unit: &str) -> Result<(), ServiceError> {
        if unit.starts_with("zun-authz") { Ok(()) } else { self.0.control(action, unit).await }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_obstacle_is_a_clear_error_and_nothing_is_changed() {
    let mut host = Host::start("{}\n").await;
    let (dockerd, files) = (host.units.dockerd(), host.files());
    let refusal = async |host: &Host| chain(&host.set_up().await.expect_err("refused"));

    let taken = std::net::TcpListener::bind(host.address()).expect("the port");
    let message = refusal(&host).await;
    assert!(message.starts_with("Docker cannot listen on 127.0.0.1:"), "{message}");
    drop(taken);

    for (text, expected) in [
        ("{\"debug\":", "it is not JSON"),
        ("{\"hosts\": [\"fd://\"]}", "Docker refuses both together"),
        ("{\"tlscert\": \"/mine.pem\"}", "`tlscert` is already \"/mine.pem\""),
    ] {
        std::fs::write(host.layout.config(), text).expect("written");
        let message = refusal(&host).await;
        let place = host.layout.config().display().to_string();
        assert!(message.contains(expected) && message.contains(&place), "{message}");
        let shown = dry_run(&host.machine, &host.settings, Some(host.address())).await;
        assert_eq!(chain(&shown.expect_err("refused")), message, "a dry run says the same");
        assert_eq!(std::fs::read_to_string(host.layout.config()).expect("read"), text);
    }
    std::fs::write(host.layout.config(), [0xff]).expect("written");
    let message = refusal(&host).await;
    assert!(message.contains("cannot read") && message.contains("utf-8"), "{message}");
    std::fs::write(host.layout.config(), "{}\n").expect("written");

    let good = host.settings.clone();
    host.settings.console.api_version = Some("1.99".parse().expect("a version"));
    let message = refusal(&host).await;
    assert!(message.contains("`console.api_version` is 1.99, but Docker supports"), "{message}");
    host.settings = good;

    let socket = std::mem::replace(&mut host.machine.engine, "/nowhere/docker.sock".into());
    let message = refusal(&host).await;
    assert!(message.starts_with("Docker does not answer on /nowhere/docker.sock"), "{message}");
    host.machine.engine = socket;

    host.stop_api().await;
    let message = refusal(&host).await;
    assert!(
        message.starts_with("zun-api did not sign the probe grant that verifies the listener"),
        "{message}"
    );

    assert_eq!(host.files(), files, "no file may change");
    assert_eq!(host.units.dockerd(), dockerd, "Docker must not be restarted");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicting_drop_ins_of_docker_are_found_before_anything_is_changed() {
    let host = Host::start("{}\n").await;
    let (dockerd, place) =
        (host.units.dockerd(), host.machine.paths.units.join("docker.service.d"));
    std::fs::create_dir(&place).expect("a directory");
    let command = "ExecStart=\nExecStart=dockerd $DOCKER_OPTS\n";
    for (name, text, expected) in [
        ("zz.conf", format!("[Service]\n{command}"), "systemd reads it later"),
        (
            "opts.conf",
            format!("[Service]\n{command}Environment=\"DOCKER_OPTS=-H tcp://0.0.0.0:2375\"\n"),
            "has the flag `-H`",
        ),
        (
            "tls.conf",
            format!("[Service]\n{command}Environment=DOCKER_OPTS=--tlsverify\n"),
            "has the flag `--tlsverify`",
        ),
    ] {
        let path = place.join(name);
        std::fs::write(&path, text).expect("written");
        let files = host.files();
        let message = chain(&host.set_up().await.expect_err("refused"));
        let names_both =
            message.contains(expected) && message.contains(&path.display().to_string());
        assert!(names_both, "{message}");
        assert_eq!(host.files(), files, "no file may change");
        std::fs::remove_file(&path).expect("removed");
    }
    assert_eq!(host.units.dockerd(), dockerd, "Docker must not be restarted");
    host.stop().await;
}
