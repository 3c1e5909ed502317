//! The plugin's own look at itself, of which the service manager is told. dockerd waits for a plugin for ever, so one
//! that hangs must be started anew: it feeds the watchdog only with answers that it had from itself, over a connection
//! that is served like the engine's. (By its own path it could not dial itself: the socket is for root alone.)

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc::Sender;
use tokio::time::{MissedTickBehavior, interval, timeout};
use zun_common::notify::{Health, ServiceManager};

use super::server::STATS;

/// More than its counts.
const LONGEST: u64 = 64 << 10;

/// Looks and tells, until it is dropped. Connections go in by the door.
pub(super) async fn feed_watchdog(connections: Sender<UnixStream>, mut manager: ServiceManager) {
    let mut looks = interval(manager.period());
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let asked = timeout(manager.period(), answer(&connections)).await;
        let alive = matches!(asked, Ok(Ok(true)));
        let words = if alive { "decides" } else { "has no answer for itself" };
        manager.notify(&Health { ready: alive, alive, status: words.to_owned() });
    }
}

async fn answer(connections: &Sender<UnixStream>) -> io::Result<bool> {
    let (mut ours, theirs) = UnixStream::pair()?;
    connections.send(theirs).await.map_err(io::Error::other)?;
    let request = format!("GET {STATS} HTTP/1.1\r\nHost: zun-authz\r\nConnection: close\r\n\r\n");
    ours.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    ours.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}
