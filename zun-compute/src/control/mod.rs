//! The agent's registration with zun-api, its epoch, the database's clock, and heartbeats.
//!
//! ```text
//!  register ──> epoch ──> heartbeats ──> open operations ──> workers
//!     ^                       │
//!     └──── stale epoch ──────┘      without an epoch nothing is reported and no operation begins
//! ```

mod comparison;
mod heartbeat;
mod images;
mod pace;
mod register;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use zun_common::id::Epoch;
use zun_common::rpc::{Code, Problem};

use comparison::Comparison;
pub(crate) use heartbeat::{beat, leave};
pub(crate) use images::report as report_images;
use pace::Pace;

/// The epoch and the database's clock.
#[derive(Debug)]
pub(crate) struct Control {
    epoch: watch::Sender<Option<Epoch>>,
    clock: Mutex<Option<Clock>>,
    /// Whether zun-api has refused to register this agent, because another one may be running.
    refused: watch::Sender<bool>,
    pull: Notify,
    heartbeats: AtomicI64,
    /// When the last heartbeat was sent that zun-api has answered.
    confirmed: watch::Sender<Option<Instant>>,
    comparison: Mutex<Comparison>,
    pace: Mutex<Pace>,
}

/// The database's time when a heartbeat was sent, at the earliest.
#[derive(Debug, Clone, Copy)]
struct Clock {
    sent: Instant,
    now: DateTime<Utc>,
}

impl Control {
    /// `interval` is the time between heartbeats, in seconds.
    pub(crate) fn new(interval: u32) -> Self {
        Self {
            epoch: watch::Sender::new(None),
            clock: Mutex::new(None),
            refused: watch::Sender::new(false),
            pull: Notify::new(),
            heartbeats: AtomicI64::new(0),
            confirmed: watch::Sender::new(None),
            comparison: Mutex::new(Comparison::new()),
            pace: Mutex::new(Pace::new(interval)),
        }
    }

    /// The current epoch; `None` until the agent is registered.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        *self.epoch.borrow()
    }

    /// Waits until the agent is registered.
    pub(crate) async fn registered(&self) -> Epoch {
        let mut epochs = self.epoch.subscribe();
        loop {
            if let Some(epoch) = *epochs.borrow_and_update() {
                return epoch;
            }
            if epochs.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Refuses a call for another epoch.
    pub(crate) fn check(&self, epoch: Epoch) -> Result<(), Problem> {
        if self.epoch() == Some(epoch) {
            return Ok(());
        }
        let words = format!("this agent is not the one of epoch {epoch}");
        Err(Problem::new(Code::StaleEpoch, words))
    }

    /// Like [`Control::check`], for a call that zun-api has sent. Waits for the registration if it is in progress. A
    /// zun-api that is older than the epoch in calls names none.
    pub(crate) async fn admit(&self, epoch: Option<Epoch>) -> Result<(), Problem> {
        let Some(epoch) = epoch else { return Ok(()) };
        tokio::select! {
            biased;
            _ = self.registered() => {}
            () = self.until_refused(true) => {}
        }
        self.check(epoch)
    }

    /// zun-api refuses to register this agent because another one may be running.
    fn refuse(&self) {
        self.refused.send_replace(true);
    }

    /// Waits until zun-api has refused this agent, or until it no longer refuses it.
    pub(crate) async fn until_refused(&self, refused: bool) {
        let mut changes = self.refused.subscribe();
        if changes.wait_for(|now| *now == refused).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Asks zun-api whether this is still the host's epoch, by a heartbeat. Waits for the answer while zun-api cannot be
    /// reached: an agent that does not know its epoch changes nothing.
    pub(crate) async fn confirm(&self, epoch: Epoch) -> bool {
        let (asked, mut confirmed) = (Instant::now(), self.confirmed.subscribe());
        let mut epochs = self.epoch.subscribe();
        loop {
            if *epochs.borrow_and_update() != Some(epoch) {
                return false;
            }
            if confirmed.borrow_and_update().is_some_and(|sent| sent >= asked) {
                return true;
            }
            self.pull_now();
            tokio::select! {
                biased;
                _ = confirmed.changed() => {}
                _ = epochs.changed() => {}
            }
        }
    }

    /// zun-api no longer accepts this epoch: the agent must register again.
    pub(crate) fn lost(&self, epoch: Epoch) {
        self.epoch.send_if_modified(|current| {
            let is_lost = *current == Some(epoch);
            if is_lost {
                *current = None;
            }
            is_lost
        });
    }

    /// Requests the open operations with a heartbeat at once.
    pub(crate) fn pull_now(&self) {
        self.pull.notify_one();
    }

    /// The database's time, or up to a round trip later; `None` before the first answer of zun-api.
    pub(crate) fn now(&self) -> Option<DateTime<Utc>> {
        let clock = (*self.clock.lock().unwrap_or_else(PoisonError::into_inner))?;
        let elapsed = TimeDelta::from_std(clock.sent.elapsed()).unwrap_or(TimeDelta::MAX);
        Some(clock.now.checked_add_signed(elapsed).unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// The number of the next heartbeat.
    fn next_heartbeat(&self) -> i64 {
        self.heartbeats.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn comparison(&self) -> MutexGuard<'_, Comparison> {
        self.comparison.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, epoch: Epoch) {
        *self.comparison() = Comparison::new();
        self.pace().reset();
        self.epoch.send_replace(Some(epoch));
        self.refused.send_replace(false);
    }

    /// zun-api answered a message that was sent at `sent`, when the database's time was `now`.
    fn set_clock(&self, sent: Instant, now: DateTime<Utc>) {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(Clock { sent, now });
        self.confirmed.send_replace(Some(sent));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_databases_clock_continues_between_heartbeats() {
        let control = Control::new(5);
        assert_eq!(control.now(), None);
        let now = Utc::now();
        control.set_clock(Instant::now(), now);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(control.now(), Some(now + TimeDelta::seconds(3)));
    }

    #[test]
    fn only_the_current_epoch_is_accepted_and_can_be_lost() {
        let control = Control::new(5);
        assert_eq!(control.check(Epoch(1)).expect_err("no epoch").code, Code::StaleEpoch);
        control.begin(Epoch(2));
        assert!(control.check(Epoch(1)).is_err());
        assert!(control.check(Epoch(2)).is_ok());
        control.lost(Epoch(1));
        assert_eq!(control.epoch(), Some(Epoch(2)));
        control.lost(Epoch(2));
        assert_eq!(control.epoch(), None);
    }
}
