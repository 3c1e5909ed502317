//! The outgoing messages that have no outcome yet. They survive reconnects.
//!
//! ```text
//!  added ──> Waiting ──sent──> Sent ──confirmed──> Confirmed ──replied──> done
//!               ^               │                      └──────lost─────> NoReply
//!               └── NACK, lost ─┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::backoff::Backoff;
use crate::bus::transport::{Outgoing, RequestError};

/// Identifies a message across reconnects. It is part of the message's correlation ID.
pub(super) type Key = u64;

/// An outgoing message and the channel for its outcome.
#[derive(Debug)]
pub(super) struct PendingMessage {
    pub(super) message: Outgoing,
    /// Set once the message may have reached the broker.
    pub(super) sent: Arc<AtomicBool>,
    pub(super) outcome: oneshot::Sender<Result<Bytes, RequestError>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Sent,
    Confirmed,
}

#[derive(Debug)]
struct Entry {
    pending: PendingMessage,
    stage: Stage,
    nacks: Backoff,
}

/// All messages that have no outcome yet.
#[derive(Debug, Default)]
pub(super) struct PendingMessages {
    entries: BTreeMap<Key, Entry>,
    last: Key,
}

impl PendingMessages {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn add(&mut self, message: PendingMessage) -> Key {
        self.last += 1;
        let entry = Entry { pending: message, stage: Stage::Waiting, nacks: super::backoff() };
        self.entries.insert(self.last, entry);
        self.last
    }

    /// Returns the ID of a pending message.
    pub(super) fn message(&self, key: Key) -> Option<Uuid> {
        self.entries.get(&key).map(|entry| entry.pending.message.id)
    }

    /// Returns the keys of the messages to send, oldest first.
    pub(super) fn waiting(&self) -> Vec<Key> {
        let waiting =
            |(key, entry): (&Key, &Entry)| (entry.stage == Stage::Waiting).then_some(*key);
        self.entries.iter().filter_map(waiting).collect()
    }

    /// Marks a message as sent and returns it. Drops it instead if its sender stopped waiting.
    pub(super) fn start_sending(&mut self, key: Key) -> Option<Outgoing> {
        let entry = self.entries.get_mut(&key).filter(|entry| entry.stage == Stage::Waiting)?;
        if entry.pending.outcome.is_closed() {
            self.entries.remove(&key);
            return None;
        }
        entry.stage = Stage::Sent;
        Some(entry.pending.message.clone())
    }

    /// Records that the message may have reached the broker.
    pub(super) fn sent(&self, key: Key) {
        if let Some(entry) = self.entries.get(&key) {
            entry.pending.sent.store(true, Ordering::Relaxed);
        }
    }

    /// Records that the broker stored the message.
    pub(super) fn confirmed(&mut self, key: Key) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.stage = Stage::Confirmed;
        }
    }

    /// Records that the broker rejected the message. Returns the pause before it is sent again.
    pub(super) fn nacked(&mut self, key: Key) -> Option<Duration> {
        let entry = self.entries.get_mut(&key)?;
        entry.stage = Stage::Waiting;
        Some(entry.nacks.next_pause())
    }

    /// Fails a message whose queue does not exist.
    pub(super) fn unroutable(&mut self, key: Key) {
        if let Some(route) = self.entries.get(&key).map(|entry| entry.pending.message.route.clone())
        {
            self.finish(key, Err(RequestError::Unroutable(route)));
        }
    }

    pub(super) fn replied(&mut self, key: Key, body: Bytes) {
        self.finish(key, Ok(body));
    }

    /// Handles the loss of the connection. Unconfirmed messages are sent again on the next connection.
    /// Confirmed messages fail, because their reply address is gone with the connection.
    pub(super) fn connection_lost(&mut self) {
        let confirmed =
            |(key, entry): (&Key, &Entry)| (entry.stage == Stage::Confirmed).then_some(*key);
        let confirmed: Vec<Key> = self.entries.iter().filter_map(confirmed).collect();
        for key in confirmed {
            self.finish(key, Err(RequestError::NoReply));
        }
        for entry in self.entries.values_mut() {
            entry.stage = Stage::Waiting;
        }
    }

    /// Drops the messages whose senders stopped waiting.
    pub(super) fn drop_abandoned(&mut self) {
        self.entries.retain(|_, entry| !entry.pending.outcome.is_closed());
    }

    fn finish(&mut self, key: Key, outcome: Result<Bytes, RequestError>) {
        if let Some(entry) = self.entries.remove(&key)
            && entry.pending.outcome.send(outcome).is_err()
        {
            tracing::debug!("the sender of a message stopped waiting for its outcome");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::bus::transport::Route;

    type Outcome = oneshot::Receiver<Result<Bytes, RequestError>>;

    fn message() -> (PendingMessage, Outcome) {
        let message = Outgoing {
            route: Route::Controller,
            id: Uuid::nil(),
            body: Bytes::from_static(b"{}"),
            deadline: Instant::now() + Duration::from_mins(1),
        };
        let (outcome, receiver) = oneshot::channel();
        (PendingMessage { message, sent: Arc::default(), outcome }, receiver)
    }

    fn added() -> (PendingMessages, Key, Outcome) {
        let mut pending = PendingMessages::default();
        let (message, receiver) = message();
        let key = pending.add(message);
        assert!(pending.start_sending(key).is_some());
        (pending, key, receiver)
    }

    #[test]
    fn an_unconfirmed_message_is_sent_again_after_the_connection_is_lost() {
        let (mut pending, key, mut receiver) = added();
        pending.connection_lost();
        assert!(receiver.try_recv().is_err());
        assert_eq!(pending.waiting(), [key]);
    }

    #[test]
    fn a_confirmed_request_fails_with_no_reply_after_the_connection_is_lost() {
        let (mut pending, key, mut receiver) = added();
        pending.confirmed(key);
        pending.connection_lost();
        assert!(matches!(receiver.try_recv(), Ok(Err(RequestError::NoReply))));
        assert!(pending.is_empty());
    }

    #[test]
    fn a_reply_may_arrive_before_the_confirm() {
        let (mut pending, key, mut receiver) = added();
        pending.replied(key, Bytes::from_static(b"!"));
        pending.confirmed(key);
        assert!(matches!(receiver.try_recv(), Ok(Ok(body)) if body == "!"));
    }

    #[test]
    fn a_message_whose_sender_stopped_waiting_is_dropped() {
        let (mut pending, key, receiver) = added();
        pending.connection_lost();
        drop(receiver);
        assert!(pending.start_sending(key).is_none());
        let (message, receiver) = message();
        pending.add(message);
        drop(receiver);
        pending.drop_abandoned();
        assert_eq!(pending.len(), 0);
    }
}
