//! The sending half of one connection: one channel, on which messages go out, confirms and returned messages
//! come in, and replies are consumed (direct reply-to wants both on the same channel). Many messages are under
//! way at a time; none waits for the confirm of another.

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

use super::orders::{Key, Order, Orders, Wants};
use crate::bus::transport::Outgoing;

/// The pseudo queue of replies. The broker turns it into an address of this channel.
const DIRECT_REPLY: &str = "amq.rabbitmq.reply-to";
/// Under way at a time, on all routes together.
const MOST_UNDER_WAY: usize = 4_096;
const SWEEP: Duration = Duration::from_secs(1);

type Confirmed = (Key, lapin::Result<Confirmation>);

/// Why a publisher ended.
pub(super) enum Ended {
    /// The channel or the connection is lost.
    Lost(lapin::Error),
    /// Nobody can send any more.
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
    orders: &'a mut Orders,
    sender: &'a str,
    user: &'a str,
    confirms: FuturesUnordered<BoxFuture<'static, Confirmed>>,
    again: FuturesUnordered<BoxFuture<'static, Key>>,
}

impl<'a> Publisher<'a> {
    /// Sends as this service, and as this user.
    pub(super) async fn open(
        connection: &Connection,
        orders: &'a mut Orders,
        (sender, user): (&'a str, &'a str),
    ) -> lapin::Result<Self> {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let replies = channel
            .basic_consume(DIRECT_REPLY.into(), "".into(), no_ack, FieldTable::default())
            .await?;
        let (confirms, again) = (FuturesUnordered::new(), FuturesUnordered::new());
        Ok(Self { channel, replies, orders, sender, user, confirms, again })
    }

    /// Sends what is left from a former connection, then what comes, until the connection is lost.
    pub(super) async fn run(mut self, incoming: &mut mpsc::Receiver<Order>) -> Ended {
        let Err(ended) = self.work(incoming).await;
        self.orders.lost();
        ended
    }

    async fn work(&mut self, incoming: &mut mpsc::Receiver<Order>) -> Result<Never, Ended> {
        for key in self.orders.waiting() {
            self.send(key).await?;
        }
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                reply = self.replies.next() => self.take_reply(reply)?,
                Some(first) = self.confirms.next() => self.settle(first)?,
                Some(key) = self.again.next() => self.send(key).await?,
                order = incoming.recv(), if self.orders.len() < MOST_UNDER_WAY => {
                    let key = self.orders.add(order.ok_or(Ended::Closed)?);
                    self.send(key).await?;
                }
                _ = sweep.tick(), if !self.orders.is_empty() => self.orders.forget_abandoned(),
            }
        }
    }

    async fn send(&mut self, key: Key) -> lapin::Result<()> {
        let Some((message, wants)) = self.orders.take_turn(key) else { return Ok(()) };
        let Some(properties) = self.properties(key, &message, wants) else {
            // Its deadline has come; who sent it knows.
            return Ok(());
        };
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let queue = message.route.queue();
        let published = self
            .channel
            .basic_publish("".into(), queue.as_str().into(), mandatory, &message.body, properties)
            .await;
        if !matches!(&published, Err(error) if was_not_written(error)) {
            self.orders.sent(key);
        }
        self.confirms.push(confirm(key, published?));
        Ok(())
    }

    fn properties(&self, key: Key, message: &Outgoing, wants: Wants) -> Option<BasicProperties> {
        let left = message.deadline.checked_duration_since(Instant::now())?.as_millis();
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(if message.route.is_durable() { 2 } else { 1 })
            .with_expiration(left.max(1).to_string().as_str().into())
            .with_message_id(message.id.to_string().as_str().into())
            .with_correlation_id(number(key, &message.id).as_str().into())
            .with_user_id(self.user.into())
            .with_app_id(self.sender.into());
        Some(match wants {
            Wants::Receipt => properties,
            Wants::Reply => properties.with_reply_to(DIRECT_REPLY.into()),
        })
    }

    fn take_reply(
        &mut self,
        reply: Option<lapin::Result<lapin::message::Delivery>>,
    ) -> lapin::Result<()> {
        let Some(reply) = reply else { return Err(gone()) };
        let reply = reply?;
        let known = key_of(&reply.properties).filter(|key| {
            let id = self.orders.message(*key);
            id.is_none_or(|id| is_number_of(&reply.properties, *key, &id))
        });
        if let Some(key) = known {
            self.orders.replied(key, Bytes::from(reply.data));
        } else {
            tracing::warn!("a reply without the number of its call was dropped");
        }
        Ok(())
    }

    /// The library hands a returned message to whichever confirm it resolves next, not to that of the message
    /// itself, and never to a later one. So all confirms that are ready are looked at together: first what
    /// came back, by its own number, then who was confirmed.
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
                self.orders.unroutable(key);
            }
        }
        for (key, kept) in outcomes {
            if kept {
                self.orders.confirmed(key);
            } else if let Some(pause) = self.orders.refused(key) {
                self.again.push(Box::pin(tokio::time::sleep(pause).map(move |()| key)));
            }
        }
        Ok(())
    }
}

/// What `Publisher::work` gives back when it ends well: it does not.
enum Never {}

fn confirm(key: Key, confirm: PublisherConfirm) -> BoxFuture<'static, Confirmed> {
    Box::pin(confirm.map(move |confirmation| (key, confirmation)))
}

/// The number of a message: its key, and what only its receiver knows, so that nobody else can answer it.
fn number(key: Key, id: &Uuid) -> String {
    format!("{key}.{id}")
}

fn key_of(properties: &BasicProperties) -> Option<Key> {
    properties.correlation_id().as_ref()?.as_str().split_once('.')?.0.parse().ok()
}

fn is_number_of(properties: &BasicProperties, key: Key, id: &Uuid) -> bool {
    properties.correlation_id().as_ref().is_some_and(|told| told.as_str() == number(key, id))
}

fn was_not_written(error: &lapin::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_)
    )
}

fn gone() -> lapin::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the broker ended the consumer").into()
}
