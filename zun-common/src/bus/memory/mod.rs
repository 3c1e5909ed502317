//! The in-memory transport: a small broker with the same rules as RabbitMQ. zun-standalone uses it.

mod broker;
mod consumer;
mod queue;

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use self::broker::Broker;
use self::consumer::Consumer;
use self::queue::{Message, ReplySlot};
use super::transport::{Deliveries, MAX_BODY, Outgoing, RequestError, Route, Transport};
use crate::shutdown::Tasks;

/// A connection to an in-memory broker. Closing it leaves other connections to the broker open.
pub struct MemoryTransport {
    broker: Arc<Broker>,
    tasks: Tasks,
    closed: CancellationToken,
}

impl MemoryTransport {
    /// Connects to a new broker. The connection's consumers end with `tasks`.
    pub fn new(tasks: &Tasks) -> Self {
        Self::to(Arc::default(), tasks)
    }

    /// Opens another connection to the same broker.
    #[must_use]
    pub fn reconnect(&self, tasks: &Tasks) -> Self {
        Self::to(Arc::clone(&self.broker), tasks)
    }

    fn to(broker: Arc<Broker>, tasks: &Tasks) -> Self {
        Self { broker, tasks: tasks.clone(), closed: CancellationToken::new() }
    }

    /// Sends a message. Works until `close`, because agents send their last reports after shutdown has begun.
    async fn push(&self, sent: &Outgoing, reply: ReplySlot) -> Result<(), RequestError> {
        if self.closed.is_cancelled() {
            return Err(RequestError::Closed);
        }
        if sent.body.len() > MAX_BODY {
            return Err(RequestError::TooLarge(sent.body.len()));
        }
        let queue = self
            .broker
            .queue(&sent.route)
            .ok_or_else(|| RequestError::Unroutable(sent.route.clone()))?;
        let message =
            Message { body: sent.body.clone(), deadline: sent.deadline, reply, deliveries: 0 };
        timeout_at(sent.deadline.into(), queue.push(message))
            .await
            .map_err(|_full_until_the_deadline| RequestError::Unreachable)
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("MemoryTransport").finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn request(&self, message: Outgoing) -> Result<Bytes, RequestError> {
        let (reply, replied) = oneshot::channel();
        self.push(&message, Arc::new(Mutex::new(Some(reply)))).await?;
        match timeout_at(message.deadline.into(), replied).await {
            Ok(Ok(body)) => Ok(body),
            // The message was dropped without a reply, or its deadline has passed.
            Ok(Err(_)) | Err(_) => Err(RequestError::NoReply),
        }
    }

    async fn consume(&self, route: Route, prefetch: u16) -> Result<Deliveries, RequestError> {
        if self.closed.is_cancelled() || self.tasks.is_cancelled() {
            return Err(RequestError::Closed);
        }
        let prefetch = usize::from(prefetch.max(1));
        let (out, deliveries) = mpsc::channel(prefetch);
        let consumer = Consumer { queue: self.broker.declare(&route), prefetch, out };
        self.tasks.spawn(consumer.run(self.tasks.token().clone(), self.closed.clone()));
        Ok(deliveries)
    }

    fn is_connected(&self) -> bool {
        !self.closed.is_cancelled()
    }

    async fn close(&self) {
        self.closed.cancel();
    }
}
