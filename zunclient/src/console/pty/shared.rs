//! The session, shared by the parts of the console and the driver of its links.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::session::Session;

/// A session, and who waits for what. Each `Notify` has one waiter.
#[derive(Debug)]
pub(super) struct Shared {
    session: Mutex<Session>,
    /// There may be something to send.
    pub(super) to_send: Notify,
    /// A ping may have been sent.
    pub(super) asked: Notify,
    /// There may be an event.
    pub(super) arrived: Notify,
    /// There may be room for input.
    pub(super) room: Notify,
    /// An event was taken.
    pub(super) taken: Notify,
    /// The user leaves.
    pub(super) leaves: Notify,
}

impl Shared {
    pub(super) fn new(session: Session) -> Self {
        Self {
            session: Mutex::new(session),
            to_send: Notify::new(),
            asked: Notify::new(),
            arrived: Notify::new(),
            room: Notify::new(),
            taken: Notify::new(),
            leaves: Notify::new(),
        }
    }

    /// Locks the session. It is never locked for long.
    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the driver and the parts after a change that a link has made.
    pub(super) fn changed(&self) {
        self.arrived.notify_one();
        self.to_send.notify_one();
        self.room.notify_one();
    }
}
