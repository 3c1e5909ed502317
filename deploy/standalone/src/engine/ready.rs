//! Starts dockerd and waits for its first answer.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixDatagram, UnixStream};

use super::error::{EngineError, at};
use super::process::Process;
use super::settings::Layout;

/// Starts dockerd and waits until it announces that it is ready, as it does to systemd, and answers a ping.
pub(super) async fn start(layout: &Layout, within: Duration) -> Result<Process, EngineError> {
    let path = layout.ready_socket();
    let notifications = UnixDatagram::bind(&path).map_err(at("bind", &path))?;
    let config = layout.config();
    let set_up = |command: &mut tokio::process::Command| {
        command.arg("--config-file").arg(&config).env("NOTIFY_SOCKET", &path);
    };
    let mut daemon = Process::start(layout, "dockerd", set_up, Path::new("dockerd"))?;
    let ready = tokio::time::timeout(within, async {
        tokio::select! {
            ready = wait_ready(&notifications) => ready.map_err(at("read", &path)),
            error = daemon.ended() => Err(error),
        }
    });
    match ready.await {
        Ok(outcome) => outcome?,
        Err(_elapsed) => {
            let error = daemon.not_ready(within);
            daemon.terminate(Duration::from_secs(5)).await;
            return Err(error);
        }
    }
    let socket = layout.socket();
    ping(&socket).await.map_err(|cause| EngineError::NoAnswer { socket, cause })?;
    Ok(daemon)
}

async fn wait_ready(notifications: &UnixDatagram) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let length = notifications.recv(&mut buffer).await?;
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
        if text.lines().any(|line| line == "READY=1") {
            return Ok(());
        }
    }
}

/// Pings the engine.
async fn ping(socket: &Path) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let first = answer.lines().next().unwrap_or_default();
    if first.split_whitespace().nth(1) == Some("200") {
        return Ok(());
    }
    Err(std::io::Error::other(format!("it answered `{first}`")))
}
