//! The interface between calls and transports.

use std::fmt;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::id::HostName;

/// Maximum size of a message body, in bytes.
pub const MAX_BODY: usize = 16 << 20;

/// A queue, for publishers and consumers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Route {
    /// Commands for a host: durable, acknowledged after the work.
    Commands(HostName),
    /// Queries for a host: transient messages.
    Queries(HostName),
    /// Reports of agents: durable, consumed by one of the running zun-api processes.
    Reports,
    /// Queries of agents: transient messages, consumed by one of the running zun-api processes.
    Controller,
}

impl Route {
    /// The name of the queue.
    pub fn queue(&self) -> String {
        match self {
            Self::Commands(host) => format!("zun-compute.{host}"),
            Self::Queries(host) => format!("zun-compute.{host}.ask"),
            Self::Reports => "zun-api.reports".to_owned(),
            Self::Controller => "zun-api.ask".to_owned(),
        }
    }

    /// Whether messages survive a restart of the broker and of the consumer.
    pub const fn is_durable(&self) -> bool {
        matches!(self, Self::Commands(_) | Self::Reports)
    }

    /// Maximum number of redeliveries before a message is dead-lettered, so that a message cannot crash its
    /// consumer forever.
    pub const fn max_redeliveries(&self) -> u32 {
        if self.is_durable() { 20 } else { 1 }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.queue())
    }
}

/// An outgoing message.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The destination.
    pub route: Route,
    /// The message's id; it stays the same across retries.
    pub id: Uuid,
    /// The encoded envelope.
    pub body: Bytes,
    /// The message is neither delivered nor retried after this time.
    pub deadline: Instant,
}

/// Why a message was not sent, or got no reply.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The queue does not exist: no consumer has declared it, or it expired without one.
    #[error("the queue {0} does not exist")]
    Unroutable(Route),
    /// The transport could not be reached before the deadline. The message was not sent.
    #[error("cannot reach the bus in time")]
    Unreachable,
    /// The message was sent, but no reply came before the deadline. The receiver may still carry out the call.
    #[error("no reply in time; the receiver may still carry out the call")]
    NoReply,
    /// The message is too large, in bytes.
    #[error("a message of {0} bytes is larger than 16 MiB")]
    TooLarge(usize),
    /// The bus was closed.
    #[error("the bus is closed")]
    Closed,
}

/// What happens to a delivered message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The work is done: the message is removed.
    Ack,
    /// The message cannot be processed: it goes to the dead-letter queue for inspection.
    DeadLetter,
    /// The message was not processed: it is delivered again.
    Requeue,
}

/// A delivered, unsettled message. Dropping it means [`Disposition::Requeue`].
#[derive(Debug)]
pub struct Delivery {
    /// The encoded envelope.
    pub body: Bytes,
    /// Whether the message was delivered before and not settled.
    pub redelivered: bool,
    /// The only host that the sender may act for, verified by the transport; `None` if the sender is not limited to
    /// one.
    pub from: Option<HostName>,
    /// Where the reply goes; `None` if no reply is expected. An undeliverable reply is dropped.
    pub reply: Option<oneshot::Sender<Bytes>>,
    /// Sends the disposition to the transport.
    pub settle: Option<oneshot::Sender<Disposition>>,
}

impl Delivery {
    /// Settles the message. A transport that lost its connection redelivers it anyway.
    pub fn settle(mut self, disposition: Disposition) {
        if let Some(settle) = self.settle.take()
            && settle.send(disposition).is_err()
        {
            tracing::debug!(
                "cannot settle a message: the transport is closed; it will be delivered again"
            );
        }
    }
}

/// A bounded stream of deliveries. It continues across reconnects and ends at shutdown.
pub type Deliveries = mpsc::Receiver<Delivery>;

/// Moves messages between services.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends a message and returns once the transport has stored it. Retries until the deadline.
    async fn publish(&self, message: Outgoing) -> Result<(), RequestError>;

    /// Sends a message and waits for the reply until the deadline.
    async fn request(&self, message: Outgoing) -> Result<Bytes, RequestError>;

    /// Starts to consume, with at most `prefetch` unsettled messages at a time.
    async fn consume(&self, route: Route, prefetch: u16) -> Result<Deliveries, RequestError>;

    /// Whether the transport is connected.
    fn is_connected(&self) -> bool;

    /// Whether it is connected and all its consumers are consuming. A broker may be reachable but not serve a
    /// queue, for example while it recovers.
    fn is_serving(&self) -> bool {
        self.is_connected()
    }

    /// Ends all consumers and connections.
    async fn close(&self);
}
