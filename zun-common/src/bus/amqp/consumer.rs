//! One consumer of a queue: over each new connection it declares the queue again, takes messages, and settles
//! them. What was taken over a lost connection comes again; settling it is quietly nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join};
use futures_util::stream::FuturesUnordered;
use lapin::message::Delivery as Taken;
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

use super::link::{Ending, Up};
use super::topology;
use super::user::{Unheard, speaker};
use crate::bus::backoff::Backoff;
use crate::bus::transport::{Delivery, Disposition, Route};
use crate::chain;

/// Replies go only where direct reply-to says: a sender cannot make a host write into another queue.
const DIRECT_REPLY: &str = "amq.rabbitmq.reply-to.";

/// For the declarations: a broker that is still recovering a queue may not answer them at all.
const SET_UP: Duration = Duration::from_secs(20);

/// How many consumers of a carrier take nothing now.
#[derive(Debug, Clone, Default)]
pub(super) struct Interruptions(Arc<AtomicUsize>);

/// Counted until it is dropped.
struct Interruption(Arc<AtomicUsize>);

impl Interruptions {
    pub(super) fn are_none(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn begin(&self) -> Interruption {
        self.0.fetch_add(1, Ordering::Relaxed);
        Interruption(Arc::clone(&self.0))
    }
}

impl Drop for Interruption {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

type Unsettled = FuturesUnordered<BoxFuture<'static, ()>>;

pub(super) struct Consumer {
    pub(super) route: Route,
    /// Whom the broker knows us as.
    pub(super) user: Arc<str>,
    pub(super) prefetch: u16,
    pub(super) out: mpsc::Sender<Delivery>,
    pub(super) up: watch::Receiver<Up>,
    pub(super) interruptions: Interruptions,
    pub(super) ending: Ending,
    /// Told once, when messages can come for the first time.
    pub(super) ready: Option<oneshot::Sender<()>>,
}

impl Consumer {
    /// Takes messages until shutdown begins, `close` is called, or nobody takes deliveries any more.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let closed = self.ending.closed.clone();
        closed.run_until_cancelled(self.keep(&stop)).await;
    }

    async fn keep(&mut self, stop: &CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let interruption = self.interruptions.begin();
            let connection = tokio::select! {
                () = stop.cancelled() => return,
                () = self.out.closed() => return,
                connection = connection(&mut self.up) => connection,
            };
            let Some(connection) = connection else { return };
            match self.take(&connection, (interruption, &mut backoff), stop).await {
                Ok(()) => return,
                Err(cause) if connection.status().connected() => {
                    tracing::warn!(error = %chain(&cause), "cannot take messages from {}", self.route);
                }
                Err(cause) => {
                    tracing::debug!(error = %chain(&cause), "{} is interrupted", self.route);
                }
            }
            drop(connection);
            if stop.run_until_cancelled(tokio::time::sleep(backoff.next())).await.is_none() {
                return;
            }
        }
    }

    async fn take(
        &mut self,
        connection: &Connection,
        (interruption, backoff): (Interruption, &mut Backoff),
        stop: &CancellationToken,
    ) -> lapin::Result<()> {
        let (channel, messages) =
            timeout(SET_UP, self.set_up(connection)).await.map_err(|_elapsed| unserved())??;
        drop(interruption);
        backoff.reset();
        tracing::debug!("messages are taken from {}", self.route);
        if let Some(ready) = self.ready.take()
            && ready.send(()).is_err()
        {
            tracing::debug!("{} is ready after nobody waited for it any more", self.route);
        }
        let mut unsettled = Unsettled::new();
        let tag = messages.tag();
        self.hand_out(&channel, messages, &mut unsettled, stop).await?;
        self.drain(&channel, tag, unsettled).await;
        Ok(())
    }

    async fn set_up(&self, connection: &Connection) -> lapin::Result<(Channel, lapin::Consumer)> {
        let channel = connection.create_channel().await?;
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
        topology::declare(&channel, &self.route, &self.user).await?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let queue = self.route.queue();
        let messages =
            channel.basic_consume(queue.as_str().into(), "".into(), options, arguments).await?;
        Ok((channel, messages))
    }

    async fn hand_out(
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
                taken = messages.next() => match taken {
                    Some(taken) => unsettled.push(self.deliver(channel.clone(), taken?)),
                    None => return Err(cancelled()),
                },
            }
        }
    }

    /// Takes no more, and waits for what is in hand.
    async fn drain(&self, channel: &Channel, tag: ShortString, unsettled: Unsettled) {
        if let Err(cause) = channel.basic_cancel(tag, BasicCancelOptions::default()).await {
            tracing::debug!(error = %chain(&cause), "{} was interrupted already", self.route);
        }
        unsettled.collect::<()>().await;
    }

    fn deliver(&self, channel: Channel, taken: Taken) -> BoxFuture<'static, ()> {
        let in_hand = self.ending.in_hand.token();
        let (settle, settled) = oneshot::channel();
        let (reply, replied) = oneshot::channel();
        let answer = answer_to(&taken.properties, &self.user);
        let worn_out = taken.redelivered && !self.route.is_durable();
        let from = match speaker(&self.route, taken.properties.user_id().as_ref()) {
            Ok(from) => from,
            Err(why) => return refuse(&self.route, &why, taken, in_hand),
        };
        let delivery = Delivery {
            from,
            body: Bytes::from(taken.data),
            redelivered: taken.redelivered,
            reply: answer.is_some().then_some(reply),
            settle: Some(settle),
        };
        // There is room: the broker keeps to the prefetch. Where nobody takes it, it is dropped, and comes again.
        drop(self.out.try_send(delivery));
        let acker = taken.acker;
        Box::pin(async move {
            let reply = pass_on(channel, answer, replied);
            let (disposition, ()) = join(settled, reply).await;
            let settled = match disposition.unwrap_or(Disposition::Requeue) {
                Disposition::Ack => acker.ack(BasicAckOptions::default()).await,
                Disposition::Requeue => {
                    acker.reject(BasicRejectOptions { requeue: !worn_out }).await
                }
                Disposition::DeadLetter => {
                    acker.reject(BasicRejectOptions { requeue: false }).await
                }
            };
            if let Err(cause) = settled {
                tracing::debug!(error = %chain(&cause), "settled after the channel was lost; it comes again");
            }
            drop(in_hand);
        })
    }
}

async fn connection(up: &mut watch::Receiver<Up>) -> Option<Arc<Connection>> {
    up.wait_for(Option::is_some).await.ok().and_then(|up| up.clone())
}

/// The address of a reply, and what goes along with it.
fn answer_to(asked: &BasicProperties, user: &str) -> Option<(ShortString, BasicProperties)> {
    let address = asked.reply_to().clone().filter(|to| to.as_str().starts_with(DIRECT_REPLY))?;
    let mut properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_user_id(user.into())
        .with_delivery_mode(1);
    if let Some(number) = asked.correlation_id().clone() {
        properties = properties.with_correlation_id(number);
    }
    Some((address, properties))
}

/// Keeps aside, for a person, what comes from somebody who has no business here.
fn refuse(
    route: &Route,
    why: &Unheard,
    taken: Taken,
    in_hand: TaskTrackerToken,
) -> BoxFuture<'static, ()> {
    tracing::warn!(error = %chain(why), "a message to {route} was refused");
    Box::pin(async move {
        let refused = taken.acker.reject(BasicRejectOptions { requeue: false }).await;
        if let Err(cause) = refused {
            tracing::debug!(error = %chain(&cause), "refused after the channel was lost; it comes again");
        }
        drop(in_hand);
    })
}

async fn pass_on(
    channel: Channel,
    answer: Option<(ShortString, BasicProperties)>,
    replied: oneshot::Receiver<Bytes>,
) {
    let (Some((address, properties)), Ok(body)) = (answer, replied.await) else { return };
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish("".into(), address, options, &body, properties).await;
    if let Err(cause) = sent {
        tracing::debug!(error = %chain(&cause), "a reply could not be sent; the caller hears nothing");
    }
}

/// Seen of RabbitMQ 3.10 when it was killed right after the queue was made: it then had forgotten the queue's log.
fn unserved() -> lapin::Error {
    let words = "the broker does not serve the queue; a quorum queue without a leader, which a restart of the \
                 broker gives it, does this";
    io::Error::new(io::ErrorKind::TimedOut, words).into()
}

fn cancelled() -> lapin::Error {
    io::Error::other("the broker ended the consumer: the queue was removed or moved").into()
}
