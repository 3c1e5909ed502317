//! Declares the queues. Declaring a queue again changes nothing, so this happens after each reconnect.
//!
//! Messages are not persistent, and RabbitMQ removes a queue five minutes after its last consumer. The queue itself is
//! durable: RabbitMQ 4 deprecates transient queues, and without the queue, calls would fail with `NoSuchHost` after a
//! restart of the broker until the host has reconnected. Every queue has a maximum length. A full queue rejects messages,
//! and senders retry until the deadline.
//!
//! A classic queue is on one node of a cluster. While that node is down, the queue can neither be used nor be declared on
//! another one. Quorum queues survive that.

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ErrorKind};

use crate::bus::settings::QueueType;
use crate::bus::transport::Route;

const MAX_QUEUE_LENGTH: i64 = 50_000;
const EXPIRES_MS: i64 = 300_000;

/// Declares the queue. If an earlier version left it with other arguments, and nobody consumes it, replaces it.
pub(super) async fn declare(
    connection: &Connection,
    route: &Route,
    kind: QueueType,
) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    match declare_on(&channel, route, kind).await {
        Err(error) if is_another_kind(&error) => {
            // The broker has closed the channel.
            let channel = connection.create_channel().await?;
            let unused = QueueDeleteOptions { if_unused: true, ..QueueDeleteOptions::default() };
            channel.queue_delete(route.queue().as_str().into(), unused).await?;
            declare_on(&channel, route, kind).await?;
            channel.close(200, "declared".into()).await
        }
        declared => {
            declared?;
            channel.close(200, "declared".into()).await
        }
    }
}

async fn declare_on(channel: &Channel, route: &Route, kind: QueueType) -> lapin::Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.as_str().into()));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(MAX_QUEUE_LENGTH));
    arguments.insert("x-expires".into(), AMQPValue::LongLongInt(EXPIRES_MS));
    let queue = route.queue();
    channel
        .queue_declare(queue.as_str().into(), QueueDeclareOptions::durable(), arguments)
        .await
        .map(drop)
}

/// Whether the queue exists with other arguments.
fn is_another_kind(error: &lapin::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ProtocolError(error)
            if matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED))
    )
}
