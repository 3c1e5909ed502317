//! Maintains the connection to the broker and reconnects with backoff.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::Connection;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pending::{PendingMessage, PendingMessages};
use super::publisher::{Ended, Publisher};
use super::target::Target;
use crate::backoff::Backoff;
use crate::chain;
use crate::shutdown::Tasks;

/// A connection that lasts this long resets the backoff.
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// Time limit for closing the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit for messages in flight after shutdown has begun.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// After shutdown has begun, the connection closes once no message was sent for this long.
const QUIET_PERIOD: Duration = Duration::from_millis(300);

/// The connection; `None` while disconnected.
pub(super) type CurrentConnection = Option<Arc<Connection>>;

/// Decides when the connection may close.
#[derive(Debug, Clone, Default)]
pub(super) struct ShutdownState {
    /// Cancelled by `close`.
    pub(super) closed: CancellationToken,
    /// Holds a token for each message in flight, in either direction.
    pub(super) in_flight: TaskTracker,
    /// Notified for each message that is sent.
    pub(super) sent: Arc<Notify>,
}

impl ShutdownState {
    /// Returns after `close`, or when shutdown has begun and nothing is in flight.
    async fn wait_until_closable(&self, tasks: &Tasks) {
        tokio::select! {
            () = self.closed.cancelled() => return,
            () = tasks.cancelled() => {}
        }
        self.in_flight.close();
        tokio::select! {
            () = self.closed.cancelled() => {}
            _ = timeout(DRAIN_TIMEOUT, self.drained()) => {}
        }
    }

    async fn drained(&self) {
        self.in_flight.wait().await;
        while timeout(QUIET_PERIOD, self.sent.notified()).await.is_ok() {
            self.in_flight.wait().await;
        }
    }
}

pub(super) struct Link {
    pub(super) target: Target,
    pub(super) sender: Arc<str>,
    pub(super) incoming: mpsc::Receiver<PendingMessage>,
    pub(super) connections: watch::Sender<CurrentConnection>,
}

impl Link {
    /// Keeps the connection until the transport may close.
    pub(super) async fn run(mut self, shutdown_state: ShutdownState, tasks: Tasks) {
        tokio::select! {
            () = self.keep_connected() => {}
            () = shutdown_state.wait_until_closable(&tasks) => {}
        }
        shutdown_state.closed.cancel();
        if let Some(connection) = self.connections.send_replace(None) {
            close(&connection).await;
        }
    }

    async fn keep_connected(&mut self) {
        let (mut pending, mut backoff) = (PendingMessages::default(), super::backoff());
        loop {
            let first = backoff.tries() == 0;
            match self.connect_and_publish(&mut pending, &mut backoff).await {
                Ok(Ended::Closed) => return,
                Ok(Ended::Lost(cause)) => {
                    tracing::warn!(error = %chain(&cause), "lost the connection to {}; reconnecting", self.target);
                }
                Err(cause) if first => {
                    tracing::warn!(error = %chain(&cause), "cannot connect to {}; will keep trying", self.target);
                }
                Err(cause) => {
                    tracing::debug!(error = %chain(&cause), "still cannot connect to {}", self.target);
                }
            }
            tokio::time::sleep(backoff.next_pause()).await;
            pending.drop_abandoned();
        }
    }

    async fn connect_and_publish(
        &mut self,
        pending: &mut PendingMessages,
        backoff: &mut Backoff,
    ) -> std::io::Result<Ended> {
        let connection = Arc::new(self.target.connect().await?);
        let publisher = Publisher::open(&connection, pending, (&self.sender, self.target.user()))
            .await
            .map_err(std::io::Error::other)?;
        tracing::info!(tries = backoff.tries() + 1, "connected to {}", self.target);
        self.connections.send_replace(Some(Arc::clone(&connection)));
        let begun = Instant::now();
        let ended = publisher.run(&mut self.incoming).await;
        if begun.elapsed() > STABLE_AFTER {
            backoff.reset();
        }
        self.connections.send_replace(None);
        close(&connection).await;
        Ok(ended)
    }
}

async fn close(connection: &Connection) {
    match timeout(CLOSE_TIMEOUT, connection.close(200, "goodbye".into())).await {
        Ok(Ok(())) => {}
        Ok(Err(cause)) => {
            tracing::debug!(error = %chain(&cause), "the connection was already closed");
        }
        Err(_elapsed) => tracing::debug!("the broker did not confirm the close in time"),
    }
}
