//! The sending half of a connection. One channel publishes messages and receives confirms, returned messages
//! and replies (direct reply-to requires the same channel for both). Publishing is pipelined: no
//! message waits for another's confirm.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, Consumer, ErrorKind, PublisherConfirm,
};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use super::pending::{Key, PendingMessage, PendingMessages};
use crate::bus::transport::Outgoing;

/// The pseudo-queue of direct reply-to. The broker replaces it with an address of this channel.
const DIRECT_REPLY: &str = "amq.rabbitmq.reply-to";
/// Maximum number of messages in flight on all routes together.
const MAX_IN_FLIGHT: usize = 4_096;
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

type Confirmed = (Key, lapin::Result<Confirmation>);

/// Why a publisher ended.
pub(super) enum Ended {
    /// The channel or the connection was lost.
    Lost(lapin::Error),
    /// All senders are gone.
    Closed,
}

impl From<lapin::Error> for Ended {
    fn from(error: lapin::Error) -> Self {
        Self::Lost(error)
    }
}

pub(super) struct Publisher<'a> {
    channel: Channel,
    replies: Consumer,
    pending: &'a mut PendingMessages,
    sender: &'a str,
    user: &'a str,
    confirms: FuturesUnordered<BoxFuture<'static, Confirmed>>,
    retries: FuturesUnordered<BoxFuture<'static, Key>>,
}

impl<'a> Publisher<'a> {
    /// Opens the channel. Messages carry this sender and this broker user.
    pub(super) async fn open(
        connection: &Connection,
        pending: &'a mut PendingMessages,
        (sender, user): (&'a str, &'a str),
    ) -> lapin::Result<Self> {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let replies = channel
            .basic_consume(DIRECT_REPLY.into(), "".into(), no_ack, FieldTable::default())
            .await?;
        let (confirms, retries) = (FuturesUnordered::new(), FuturesUnordered::new());
        Ok(Self { channel, replies, pending, sender, user, confirms, retries })
    }

    /// Sends the messages left from the previous connection, then new ones, until the connection is lost.
    pub(super) async fn run(mut self, incoming: &mut mpsc::Receiver<PendingMessage>) -> Ended {
        let Err(ended) = self.work(incoming).await;
        self.pending.connection_lost();
        ended
    }

    async fn work(
        &mut self,
        incoming: &mut mpsc::Receiver<PendingMessage>,
    ) -> Result<Never, Ended> {
        for key in self.pending.waiting() {
            self.send(key).await?;
        }
        let mut sweep = interval(SWEEP_INTERVAL);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                reply = self.replies.next() => self.handle_reply(reply)?,
                Some(first) = self.confirms.next() => self.settle(first)?,
                Some(key) = self.retries.next() => self.send(key).await?,
                message = incoming.recv(), if self.pending.len() < MAX_IN_FLIGHT => {
                    let key = self.pending.add(message.ok_or(Ended::Closed)?);
                    self.send(key).await?;
                }
                _ = sweep.tick(), if !self.pending.is_empty() => self.pending.drop_abandoned(),
            }
        }
    }

    async fn send(&mut self, key: Key) -> lapin::Result<()> {
        let Some(message) = self.pending.start_sending(key) else { return Ok(()) };
        let Some(properties) = self.properties(key, &message) else {
            // The deadline has passed. The sender's own timeout ends its wait.
            return Ok(());
        };
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let queue = message.route.queue();
        let published = self
            .channel
            .basic_publish("".into(), queue.as_str().into(), mandatory, &message.body, properties)
            .await;
        if !matches!(&published, Err(error) if was_not_written(error)) {
            self.pending.sent(key);
        }
        self.confirms.push(confirm(key, published?));
        Ok(())
    }

    fn properties(&self, key: Key, message: &Outgoing) -> Option<BasicProperties> {
        let left = message.deadline.checked_duration_since(Instant::now())?.as_millis();
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(1)
            .with_expiration(left.max(1).to_string().as_str().into())
            .with_message_id(message.id.to_string().as_str().into())
            .with_correlation_id(correlation_id(key, &message.id).as_str().into())
            .with_user_id(self.user.into())
            .with_app_id(self.sender.into())
            .with_reply_to(DIRECT_REPLY.into());
        Some(properties)
    }

    fn handle_reply(
        &mut self,
        reply: Option<lapin::Result<lapin::message::Delivery>>,
    ) -> lapin::Result<()> {
        let Some(reply) = reply else { return Err(consumer_ended()) };
        let reply = reply?;
        let known = key_of(&reply.properties).filter(|key| {
            let id = self.pending.message(*key);
            id.is_none_or(|id| has_correlation_id(&reply.properties, *key, &id))
        });
        if let Some(key) = known {
            self.pending.replied(key, Bytes::from(reply.data));
        } else {
            tracing::warn!("dropped a reply with an unknown correlation id");
        }
        Ok(())
    }

    /// Handles all confirms that are ready: first their returned messages, then the confirms themselves.
    ///
    /// lapin attaches a returned message to the next confirm that it resolves. That confirm may belong to another
    /// message, so returned messages are matched by their own correlation ID.
    fn settle(&mut self, first: Confirmed) -> lapin::Result<()> {
        let mut ready = vec![first];
        while let Some(Some(next)) = self.confirms.next().now_or_never() {
            ready.push(next);
        }
        let mut outcomes = Vec::with_capacity(ready.len());
        for (key, confirmation) in ready {
            let confirmation = confirmation?;
            outcomes.push((key, confirmation.is_ack()));
            if let Some(key) =
                confirmation.take_message().and_then(|returned| key_of(&returned.properties))
            {
                self.pending.unroutable(key);
            }
        }
        for (key, is_ack) in outcomes {
            if is_ack {
                self.pending.confirmed(key);
            } else if let Some(pause) = self.pending.nacked(key) {
                self.retries.push(Box::pin(tokio::time::sleep(pause).map(move |()| key)));
            }
        }
        Ok(())
    }
}

/// The success type of `Publisher::work`, which never ends successfully.
enum Never {}

fn confirm(key: Key, confirm: PublisherConfirm) -> BoxFuture<'static, Confirmed> {
    Box::pin(confirm.map(move |confirmation| (key, confirmation)))
}

/// Returns the correlation ID of a message: its key and its ID. Only the receiver knows the ID, so nobody else
/// can forge a reply.
fn correlation_id(key: Key, id: &Uuid) -> String {
    format!("{key}.{id}")
}

fn key_of(properties: &BasicProperties) -> Option<Key> {
    properties.correlation_id().as_ref()?.as_str().split_once('.')?.0.parse().ok()
}

fn has_correlation_id(properties: &BasicProperties, key: Key, id: &Uuid) -> bool {
    properties
        .correlation_id()
        .as_ref()
        .is_some_and(|actual| actual.as_str() == correlation_id(key, id))
}

fn was_not_written(error: &lapin::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_)
    )
}

fn consumer_ended() -> lapin::Error {
    std::io::Error::new(
        std::io::ErrorKind::ConnectionReset,
        "the broker cancelled the reply consumer",
    )
    .into()
}
