//! The transport over RabbitMQ (3.10 or newer).
//!
//! ```text
//!  request ──pending──> Link ── one connection ── Publisher: one channel, confirms, replies
//!                        │ the connection, while there is one
//!                        ├──> Consumer: its own channel, one queue
//!                        ├──> Consumer …
//!                        └──> Exchange: notifications between zun-api, on its own channel
//! ```

mod consumer;
mod link;
mod notifications;
mod pending;
mod publisher;
mod target;
mod topology;
mod user;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{timeout, timeout_at};

use self::consumer::{Consumer, InactiveConsumers};
use self::link::{CurrentConnection, Link, ShutdownState};
use self::notifications::Exchange;
use self::pending::PendingMessage;
use self::target::Target;
use super::settings::{BusSettings, ConnectError, QueueType};
use super::transport::{
    Deliveries, MAX_BODY, Notifications, Outgoing, RequestError, Route, Transport,
};
use crate::backoff::Backoff;
use crate::shutdown::Tasks;

/// Maximum number of messages that wait for the link. Senders wait if the buffer is full.
const SEND_BUFFER: usize = 64;
/// How long `consume` waits for the broker. After that, the consumer keeps trying in the background.
const CONSUME_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to RabbitMQ that reconnects in the background.
pub struct AmqpTransport {
    name: String,
    /// This service's broker user.
    user: Arc<str>,
    queues: QueueType,
    pending: mpsc::Sender<PendingMessage>,
    connections: watch::Receiver<CurrentConnection>,
    inactive_consumers: InactiveConsumers,
    shutdown_state: ShutdownState,
    tasks: Tasks,
}

impl AmqpTransport {
    /// Starts to connect in the background. `sender` is the name that the broker shows for the connection.
    pub fn new(settings: &BusSettings, sender: &str, tasks: &Tasks) -> Result<Self, ConnectError> {
        let target = Target::new(settings, sender)?;
        let name = target.to_string();
        let user: Arc<str> = target.user().into();
        let (pending, incoming) = mpsc::channel(SEND_BUFFER);
        let (connection_sender, connections) = watch::channel(None);
        let shutdown_state = ShutdownState::default();
        let link = Link { target, sender: sender.into(), incoming, connections: connection_sender };
        tasks.spawn(link.run(shutdown_state.clone(), tasks.clone()));
        let inactive_consumers = InactiveConsumers::default();
        Ok(Self {
            name,
            user,
            queues: settings.queues,
            pending,
            connections,
            inactive_consumers,
            shutdown_state,
            tasks: tasks.clone(),
        })
    }

    async fn send(&self, message: Outgoing) -> Result<Bytes, RequestError> {
        if message.body.len() > MAX_BODY {
            return Err(RequestError::TooLarge(message.body.len()));
        }
        let _in_flight = self.shutdown_state.in_flight.token();
        self.shutdown_state.sent.notify_one();
        let deadline = message.deadline.into();
        let sent = Arc::new(AtomicBool::new(false));
        let (outcome, receiver) = oneshot::channel();
        let message = PendingMessage { message, sent: Arc::clone(&sent), outcome };
        let answered = timeout_at(deadline, async {
            self.pending.send(message).await.ok()?;
            receiver.await.ok()
        });
        match answered.await {
            Ok(Some(outcome)) => outcome,
            Ok(None) | Err(_) if sent.load(Ordering::Relaxed) => Err(RequestError::NoReply),
            Ok(None) => Err(RequestError::Closed),
            Err(_elapsed) => Err(RequestError::Unreachable),
        }
    }
}

impl fmt::Debug for AmqpTransport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("AmqpTransport").field("broker", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for AmqpTransport {
    async fn request(&self, message: Outgoing) -> Result<Bytes, RequestError> {
        self.send(message).await
    }

    async fn consume(&self, route: Route, prefetch: u16) -> Result<Deliveries, RequestError> {
        if self.shutdown_state.closed.is_cancelled() || self.tasks.is_cancelled() {
            return Err(RequestError::Closed);
        }
        let prefetch = prefetch.max(1);
        let (out, deliveries) = mpsc::channel(usize::from(prefetch));
        let (ready, is_ready) = oneshot::channel();
        let consumer = Consumer {
            route: route.clone(),
            user: Arc::clone(&self.user),
            prefetch,
            queues: self.queues,
            out,
            connections: self.connections.clone(),
            inactive_consumers: self.inactive_consumers.clone(),
            shutdown_state: self.shutdown_state.clone(),
            ready: Some(ready),
        };
        self.tasks.spawn(consumer.run(self.tasks.token().clone()));
        if timeout(CONSUME_TIMEOUT, is_ready).await.is_err() {
            tracing::warn!(
                "not consuming from {route} yet: no answer from {} in time; will keep trying",
                self.name
            );
        }
        Ok(deliveries)
    }

    fn notifications(&self) -> Option<Notifications> {
        let (exchange, notifications) =
            Exchange::new(Arc::clone(&self.user), self.connections.clone());
        self.tasks.spawn(exchange.run(self.tasks.token().clone()));
        Some(notifications)
    }

    fn is_connected(&self) -> bool {
        self.connections.borrow().is_some()
    }

    fn is_serving(&self) -> bool {
        self.is_connected() && self.inactive_consumers.is_zero()
    }

    async fn close(&self) {
        self.shutdown_state.closed.cancel();
        self.pending.closed().await;
    }
}

/// The pauses between attempts to reach the broker, or to send a message that it refuses.
const fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5))
}
