//! The seam between calls and carriers.

use std::fmt;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::id::HostName;

/// The largest body that is taken, in bytes.
pub const MAX_BODY: usize = 16 << 20;

/// Where a message goes, and where messages are taken from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Route {
    /// What changes something on a host: durable, acknowledged after the work.
    Commands(HostName),
    /// What only asks a host: transient.
    Queries(HostName),
    /// What agents report: durable, to one of the running zun-apis.
    Reports,
    /// What agents ask: transient, to one of the running zun-apis.
    Controller,
}

impl Route {
    /// The queue's name.
    pub fn queue(&self) -> String {
        match self {
            Self::Commands(host) => format!("zun-compute.{host}"),
            Self::Queries(host) => format!("zun-compute.{host}.ask"),
            Self::Reports => "zun-api.reports".to_owned(),
            Self::Controller => "zun-api.ask".to_owned(),
        }
    }

    /// Whether messages outlive the broker and the consumer.
    pub const fn is_durable(&self) -> bool {
        matches!(self, Self::Commands(_) | Self::Reports)
    }

    /// How often a message may come again before it is kept aside for a person: what kills its consumer each
    /// time must not do so for ever.
    pub const fn max_redeliveries(&self) -> u32 {
        if self.is_durable() { 20 } else { 1 }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.queue())
    }
}

/// A message on its way out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to.
    pub route: Route,
    /// Its identity, also across retries.
    pub id: Uuid,
    /// The encoded envelope.
    pub body: Bytes,
    /// Not delivered afterwards, and not retried.
    pub deadline: Instant,
}

/// Why a message did not go out, or no reply came.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nobody has ever taken messages there: there is no such queue.
    #[error("nobody serves {0}")]
    Unroutable(Route),
    /// The carrier could not be reached before the deadline; the message did not go out.
    #[error("the bus could not be reached in time")]
    Unreachable,
    /// The message went out and no reply came before the deadline: the work may still happen.
    #[error("no reply came in time")]
    NoReply,
    /// Too large to send, in bytes.
    #[error("a message of {0} bytes is larger than 16 MiB")]
    TooLarge(usize),
    /// The bus was closed.
    #[error("the bus is closed")]
    Closed,
}

/// What becomes of a taken message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The work is done: it is gone.
    Ack,
    /// It cannot be answered and must not come again: kept aside for a person.
    DeadLetter,
    /// It was not worked on: it comes again.
    Requeue,
}

/// A message that was taken and is not yet disposed of. Dropping it is [`Disposition::Requeue`].
#[derive(Debug)]
pub struct Delivery {
    /// The encoded envelope.
    pub body: Bytes,
    /// It was taken before, and not disposed of.
    pub redelivered: bool,
    /// The one host that it can come from, by the carrier's word; `None` where the sender may speak for all.
    pub from: Option<HostName>,
    /// Where a reply goes; `None` where nobody waits for one. A reply that cannot be delivered is dropped.
    pub reply: Option<oneshot::Sender<Bytes>>,
    /// Tells the carrier what becomes of the message.
    pub settle: Option<oneshot::Sender<Disposition>>,
}

impl Delivery {
    /// Says what becomes of the message. A carrier that lost its connection delivers it again anyway.
    pub fn settle(mut self, disposition: Disposition) {
        if let Some(settle) = self.settle.take()
            && settle.send(disposition).is_err()
        {
            tracing::debug!("the carrier is gone; the message will be delivered again");
        }
    }
}

/// Taken messages, bounded by the prefetch. It goes on over lost connections and ends at shutdown.
pub type Deliveries = mpsc::Receiver<Delivery>;

/// A carrier.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends a message and returns once the carrier has it safe. Retries until the deadline.
    async fn publish(&self, message: Outgoing) -> Result<(), RequestError>;

    /// Sends a message and waits for the reply until the deadline.
    async fn request(&self, message: Outgoing) -> Result<Bytes, RequestError>;

    /// Begins to take messages, at most `prefetch` not disposed of at a time.
    async fn consume(&self, route: Route, prefetch: u16) -> Result<Deliveries, RequestError>;

    /// Whether the carrier is connected now.
    fn is_connected(&self) -> bool;

    /// Whether it is connected, and every consumer that was asked for takes messages. A broker may be there
    /// and not serve a queue: one that is still recovering, or whose log it lost.
    fn is_serving(&self) -> bool {
        self.is_connected()
    }

    /// Ends all consumers and connections.
    async fn close(&self);
}
