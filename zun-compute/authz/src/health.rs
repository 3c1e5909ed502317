//! Feeds systemd's watchdog while the plugin answers requests.
//!
//! dockerd waits for a plugin without a time limit, so systemd must restart a plugin that hangs. The plugin sends
//! itself a request over a socket pair that it serves like one of dockerd's connections. It cannot dial its own
//! socket path, because only root may connect there.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc::Sender;
use tokio::time::{MissedTickBehavior, interval, timeout};
use zun_common::notify::{Health, ServiceManager};

use super::server::STATS;

/// The largest answer that is read, in bytes. The counts are shorter.
const MAX_ANSWER: u64 = 64 << 10;

/// Checks the plugin three times within the watchdog's timeout and reports the result to the service manager. Never
/// returns. Sends the server's end of each health check connection to `connections`.
pub(super) async fn feed_watchdog(connections: Sender<UnixStream>, mut manager: ServiceManager) {
    let mut checks = interval(manager.period());
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        checks.tick().await;
        let asked = timeout(manager.period(), answer(&connections)).await;
        let alive = matches!(asked, Ok(Ok(true)));
        let status = if alive {
            "answering authorization requests"
        } else {
            "does not answer its own health check"
        };
        manager.notify(&Health { ready: alive, alive, status: status.to_owned() });
    }
}

async fn answer(connections: &Sender<UnixStream>) -> io::Result<bool> {
    let (mut ours, theirs) = UnixStream::pair()?;
    connections.send(theirs).await.map_err(io::Error::other)?;
    let request = format!("GET {STATS} HTTP/1.1\r\nHost: zun-authz\r\nConnection: close\r\n\r\n");
    ours.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    ours.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}
