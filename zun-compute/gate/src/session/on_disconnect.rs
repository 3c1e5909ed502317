//! What happens to an exec whose clients are all lost: `zun exec --on-disconnect`.
//!
//! ```text
//!            the last link is lost           the grace has passed
//!  clients ───────────────────────> no client ──────────────────> signal, once
//!     ^                                │
//!     └──────── one comes back ────────┘
//! ```
//! Only clients with the right to type count. Nothing is sent after the last of them has detached, because its user
//! wanted the process to keep running.

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use zun_common::pty::{OnDisconnect, SessionKind};

use super::Session;

/// What the clients asked for, and whether it is due or done.
#[derive(Debug, Default)]
pub(super) struct DisconnectState {
    policy: Option<OnDisconnect>,
    /// Whether the last client that could type has detached.
    detached: bool,
    /// Since when no client that may type is connected, by both clocks. Only the wall clock outlives the gate.
    since: Option<(Instant, SystemTime)>,
    /// Whether the signal was sent.
    sent: bool,
}

/// The part that must outlive the gate.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct DisconnectRecord {
    policy: Option<OnDisconnect>,
    detached: bool,
    since: Option<SystemTime>,
    sent: bool,
}

impl DisconnectState {
    pub(super) fn record(&self) -> DisconnectRecord {
        let Self { policy, detached, since, sent } = *self;
        DisconnectRecord { policy, detached, since: since.map(|(_, since)| since), sent }
    }

    pub(super) fn restored(record: DisconnectRecord, now: Instant) -> Self {
        let DisconnectRecord { policy, detached, since, sent } = record;
        let since = since.map(|since| {
            // If the clock was set back, the grace begins again.
            let passed = since.elapsed().unwrap_or(Duration::ZERO);
            (Instant::now().checked_sub(passed).unwrap_or(now), since)
        });
        Self { policy, detached, since, sent }
    }

    fn due(&self) -> Option<Instant> {
        let (since, _) = self.since?;
        since.checked_add(self.policy?.grace()).filter(|_| !self.sent)
    }
}

impl Session {
    /// Sets what happens if all clients are lost. The client that opens the exec decides; clients that join later do
    /// not.
    pub(super) const fn set_on_disconnect(&mut self, policy: Option<OnDisconnect>) {
        if let (SessionKind::Exec, Some(policy)) = (self.process.kind, policy) {
            self.on_disconnect.policy = Some(policy);
        }
    }

    /// Whether the exec gets a signal if all its clients are lost.
    pub(super) const fn acts_on_disconnect(&self) -> bool {
        self.on_disconnect.policy.is_some()
    }

    /// A client that may type has connected, or has detached.
    pub(super) const fn set_detached(&mut self, detached: bool) {
        if self.on_disconnect.detached != detached {
            self.on_disconnect.detached = detached;
            self.unrecorded = true;
        }
    }

    /// Updates the state after the last client that may type was lost, or one came back. Returns whether the state has
    /// changed.
    pub(super) fn follow_disconnects(&mut self, now: Instant) -> bool {
        let are_all_lost = self.are_all_lost();
        if are_all_lost == self.on_disconnect.since.is_some() {
            return false;
        }
        let wall_clock = SystemTime::now();
        let wall_clock = wall_clock.checked_sub(now.elapsed()).unwrap_or(wall_clock);
        self.on_disconnect.since = are_all_lost.then_some((now, wall_clock));
        self.unrecorded = true;
        true
    }

    fn are_all_lost(&self) -> bool {
        let mut all = self.attachments.values();
        self.on_disconnect.policy.is_some()
            && !self.on_disconnect.detached
            && !all.any(|one| one.may_write && one.connection.is_some())
    }

    /// The signal that the process must get now because its clients are lost; otherwise, the time at which one may be
    /// due. It is due until [`Session::disconnect_signal_sent`] confirms it.
    pub fn disconnect_signal(&self, now: Instant) -> Result<&'static str, Option<Instant>> {
        let (policy, due) = (self.on_disconnect.policy, self.on_disconnect.due());
        // After the exit, another process may have the same process ID.
        let may_be_sent = self.process.running && !self.exited && self.are_all_lost();
        match (policy, due) {
            (Some(policy), Some(due)) if due <= now && may_be_sent => Ok(policy.signal.name()),
            (Some(_) | None, due) => Err(due.filter(|due| *due > now)),
        }
    }

    /// The signal was sent to the process.
    pub const fn disconnect_signal_sent(&mut self) {
        self.on_disconnect.sent = true;
    }
}
