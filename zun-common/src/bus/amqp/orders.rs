//! What is on its way out, over all connections: a pure table, no socket.
//!
//! ```text
//!  added ──> Waiting ──sent──> Sent ──confirmed──> receipt wanted: done
//!               ^               │                  reply wanted: Kept ──replied──> done
//!               └── NACK, lost ─┘                                Kept ──lost─────> NoReply
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::bus::backoff::Backoff;
use crate::bus::transport::{Outgoing, RequestError};

/// Identifies an order over all connections; it is the message's correlation id.
pub(super) type Key = u64;

/// What the sender waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// That the broker has it safe.
    Receipt,
    /// The reply.
    Reply,
}

/// A message, and who waits for what becomes of it.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) message: Outgoing,
    pub(super) wants: Wants,
    /// Set once it may have reached the broker.
    pub(super) sent: Arc<AtomicBool>,
    pub(super) outcome: oneshot::Sender<Result<Bytes, RequestError>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Sent,
    Kept,
}

#[derive(Debug)]
struct Entry {
    order: Order,
    stage: Stage,
    refusals: Backoff,
}

/// All orders that are not done.
#[derive(Debug, Default)]
pub(super) struct Orders {
    entries: BTreeMap<Key, Entry>,
    last: Key,
}

impl Orders {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn add(&mut self, order: Order) -> Key {
        self.last += 1;
        let entry = Entry { order, stage: Stage::Waiting, refusals: Backoff::default() };
        self.entries.insert(self.last, entry);
        self.last
    }

    /// The identity of a message that is not done.
    pub(super) fn message(&self, key: Key) -> Option<Uuid> {
        self.entries.get(&key).map(|entry| entry.order.message.id)
    }

    /// What is to be sent, oldest first.
    pub(super) fn waiting(&self) -> Vec<Key> {
        let waiting =
            |(key, entry): (&Key, &Entry)| (entry.stage == Stage::Waiting).then_some(*key);
        self.entries.iter().filter_map(waiting).collect()
    }

    /// The message to send now, if somebody still waits for it.
    pub(super) fn take_turn(&mut self, key: Key) -> Option<(Outgoing, Wants)> {
        let entry = self.entries.get_mut(&key).filter(|entry| entry.stage == Stage::Waiting)?;
        if entry.order.outcome.is_closed() {
            self.entries.remove(&key);
            return None;
        }
        entry.stage = Stage::Sent;
        Some((entry.order.message.clone(), entry.order.wants))
    }

    /// It may have reached the broker.
    pub(super) fn sent(&self, key: Key) {
        if let Some(entry) = self.entries.get(&key) {
            entry.order.sent.store(true, Ordering::Relaxed);
        }
    }

    /// The broker has it safe.
    pub(super) fn confirmed(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        match entry.order.wants {
            Wants::Reply => entry.stage = Stage::Kept,
            Wants::Receipt => self.finish(key, Ok(Bytes::new())),
        }
    }

    /// The broker did not take it: when to send it again.
    pub(super) fn refused(&mut self, key: Key) -> Option<Duration> {
        let entry = self.entries.get_mut(&key)?;
        entry.stage = Stage::Waiting;
        Some(entry.refusals.next())
    }

    /// There is no such queue.
    pub(super) fn unroutable(&mut self, key: Key) {
        if let Some(route) = self.entries.get(&key).map(|entry| entry.order.message.route.clone()) {
            self.finish(key, Err(RequestError::Unroutable(route)));
        }
    }

    pub(super) fn replied(&mut self, key: Key, body: Bytes) {
        self.finish(key, Ok(body));
    }

    /// The connection was lost. What was not confirmed is sent again over the next one; a reply to what was
    /// confirmed had nowhere else to go and will not come.
    pub(super) fn lost(&mut self) {
        let kept = |(key, entry): (&Key, &Entry)| (entry.stage == Stage::Kept).then_some(*key);
        let kept: Vec<Key> = self.entries.iter().filter_map(kept).collect();
        for key in kept {
            self.finish(key, Err(RequestError::NoReply));
        }
        for entry in self.entries.values_mut() {
            entry.stage = Stage::Waiting;
        }
    }

    /// Forgets what nobody waits for any more.
    pub(super) fn forget_abandoned(&mut self) {
        self.entries.retain(|_, entry| !entry.order.outcome.is_closed());
    }

    fn finish(&mut self, key: Key, outcome: Result<Bytes, RequestError>) {
        if let Some(entry) = self.entries.remove(&key)
            && entry.order.outcome.send(outcome).is_err()
        {
            tracing::debug!("nobody waits for this message any more");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::bus::transport::Route;

    type Outcome = oneshot::Receiver<Result<Bytes, RequestError>>;

    fn order(wants: Wants) -> (Order, Outcome) {
        let message = Outgoing {
            route: Route::Reports,
            id: Uuid::nil(),
            body: Bytes::from_static(b"{}"),
            deadline: Instant::now() + Duration::from_mins(1),
        };
        let (outcome, came) = oneshot::channel();
        (Order { message, wants, sent: Arc::default(), outcome }, came)
    }

    fn added(wants: Wants) -> (Orders, Key, Outcome) {
        let mut orders = Orders::default();
        let (order, came) = order(wants);
        let key = orders.add(order);
        assert!(orders.take_turn(key).is_some());
        (orders, key, came)
    }

    #[test]
    fn a_receipt_is_given_when_the_broker_confirms() {
        let (mut orders, key, mut came) = added(Wants::Receipt);
        orders.confirmed(key);
        assert!(matches!(came.try_recv(), Ok(Ok(_))));
        assert!(orders.is_empty());
    }

    #[test]
    fn what_was_not_confirmed_is_sent_again_after_a_loss() {
        let (mut orders, key, mut came) = added(Wants::Reply);
        orders.lost();
        assert!(came.try_recv().is_err());
        assert_eq!(orders.waiting(), [key]);
    }

    #[test]
    fn a_reply_that_was_awaited_is_silent_after_a_loss() {
        let (mut orders, key, mut came) = added(Wants::Reply);
        orders.confirmed(key);
        orders.lost();
        assert!(matches!(came.try_recv(), Ok(Err(RequestError::NoReply))));
        assert!(orders.is_empty());
    }

    #[test]
    fn a_reply_that_is_faster_than_its_confirm_is_taken() {
        let (mut orders, key, mut came) = added(Wants::Reply);
        orders.replied(key, Bytes::from_static(b"!"));
        orders.confirmed(key);
        assert!(matches!(came.try_recv(), Ok(Ok(body)) if body == "!"));
    }

    #[test]
    fn what_nobody_waits_for_is_not_sent_and_is_forgotten() {
        let (mut orders, key, came) = added(Wants::Receipt);
        orders.lost();
        drop(came);
        assert!(orders.take_turn(key).is_none());
        let (order, came) = order(Wants::Receipt);
        orders.add(order);
        drop(came);
        orders.forget_abandoned();
        assert_eq!(orders.len(), 0);
    }
}
