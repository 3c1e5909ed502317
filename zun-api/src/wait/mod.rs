//! Notifies waiting requests when a container changes.
//!
//! ```text
//!  a change that this process made ── publish ──┬─> Hub ── channel per container ──> subscriptions
//!                    │                          │
//!                    └──> notify ──> other zun-api: read the awaited rows
//! ```
//! Notifications may get lost, so these rows are also polled.

mod notifications;
mod poll;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use zun_common::id::ContainerId;

use notifications::Change;
pub(crate) use notifications::exchange;
pub(crate) use poll::poll;

use crate::db::container::Record;

/// How many events of one container are kept for a subscription that is behind.
const BACKLOG: usize = 16;

type Channels = HashMap<ContainerId, Channel>;

/// Distributes the changes of containers to the requests that wait for them. Clones share the state.
#[derive(Clone)]
pub(crate) struct Hub {
    channels: Arc<Mutex<Channels>>,
    /// Notified when a channel is created.
    created: Arc<Notify>,
    /// Containers with subscriptions that have changed, and whose rows were not read since.
    changed: Arc<Mutex<BTreeSet<ContainerId>>>,
    /// Notified when there is such a container.
    stale: Arc<Notify>,
    /// Marked as changed whenever there may be new events.
    recorded: watch::Sender<()>,
    /// Queue of changes for the other processes.
    notifications: Arc<OnceLock<mpsc::Sender<Change>>>,
    permits: Arc<Semaphore>,
    capacity: usize,
    closing: CancellationToken,
}

/// The subscriptions of one container.
struct Channel {
    sender: broadcast::Sender<Event>,
    /// Counts what was published, so that a row that was read earlier does not follow a newer state.
    published: u64,
}

/// The permit of a waiting request. Dropping it frees it.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
}

/// As many requests are waiting as the settings allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are waiting")]
pub(crate) struct TooManyWaiters;

/// What a subscription receives.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// The container's current state.
    Changed(Arc<Record>),
    /// The container's row is gone.
    Deleted,
    /// The subscription missed some events, or more than the row has changed: read again.
    Lagged,
    /// zun-api is shutting down.
    Closing,
}

impl Hub {
    /// Creates a hub for at most `waiters` waiting requests.
    pub(crate) fn new(waiters: usize, closing: CancellationToken) -> Self {
        let capacity = waiters.min(Semaphore::MAX_PERMITS);
        Self {
            channels: Arc::default(),
            created: Arc::default(),
            changed: Arc::default(),
            stale: Arc::default(),
            recorded: watch::Sender::new(()),
            notifications: Arc::default(),
            permits: Arc::new(Semaphore::new(capacity)),
            capacity,
            closing,
        }
    }

    /// Admits a request that will wait.
    pub(crate) fn permit(&self) -> Result<Permit, TooManyWaiters> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        permit.map(|permit| Permit { _permit: permit }).map_err(|_full_or_closed| TooManyWaiters)
    }

    /// Subscribes to the changes of a container from now on.
    pub(crate) fn subscribe(&self, permit: Permit, container: ContainerId) -> Subscription {
        let receiver = self
            .channels()
            .entry(container)
            .or_insert_with(|| {
                self.created.notify_one();
                Channel { sender: broadcast::Sender::new(BACKLOG), published: 0 }
            })
            .sender
            .subscribe();
        Subscription { hub: self.clone(), container, receiver, _permit: permit }
    }

    /// Publishes the current state of a container, here and in the other processes.
    pub(crate) fn publish(&self, record: &Record) {
        self.recorded.send_replace(());
        self.notify_others(Change::Row(record.id));
        if let Some(channel) = self.channels().get_mut(&record.id) {
            channel.publish(Event::Changed(Arc::new(record.clone())));
        }
    }

    /// Announces, here and in the other processes, that more than the rows of containers has changed, such as their
    /// runs.
    pub(crate) fn announce(&self, containers: Vec<ContainerId>) {
        self.recorded.send_replace(());
        self.read_again(&containers);
        for container in containers {
            self.notify_others(Change::Runs(container));
        }
    }

    /// Announces, here and in the other processes, an event about a container, an image, a volume or a network that no
    /// published change announces.
    pub(crate) fn note_event(&self, subject: ContainerId) {
        self.recorded.send_replace(());
        self.notify_others(Change::Runs(subject));
    }

    /// Subscribes to new events, as far as this process knows of them.
    pub(crate) fn recorded(&self) -> watch::Receiver<()> {
        self.recorded.subscribe()
    }

    /// Queues a change for the other processes. If the queue is full, they find the change when they read the database.
    fn notify_others(&self, change: Change) {
        if let Some(notifications) = self.notifications.get()
            && notifications.try_send(change).is_err()
        {
            tracing::debug!(
                "cannot notify the other zun-api services of a change: the queue is full"
            );
        }
    }

    /// Makes each waiting request read its container again.
    fn read_again(&self, containers: &[ContainerId]) {
        let mut channels = self.channels();
        for container in containers {
            if let Some(channel) = channels.get_mut(container) {
                channel.publish(Event::Lagged);
            }
        }
    }

    /// Requests a read of the awaited containers' rows.
    fn read_soon(&self, containers: &[ContainerId]) {
        let channels = self.channels();
        let waited_for = containers.iter().filter(|container| channels.contains_key(container));
        let mut changed = self.changed();
        changed.extend(waited_for.copied());
        if !changed.is_empty() {
            self.stale.notify_one();
        }
    }

    /// Waits until a row must be read, and returns the containers, with how much was published for each.
    async fn until_stale(&self) -> Vec<(ContainerId, u64)> {
        self.stale.notified().await;
        let changed = std::mem::take(&mut *self.changed());
        let subscribed = self.subscribed().into_iter();
        subscribed.filter(|(container, _)| changed.contains(container)).collect()
    }

    fn changed(&self) -> MutexGuard<'_, BTreeSet<ContainerId>> {
        self.changed.lock().expect("nobody panics with this lock")
    }

    /// Returns the number of waiting requests.
    pub(crate) fn waiting(&self) -> usize {
        self.capacity.saturating_sub(self.permits.available_permits())
    }

    /// Waits until there is a subscription.
    async fn until_subscribed(&self) {
        loop {
            let created = self.created.notified();
            if !self.channels().is_empty() {
                return;
            }
            created.await;
        }
    }

    fn has_subscriptions(&self) -> bool {
        !self.channels().is_empty()
    }

    /// Returns the containers with subscriptions, and for each how much was published.
    fn subscribed(&self) -> Vec<(ContainerId, u64)> {
        self.channels().iter().map(|(container, channel)| (*container, channel.published)).collect()
    }

    /// Publishes an event from a row that was read after `published` events. A newer state stays the last.
    fn publish_read(&self, (container, published): (ContainerId, u64), event: Event) {
        if let Some(channel) = self.channels().get_mut(&container)
            && channel.published == published
        {
            channel.publish(event);
        }
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().expect("nobody panics with this lock")
    }
}

impl Channel {
    fn publish(&mut self, event: Event) {
        self.published += 1;
        // Without a receiver, the last subscription is being dropped.
        let _receivers = self.sender.send(event).ok();
    }
}

/// Receives the changes of one container.
pub(crate) struct Subscription {
    hub: Hub,
    container: ContainerId,
    receiver: broadcast::Receiver<Event>,
    _permit: Permit,
}

impl Subscription {
    /// Waits for the next event.
    pub(crate) async fn next(&mut self) -> Event {
        tokio::select! {
            () = self.hub.closing.cancelled() => Event::Closing,
            received = self.receiver.recv() => match received {
                Ok(event) => event,
                Err(RecvError::Lagged(_)) => Event::Lagged,
                Err(RecvError::Closed) => Event::Closing,
            },
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut channels = self.hub.channels();
        // This receiver still counts. Nobody can subscribe meanwhile, because that needs the same lock.
        let is_last = |channel: &Channel| channel.sender.receiver_count() <= 1;
        if channels.get(&self.container).is_some_and(is_last) {
            channels.remove(&self.container);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_bounded_and_freed_and_unused_channels_are_removed() {
        let hub = Hub::new(2, CancellationToken::new());
        let container = ContainerId::random();
        let subscribe = || hub.permit().map(|permit| hub.subscribe(permit, container));
        let first = subscribe().unwrap();
        let second = subscribe().unwrap();
        assert!(matches!(hub.permit(), Err(TooManyWaiters)));
        assert_eq!(hub.waiting(), 2);
        drop(first);
        assert_eq!(hub.channels().len(), 1);
        drop(second);
        assert_eq!((hub.channels().len(), hub.waiting()), (0, 0));
        assert!(hub.permit().is_ok());
    }

    #[tokio::test]
    async fn shutdown_ends_every_wait() {
        let closing = CancellationToken::new();
        let hub = Hub::new(1, closing.clone());
        let mut subscription = hub.subscribe(hub.permit().unwrap(), ContainerId::random());
        closing.cancel();
        assert!(matches!(subscription.next().await, Event::Closing));
    }
}
