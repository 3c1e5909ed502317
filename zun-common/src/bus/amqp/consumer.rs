//! One consumer of a queue. On each new connection it declares the queue, consumes messages and sends their
//! replies. A message is acknowledged after its reply, so the prefetch limits the messages that have no reply yet. The
//! broker redelivers those when the connection is lost.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use lapin::message::Delivery as AmqpDelivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    BasicRejectOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::link::{CurrentConnection, ShutdownState};
use super::topology;
use super::user::{SenderError, sending_host};
use crate::backoff::Backoff;
use crate::bus::settings::QueueType;
use crate::bus::transport::{Delivery, Route};
use crate::chain;

/// Prefix of the only reply addresses that are accepted. A sender therefore cannot make a host write to another
/// queue.
const DIRECT_REPLY: &str = "amq.rabbitmq.reply-to.";

/// Time limit for declaring the queue. A broker that is still recovering a queue may not answer at all.
const SETUP_TIMEOUT: Duration = Duration::from_secs(20);

/// Counts the consumers of a transport that are not consuming.
#[derive(Debug, Clone, Default)]
pub(super) struct InactiveConsumers(Arc<AtomicUsize>);

/// Counts one inactive consumer until it is dropped.
struct InactiveConsumer(Arc<AtomicUsize>);

impl InactiveConsumers {
    pub(super) fn is_zero(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn mark_inactive(&self) -> InactiveConsumer {
        self.0.fetch_add(1, Ordering::Relaxed);
        InactiveConsumer(Arc::clone(&self.0))
    }
}

impl Drop for InactiveConsumer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The messages that have no reply yet.
type Unsettled = FuturesUnordered<BoxFuture<'static, ()>>;

pub(super) struct Consumer {
    pub(super) route: Route,
    /// This service's broker user.
    pub(super) user: Arc<str>,
    pub(super) prefetch: u16,
    pub(super) queues: QueueType,
    pub(super) out: mpsc::Sender<Delivery>,
    pub(super) connections: watch::Receiver<CurrentConnection>,
    pub(super) inactive_consumers: InactiveConsumers,
    pub(super) shutdown_state: ShutdownState,
    /// Fires once, when the first subscription is in place.
    pub(super) ready: Option<oneshot::Sender<()>>,
}

impl Consumer {
    /// Consumes until shutdown begins, `close` is called, or the receiver of the deliveries is dropped.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let closed = self.shutdown_state.closed.clone();
        closed.run_until_cancelled(self.run_until_stopped(&stop)).await;
    }

    async fn run_until_stopped(&mut self, stop: &CancellationToken) {
        let mut backoff = super::backoff();
        loop {
            let inactive = self.inactive_consumers.mark_inactive();
            let connection = tokio::select! {
                () = stop.cancelled() => return,
                () = self.out.closed() => return,
                connection = connection(&mut self.connections) => connection,
            };
            let Some(connection) = connection else { return };
            match self.consume_over(&connection, (inactive, &mut backoff), stop).await {
                Ok(()) => return,
                Err(cause) if connection.status().connected() => {
                    tracing::warn!(error = %chain(&cause), "cannot consume from {}; will retry", self.route);
                }
                Err(cause) => {
                    tracing::debug!(error = %chain(&cause), "stopped consuming from {}: the connection was lost", self.route);
                }
            }
            drop(connection);
            if stop.run_until_cancelled(tokio::time::sleep(backoff.next_pause())).await.is_none() {
                return;
            }
        }
    }

    async fn consume_over(
        &mut self,
        connection: &Connection,
        (inactive, backoff): (InactiveConsumer, &mut Backoff),
        stop: &CancellationToken,
    ) -> lapin::Result<()> {
        let (channel, messages) = timeout(SETUP_TIMEOUT, self.set_up(connection))
            .await
            .map_err(|_elapsed| queue_not_served())??;
        drop(inactive);
        backoff.reset();
        tracing::debug!("consuming from {}", self.route);
        if let Some(ready) = self.ready.take()
            && ready.send(()).is_err()
        {
            tracing::debug!(
                "started consuming from {} after the caller stopped waiting",
                self.route
            );
        }
        let mut unsettled = Unsettled::new();
        let tag = messages.tag();
        self.forward(&channel, messages, &mut unsettled, stop).await?;
        self.drain(&channel, tag, unsettled).await;
        Ok(())
    }

    async fn set_up(&self, connection: &Connection) -> lapin::Result<(Channel, lapin::Consumer)> {
        topology::declare(connection, &self.route, self.queues).await?;
        let channel = connection.create_channel().await?;
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let queue = self.route.queue();
        let messages =
            channel.basic_consume(queue.as_str().into(), "".into(), options, arguments).await?;
        Ok((channel, messages))
    }

    async fn forward(
        &self,
        channel: &Channel,
        mut messages: lapin::Consumer,
        unsettled: &mut Unsettled,
        stop: &CancellationToken,
    ) -> lapin::Result<()> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = self.out.closed() => return Ok(()),
                Some(()) = unsettled.next() => {}
                delivery = messages.next() => match delivery {
                    Some(delivery) => unsettled.push(self.deliver(channel.clone(), delivery?)),
                    None => return Err(cancelled()),
                },
            }
        }
    }

    /// Cancels the subscription and waits for the replies in progress.
    async fn drain(&self, channel: &Channel, tag: ShortString, unsettled: Unsettled) {
        if let Err(cause) = channel.basic_cancel(tag, BasicCancelOptions::default()).await {
            tracing::debug!(error = %chain(&cause), "cannot cancel the consumer of {}: the channel was lost", self.route);
        }
        unsettled.collect::<()>().await;
    }

    fn deliver(&self, channel: Channel, received: AmqpDelivery) -> BoxFuture<'static, ()> {
        let in_flight = self.shutdown_state.in_flight.token();
        let answer = reply_properties(&received.properties, &self.user);
        let requeue = !received.redelivered;
        let from = match sending_host(&self.route, received.properties.user_id().as_ref()) {
            Ok(from) => from,
            Err(why) => return refuse(&self.route, &why, received, in_flight),
        };
        let (reply, replied) = oneshot::channel();
        let (body, redelivered) = (Bytes::from(received.data), received.redelivered);
        // The channel has room because the broker respects the prefetch. If the receiver is gone, the message is
        // requeued.
        drop(self.out.try_send(Delivery { body, redelivered, from, reply }));
        let acker = received.acker;
        Box::pin(async move {
            let settled = match replied.await {
                Ok(body) => {
                    send_reply(channel, answer, &body).await;
                    acker.ack(BasicAckOptions::default()).await
                }
                Err(_dropped) => acker.reject(BasicRejectOptions { requeue }).await,
            };
            if let Err(cause) = settled {
                tracing::debug!(error = %chain(&cause), "cannot acknowledge a message: the channel was lost; the broker redelivers it");
            }
            drop(in_flight);
        })
    }
}

/// Waits for a connection. `None` once there will be none.
pub(super) async fn connection(
    connections: &mut watch::Receiver<CurrentConnection>,
) -> Option<Arc<Connection>> {
    connections.wait_for(Option::is_some).await.ok().and_then(|current| current.clone())
}

/// Returns the reply address and the properties of the reply, if the sender wants a reply.
fn reply_properties(
    request: &BasicProperties,
    user: &str,
) -> Option<(ShortString, BasicProperties)> {
    let address = request.reply_to().clone().filter(|to| to.as_str().starts_with(DIRECT_REPLY))?;
    let mut properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_user_id(user.into())
        .with_delivery_mode(1);
    if let Some(number) = request.correlation_id().clone() {
        properties = properties.with_correlation_id(number);
    }
    Some((address, properties))
}

/// Drops a message whose sender may not send it.
fn refuse(
    route: &Route,
    why: &SenderError,
    delivery: AmqpDelivery,
    in_flight: TaskTrackerToken,
) -> BoxFuture<'static, ()> {
    tracing::warn!(error = %chain(why), "dropped a message to {route}: its sender may not send it");
    Box::pin(async move {
        let refused = delivery.acker.reject(BasicRejectOptions { requeue: false }).await;
        if let Err(cause) = refused {
            tracing::debug!(error = %chain(&cause), "cannot drop a message: the channel was lost; the broker redelivers it");
        }
        drop(in_flight);
    })
}

async fn send_reply(channel: Channel, answer: Option<(ShortString, BasicProperties)>, body: &[u8]) {
    let Some((address, properties)) = answer else { return };
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish("".into(), address, options, body, properties).await;
    if let Err(cause) = sent {
        tracing::debug!(error = %chain(&cause), "cannot send a reply; the caller will time out");
    }
}

/// The error for a queue that the broker does not serve.
fn queue_not_served() -> lapin::Error {
    let words = "the broker does not serve the queue in time; it may still be starting";
    io::Error::new(io::ErrorKind::TimedOut, words).into()
}

pub(super) fn cancelled() -> lapin::Error {
    io::Error::other("the broker cancelled the consumer: the queue was removed or moved").into()
}
