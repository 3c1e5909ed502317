//! One queue of the broker in process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use crate::bus::transport::Route;

/// More messages than this wait nowhere: who sends another one waits.
pub(super) const CAPACITY: usize = 10_000;

/// Where the first reply goes. It is shared by all deliveries of one message.
pub(super) type ReplySlot = Arc<Mutex<Option<oneshot::Sender<Bytes>>>>;

/// A message that waits, or was taken and is not disposed of.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) body: Bytes,
    pub(super) deadline: Instant,
    pub(super) reply: Option<ReplySlot>,
    /// How often it was delivered.
    pub(super) deliveries: u32,
}

/// Messages of one route, oldest first.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) route: Route,
    waiting: Mutex<VecDeque<Message>>,
    filled: Notify,
    freed: Notify,
}

impl Queue {
    pub(super) fn new(route: Route) -> Self {
        Self { route, waiting: Mutex::default(), filled: Notify::new(), freed: Notify::new() }
    }

    /// Adds a message, once there is room.
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

    /// Puts a message that was taken back to where it was.
    pub(super) fn put_back(&self, message: Message) {
        self.lock().push_front(message);
        self.filled.notify_one();
    }

    /// Takes the oldest message, once there is one. Dropping the future loses none.
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
