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

/// A queue. Its messages are in memory only: nothing depends on them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Route {
    /// Calls to a host.
    Host(HostName),
    /// Calls of agents, consumed by one of the running zun-api processes.
    Controller,
}

impl Route {
    /// The name of the queue.
    pub fn queue(&self) -> String {
        match self {
            Self::Host(host) => format!("zun-compute.{host}.ask"),
            Self::Controller => "zun-api.ask".to_owned(),
        }
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
    /// The message's ID; it stays the same across retries.
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

/// A delivered message. It is acknowledged when its reply is sent. If it is dropped instead, it is delivered once more.
#[derive(Debug)]
pub struct Delivery {
    /// The encoded envelope.
    pub body: Bytes,
    /// Whether the message was delivered before. The first receiver may have carried out the call.
    pub redelivered: bool,
    /// The only host that the sender may act for, verified by the transport; `None` if the sender is not limited to
    /// one.
    pub from: Option<HostName>,
    /// Where the reply goes. An undeliverable reply is dropped.
    pub reply: oneshot::Sender<Bytes>,
}

/// A bounded stream of deliveries. It continues across reconnects and ends at shutdown.
pub type Deliveries = mpsc::Receiver<Delivery>;

/// Short messages from each zun-api process to all others. Any of them may be lost. It continues across reconnects and
/// ends at shutdown.
#[derive(Debug)]
pub struct Notifications {
    /// Sends to the other processes. Drop the message if it is full.
    pub sender: mpsc::Sender<Bytes>,
    /// Receives from the other processes.
    pub receiver: mpsc::Receiver<Bytes>,
}

/// Moves messages between services.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends a message and waits for the reply. Tries to send it until the deadline.
    async fn request(&self, message: Outgoing) -> Result<Bytes, RequestError>;

    /// Starts to consume, with at most `prefetch` messages at a time that have no reply yet.
    async fn consume(&self, route: Route, prefetch: u16) -> Result<Deliveries, RequestError>;

    /// Joins the exchange of notifications between zun-api processes; `None` if there can be only one of them.
    fn notifications(&self) -> Option<Notifications> {
        None
    }

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
