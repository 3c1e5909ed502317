//! One queue of the in-memory broker.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

/// Maximum number of messages in a queue. Senders wait if it is full.
pub(super) const CAPACITY: usize = 10_000;

/// The channel for the first reply. All deliveries of a message share it.
pub(super) type ReplySlot = Arc<Mutex<Option<oneshot::Sender<Bytes>>>>;

/// A message that is queued, or delivered and without a reply.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) body: Bytes,
    pub(super) deadline: Instant,
    pub(super) reply: ReplySlot,
    /// Number of deliveries so far.
    pub(super) deliveries: u32,
}

/// The messages of one route, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<Message>>,
    filled: Notify,
    freed: Notify,
}

impl Queue {
    /// Waits for room and adds a message.
    pub(super) async fn push(&self, message: Message) {
        let mut message = Some(message);
        loop {
            let freed = self.freed.notified();
            if self.push_now(&mut message) {
                return;
            }
            freed.await;
        }
    }

    /// Puts a delivered message back at the front.
    pub(super) fn put_back(&self, message: Message) {
        self.lock().push_front(message);
        self.filled.notify_one();
    }

    /// Waits for a message and removes the oldest one. Cancel-safe.
    pub(super) async fn pop(&self) -> Message {
        loop {
            let filled = self.filled.notified();
            if let Some(message) = self.pop_now() {
                return message;
            }
            filled.await;
        }
    }

    fn push_now(&self, message: &mut Option<Message>) -> bool {
        let mut waiting = self.lock();
        if waiting.len() >= CAPACITY {
            return false;
        }
        waiting.extend(message.take());
        drop(waiting);
        self.filled.notify_one();
        true
    }

    fn pop_now(&self) -> Option<Message> {
        let mut message = self.lock().pop_front()?;
        self.freed.notify_one();
        message.deliveries += 1;
        Some(message)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
