//! Setups whose probe fails. Everything is rolled back.

use zun_common::chain;
use zun_compute::docker_setup::SetupError;

use super::host::{Host, SIGNALS};
use super::refused::{Others, open_plugin};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_fails_its_probe_is_rolled_back() {
    let mut host = Host::start("{\n  \"debug\": true\n}\n").await;
    let container = host.container();
    let (pid, files, port) = (host.pid(&container), host.files(), host.address().port());
    // Clients would dial an address where Docker does not listen. Only the probe after the restart detects it.
    let elsewhere = format!("127.0.0.2:{port}").try_into().expect("an address");
    host.settings.console.address = Some(elsewhere);
    let error = host.set_up().await.expect_err("the probe fails");
    assert!(matches!(&error, SetupError::RolledBack(_)), "{error:?}");
    let message = chain(&error);
    assert!(
        message.contains("every change was rolled back") && message.contains("127.0.0.2"),
        "{message}"
    );
    assert_eq!(host.files(), files, "all files must be restored byte for byte");
    assert_eq!(host.pid(&container), pid);
    assert_eq!(
        host.docker(&["info", "-f", "{{.LiveRestoreEnabled}} {{.Plugins.Authorization}}"]),
        "false []"
    );
    assert!(std::net::TcpStream::connect(host.address()).is_err(), "nothing may listen");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_is_not_changed_if_the_plugin_decides_wrongly() {
    let host = Host::start("{}\n").await;
    let (dockerd, files) = (host.units.dockerd(), host.files());
    // A foreign unit of this name is installed and admits every client.
    open_plugin(&host.machine.paths.plugin_socket);
    let mut machine = host.machine.clone();
    machine.services = std::sync::Arc::new(Others(std::sync::Arc::clone(&host.units)));
    let no_signal = SIGNALS.read().await;
    let outcome = host.set_up_on(&machine).await;
    drop(no_signal);
    let message = chain(&outcome.expect_err("the probe fails"));
    assert!(message.contains("a request over TLS without a certificate"), "{message}");
    assert_eq!(host.files(), files, "all files must be restored byte for byte");
    assert_eq!(host.units.dockerd(), dockerd, "Docker must not be restarted");
    host.stop().await;
}
