//! Runs `zun-authz` for the private engine.

use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::{interval, timeout};
use tracing::warn;
use zun_common::chain;

use super::config::PLUGIN;
use super::error::EngineError;
use super::process::Process;
use super::settings::{Layout, Plugin, TlsListener};

/// How long zun-authz may take to listen.
const START: Duration = Duration::from_secs(10);

/// Starts zun-authz and waits until its socket accepts connections, because dockerd does not start without it.
pub(super) async fn start(
    layout: &Layout,
    plugin: &Plugin,
    ca: &Path,
) -> Result<Process, EngineError> {
    let set_up = |command: &mut Command| {
        command.arg("--socket").arg(format!("/run/docker/plugins/{PLUGIN}.sock"));
        command.arg("--ca").arg(ca).args(["--host", plugin.host.as_str()]);
        command.args(["--api-version", &plugin.api_version.to_string()]);
        if let Some(notify) = &plugin.notify {
            command.arg("--notify").arg(notify);
        }
    };
    let mut process = Process::start(layout, "zun-authz", set_up, &plugin.program)?;
    let socket = layout.plugin_socket();
    let ready = timeout(START, async {
        tokio::select! {
            () = answers(&socket) => Ok(()),
            error = process.ended() => Err(error),
        }
    });
    match ready.await {
        Ok(outcome) => outcome.map(|()| process),
        Err(_elapsed) => Err(process.not_ready(START)),
    }
}

/// Starts zun-authz again after it exited.
pub(super) async fn restart(
    layout: &Layout,
    listener: &TlsListener,
    ended: &EngineError,
) -> Result<Process, EngineError> {
    warn!(error = %chain(ended), "zun-authz exited; restarting it");
    start(layout, &listener.plugin, &listener.ca).await
}

async fn answers(socket: &Path) {
    let mut tick = interval(Duration::from_millis(5));
    loop {
        tick.tick().await;
        if UnixStream::connect(socket).await.is_ok() {
            return;
        }
    }
}
