//! Declares the queues. Declaring a queue again changes nothing, so this happens after each reconnect.
//!
//! | queue | kind | messages | removed |
//! |---|---|---|---|
//! | commands of a host, reports | quorum | on disk, replicated, delivered at most 21 times | never |
//! | queries of a host, of zun-api | classic, with `x-expires` | in memory | five minutes after its last consumer |
//! | `zun.dead` | quorum, behind the exchange `zun.dead` | the newest ten thousand | never |
//!
//! Query queues are durable, although their messages are not. RabbitMQ 4 deprecates transient queues. A query queue
//! must also survive a broker restart, or calls would fail with `NoSuchHost` until the host has reconnected.
//! Every queue has a maximum length. A full queue rejects messages, and senders retry until the deadline. Only
//! `zun.dead` drops its oldest messages instead.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::user::is_host_user;
use crate::bus::transport::Route;

/// Name of the dead-letter exchange and of its queue.
pub(super) const DEAD_LETTERS: &str = "zun.dead";

const MAX_QUEUE_LENGTH: i64 = 50_000;
const MAX_DEAD_LETTERS: i64 = 10_000;
const EXPIRES_MS: i64 = 300_000;

/// Declares the queue. Also declares the dead-letter queue, unless the user is a host's: hosts may not touch it,
/// and zun-api has already declared it.
pub(super) async fn declare(channel: &Channel, route: &Route, user: &str) -> lapin::Result<()> {
    if !is_host_user(user) {
        dead_letters(channel).await?;
    }
    let mut arguments = FieldTable::default();
    text(&mut arguments, "x-dead-letter-exchange", DEAD_LETTERS);
    text(&mut arguments, "x-overflow", "reject-publish");
    number(&mut arguments, "x-max-length", MAX_QUEUE_LENGTH);
    if route.is_durable() {
        text(&mut arguments, "x-queue-type", "quorum");
        number(&mut arguments, "x-delivery-limit", i64::from(route.max_redeliveries()));
    } else {
        text(&mut arguments, "x-queue-type", "classic");
        number(&mut arguments, "x-expires", EXPIRES_MS);
    }
    queue(channel, &route.queue(), arguments).await
}

async fn dead_letters(channel: &Channel) -> lapin::Result<()> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel
        .exchange_declare(DEAD_LETTERS.into(), ExchangeKind::Fanout, durable, FieldTable::default())
        .await?;
    let mut arguments = FieldTable::default();
    text(&mut arguments, "x-queue-type", "quorum");
    text(&mut arguments, "x-overflow", "drop-head");
    number(&mut arguments, "x-max-length", MAX_DEAD_LETTERS);
    queue(channel, DEAD_LETTERS, arguments).await?;
    channel
        .queue_bind(
            DEAD_LETTERS.into(),
            DEAD_LETTERS.into(),
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
}

async fn queue(channel: &Channel, name: &str, arguments: FieldTable) -> lapin::Result<()> {
    channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await.map(drop)
}

fn text(arguments: &mut FieldTable, name: &str, value: &str) {
    arguments.insert(name.into(), AMQPValue::LongString(value.into()));
}

fn number(arguments: &mut FieldTable, name: &str, value: i64) {
    arguments.insert(name.into(), AMQPValue::LongLongInt(value));
}
