//! The one connection to the broker: made, kept, made again with growing pauses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::Connection;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::orders::{Order, Orders};
use super::publisher::{Ended, Publisher};
use super::target::Target;
use crate::bus::backoff::Backoff;
use crate::chain;
use crate::shutdown::Tasks;

/// A connection that held so long was a good one: the next pause is short again.
const GOOD: Duration = Duration::from_secs(5);
/// For the goodbye to the broker.
const GOODBYE: Duration = Duration::from_secs(2);
/// After shutdown has begun: until the connection is closed though something is in hand.
const LINGER: Duration = Duration::from_secs(5);
/// After shutdown has begun: without a new message for so long, the connection is closed.
const QUIET: Duration = Duration::from_millis(300);

/// The connection, while there is one.
pub(super) type Up = Option<Arc<Connection>>;

/// When the connection may end.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending {
    /// `close` was called.
    pub(super) closed: CancellationToken,
    /// Holds a token for each message that is under way, in or out.
    pub(super) in_hand: TaskTracker,
    /// Rung at each message that is sent.
    pub(super) sent: Arc<Notify>,
}

impl Ending {
    /// Ends at `close`, or when shutdown has begun and the last words are said.
    async fn reached(&self, tasks: &Tasks) {
        tokio::select! {
            () = self.closed.cancelled() => return,
            () = tasks.cancelled() => {}
        }
        self.in_hand.close();
        tokio::select! {
            () = self.closed.cancelled() => {}
            _ = timeout(LINGER, self.last_words()) => {}
        }
    }

    async fn last_words(&self) {
        self.in_hand.wait().await;
        while timeout(QUIET, self.sent.notified()).await.is_ok() {
            self.in_hand.wait().await;
        }
    }
}

pub(super) struct Link {
    pub(super) target: Target,
    pub(super) sender: Arc<str>,
    pub(super) incoming: mpsc::Receiver<Order>,
    pub(super) up: watch::Sender<Up>,
}

impl Link {
    /// Keeps the connection until the end is reached.
    pub(super) async fn run(mut self, ending: Ending, tasks: Tasks) {
        tokio::select! {
            () = self.keep() => {}
            () = ending.reached(&tasks) => {}
        }
        ending.closed.cancel();
        if let Some(connection) = self.up.send_replace(None) {
            goodbye(&connection).await;
        }
    }

    async fn keep(&mut self) {
        let (mut orders, mut backoff) = (Orders::default(), Backoff::default());
        loop {
            let first = backoff.tries() == 0;
            match self.once(&mut orders, &mut backoff).await {
                Ok(Ended::Closed) => return,
                Ok(Ended::Lost(cause)) => {
                    tracing::warn!(error = %chain(&cause), "the connection to {} is lost", self.target);
                }
                Err(cause) if first => {
                    tracing::warn!(error = %chain(&cause), "{} cannot be reached; trying on", self.target);
                }
                Err(cause) => {
                    tracing::debug!(error = %chain(&cause), "{} still cannot be reached", self.target);
                }
            }
            tokio::time::sleep(backoff.next()).await;
            orders.forget_abandoned();
        }
    }

    async fn once(&mut self, orders: &mut Orders, backoff: &mut Backoff) -> std::io::Result<Ended> {
        let connection = Arc::new(self.target.connect().await?);
        let publisher = Publisher::open(&connection, orders, (&self.sender, self.target.user()))
            .await
            .map_err(std::io::Error::other)?;
        tracing::info!(tries = backoff.tries() + 1, "connected to {}", self.target);
        self.up.send_replace(Some(Arc::clone(&connection)));
        let begun = Instant::now();
        let ended = publisher.run(&mut self.incoming).await;
        if begun.elapsed() > GOOD {
            backoff.reset();
        }
        self.up.send_replace(None);
        goodbye(&connection).await;
        Ok(ended)
    }
}

async fn goodbye(connection: &Connection) {
    match timeout(GOODBYE, connection.close(200, "goodbye".into())).await {
        Ok(Ok(())) => {}
        Ok(Err(cause)) => {
            tracing::debug!(error = %chain(&cause), "the connection was gone already");
        }
        Err(_elapsed) => tracing::debug!("the broker did not say goodbye"),
    }
}
