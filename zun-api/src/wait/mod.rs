//! Who waits for a container to change: told by each applied report, so that nobody polls.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use zun_common::id::ContainerId;

use crate::db::container::Record;

/// So many changes of one container are kept for a listener that is behind.
const BACKLOG: usize = 16;

/// So many containers that are gone are remembered, each for so long: whoever asks a moment later how one
/// ended, and why, is still told.
const REMEMBERED: usize = 1024;
const MEMORY: Duration = Duration::from_mins(1);

type Gone = VecDeque<(Instant, Arc<Record>)>;
type Rooms = HashMap<ContainerId, broadcast::Sender<Arc<Record>>>;

/// Where changes are told. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Hub {
    rooms: Arc<Mutex<Rooms>>,
    gone: Arc<Mutex<Gone>>,
    seats: Arc<Semaphore>,
    capacity: usize,
    closing: CancellationToken,
}

/// There are too many listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are waiting")]
pub(crate) struct Crowded;

/// What a listener hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The container is so now.
    Changed(Arc<Record>),
    /// Some changes were missed: read the row again.
    Missed,
    /// The service stops.
    Closing,
}

impl Hub {
    /// With so many seats.
    pub(crate) fn new(seats: usize, closing: CancellationToken) -> Self {
        let seats = seats.min(Semaphore::MAX_PERMITS);
        Self {
            rooms: Arc::default(),
            gone: Arc::default(),
            seats: Arc::new(Semaphore::new(seats)),
            capacity: seats,
            closing,
        }
    }

    /// Takes a seat.
    pub(crate) fn seat(&self) -> Result<OwnedSemaphorePermit, Crowded> {
        Arc::clone(&self.seats).try_acquire_owned().map_err(|_full_or_closed| Crowded)
    }

    /// What is told from now on is heard.
    pub(crate) fn listen(&self, seat: OwnedSemaphorePermit, container: ContainerId) -> Listener {
        let receiver = self
            .rooms()
            .entry(container)
            .or_insert_with(|| broadcast::Sender::new(BACKLOG))
            .subscribe();
        Listener { hub: self.clone(), container, receiver, _seat: seat }
    }

    /// Tells all listeners how a container is now.
    pub(crate) fn tell(&self, record: &Record) {
        if let Some(room) = self.rooms().get(&record.id)
            && room.send(Arc::new(record.clone())).is_err()
        {
            tracing::trace!(container.id = %record.id, "the last listener has just left");
        }
    }

    /// Tells all listeners that a container is gone, and remembers how it was last.
    pub(crate) fn tell_gone(&self, record: &Record) {
        let mut gone = self.gone.lock().expect("nobody panics with this lock");
        if gone.len() >= REMEMBERED {
            gone.pop_front();
        }
        gone.push_back((Instant::now(), Arc::new(record.clone())));
        drop(gone);
        self.tell(record);
    }

    /// How a container was last that has just gone.
    pub(crate) fn last_of(&self, container: ContainerId) -> Option<Arc<Record>> {
        let mut gone = self.gone.lock().expect("nobody panics with this lock");
        gone.retain(|(at, _)| at.elapsed() < MEMORY);
        let (_, record) = gone.iter().rev().find(|(_, record)| record.id == container)?;
        Some(Arc::clone(record))
    }

    /// How many wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.capacity.saturating_sub(self.seats.available_permits())
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().expect("nobody panics with this lock")
    }
}

/// A seat. Dropping it frees it.
pub(crate) struct Listener {
    hub: Hub,
    container: ContainerId,
    receiver: broadcast::Receiver<Arc<Record>>,
    _seat: OwnedSemaphorePermit,
}

impl Listener {
    /// The next thing that is heard.
    pub(crate) async fn next(&mut self) -> Heard {
        tokio::select! {
            () = self.hub.closing.cancelled() => Heard::Closing,
            told = self.receiver.recv() => match told {
                Ok(record) => Heard::Changed(record),
                Err(RecvError::Lagged(_)) => Heard::Missed,
                Err(RecvError::Closed) => Heard::Closing,
            },
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut rooms = self.hub.rooms();
        // Our own receiver still counts; nobody can join meanwhile, since joining needs the same lock.
        if rooms.get(&self.container).is_some_and(|room| room.receiver_count() <= 1) {
            rooms.remove(&self.container);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_bounded_and_freed_and_empty_rooms_go() {
        let hub = Hub::new(2, CancellationToken::new());
        let container = ContainerId::random();
        let first = hub.listen(hub.seat().unwrap(), container);
        let second = hub.listen(hub.seat().unwrap(), container);
        assert!(matches!(hub.seat(), Err(Crowded)));
        assert_eq!(hub.waiting(), 2);
        drop(first);
        assert_eq!(hub.rooms().len(), 1);
        drop(second);
        assert_eq!((hub.rooms().len(), hub.waiting()), (0, 0));
        assert!(hub.seat().is_ok());
    }

    #[tokio::test]
    async fn closing_ends_every_wait() {
        let closing = CancellationToken::new();
        let hub = Hub::new(1, closing.clone());
        let mut listener = hub.listen(hub.seat().unwrap(), ContainerId::random());
        closing.cancel();
        assert!(matches!(listener.next().await, Heard::Closing));
    }
}
