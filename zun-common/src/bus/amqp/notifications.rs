//! Notifications between zun-api processes, over a fanout exchange. On each new connection, a process declares the
//! exchange, and a queue of its own that ends with the connection.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, Consumer, ExchangeKind};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::link::CurrentConnection;
use crate::bus::transport::Notifications;
use crate::chain;

const EXCHANGE: &str = "zun-api.news";
/// How many messages wait on their way out, and on their way in.
const BUFFER: usize = 256;
/// How many messages wait in the broker for a process that is behind. The oldest are dropped.
const MAX_QUEUE_LENGTH: i64 = 1_000;

/// The notification exchange of one process.
pub(super) struct Exchange {
    /// Marks the process's own messages.
    own: ShortString,
    user: Arc<str>,
    connections: watch::Receiver<CurrentConnection>,
    outgoing: mpsc::Receiver<Bytes>,
    incoming: mpsc::Sender<Bytes>,
}

impl Exchange {
    /// Returns the exchange, and the ends that the process uses.
    pub(super) fn new(
        user: Arc<str>,
        connections: watch::Receiver<CurrentConnection>,
    ) -> (Self, Notifications) {
        let (sender, outgoing) = mpsc::channel(BUFFER);
        let (incoming, receiver) = mpsc::channel(BUFFER);
        let own = Uuid::new_v4().to_string().as_str().into();
        (Self { own, user, connections, outgoing, incoming }, Notifications { sender, receiver })
    }

    /// Exchanges notifications until `stop` is cancelled, or until the process has dropped its ends.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.run_until_dropped()).await;
    }

    async fn run_until_dropped(&mut self) {
        let mut backoff = super::backoff();
        loop {
            let Some(connection) = super::consumer::connection(&mut self.connections).await else {
                return;
            };
            match self.exchange_over(&connection).await {
                Ok(()) => return,
                Err(cause) if connection.status().connected() => {
                    tracing::warn!(error = %chain(&cause), "cannot exchange change notifications with the other zun-api services; will retry");
                }
                Err(cause) => {
                    tracing::debug!(error = %chain(&cause), "stopped exchanging change notifications: the connection was lost");
                }
            }
            drop(connection);
            tokio::time::sleep(backoff.next_pause()).await;
        }
    }

    async fn exchange_over(&mut self, connection: &Connection) -> lapin::Result<()> {
        let (channel, mut messages) = self.set_up(connection).await?;
        let properties = BasicProperties::default()
            .with_delivery_mode(1)
            .with_user_id(self.user.as_ref().into())
            .with_app_id(self.own.clone());
        loop {
            tokio::select! {
                sent = self.outgoing.recv() => {
                    let Some(body) = sent else { return Ok(()) };
                    let options = BasicPublishOptions::default();
                    channel
                        .basic_publish(EXCHANGE.into(), "".into(), options, &body, properties.clone())
                        .await?;
                }
                received = messages.next() => {
                    let delivery = received.ok_or_else(super::consumer::cancelled)??;
                    let is_own = delivery.properties.app_id().as_ref() == Some(&self.own);
                    // A process that is behind reads the database soon enough.
                    if !is_own && let Err(mpsc::error::TrySendError::Closed(_)) =
                        self.incoming.try_send(Bytes::from(delivery.data))
                    {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn set_up(&self, connection: &Connection) -> lapin::Result<(Channel, Consumer)> {
        let channel = connection.create_channel().await?;
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let none = FieldTable::default;
        channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Fanout, durable, none()).await?;
        let queue = format!("{EXCHANGE}.{}", Uuid::new_v4());
        let mut arguments = none();
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(MAX_QUEUE_LENGTH));
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.as_str().into(), exclusive, arguments).await?;
        let bind = QueueBindOptions::default();
        channel.queue_bind(queue.as_str().into(), EXCHANGE.into(), "".into(), bind, none()).await?;
        let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let messages =
            channel.basic_consume(queue.as_str().into(), "".into(), no_ack, none()).await?;
        Ok((channel, messages))
    }
}
