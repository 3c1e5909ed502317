//! What happens to an exec whose clients are all lost: `zun exec --on-disconnect`.
//!
//! ```text
//!            the last link is lost           the grace has passed
//!  clients ───────────────────────> deserted ───────────────────> signal, once
//!     ^                                │
//!     └──────── one comes back ────────┘
//! ```
//! Only clients with the right to type count. Nothing is sent after the last of them has detached: its user wanted the
//! process to go on.

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use zun_common::pty::{OnDisconnect, SessionKind};

use super::Session;

/// What the clients asked for, and how far that is.
#[derive(Debug, Default)]
pub(super) struct Desertion {
    policy: Option<OnDisconnect>,
    /// Whether the last client that could type has detached.
    detached: bool,
    /// Since when no client that may type is connected, by both clocks: only the second one outlives the gate.
    since: Option<(Instant, SystemTime)>,
    /// Whether the signal was sent.
    sent: bool,
}

/// What of it must outlive the gate.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct DesertionRecord {
    policy: Option<OnDisconnect>,
    detached: bool,
    since: Option<SystemTime>,
    sent: bool,
}

impl Desertion {
    pub(super) fn record(&self) -> DesertionRecord {
        let Self { policy, detached, since, sent } = *self;
        DesertionRecord { policy, detached, since: since.map(|(_, since)| since), sent }
    }

    pub(super) fn restored(record: DesertionRecord, now: Instant) -> Self {
        let DesertionRecord { policy, detached, since, sent } = record;
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
    /// A client with the right to type opens the exec, and says what happens if it is lost. Those that join later have no
    /// say in it.
    pub(super) const fn set_on_disconnect(&mut self, policy: Option<OnDisconnect>) {
        if let (SessionKind::Exec, Some(policy)) = (self.process.kind, policy) {
            self.desertion.policy = Some(policy);
        }
    }

    /// Whether the exec gets a signal if all its clients are lost.
    pub(super) const fn acts_on_disconnect(&self) -> bool {
        self.desertion.policy.is_some()
    }

    /// A client that may type has connected, or has detached.
    pub(super) const fn set_detached(&mut self, detached: bool) {
        if self.desertion.detached != detached {
            self.desertion.detached = detached;
            self.unrecorded = true;
        }
    }

    /// Notices that the last client that may type is lost, or that one is back. Returns whether that is new.
    pub(super) fn follow_desertion(&mut self, now: Instant) -> bool {
        let is_deserted = self.is_deserted();
        if is_deserted == self.desertion.since.is_some() {
            return false;
        }
        let wall_clock = SystemTime::now();
        let wall_clock = wall_clock.checked_sub(now.elapsed()).unwrap_or(wall_clock);
        self.desertion.since = is_deserted.then_some((now, wall_clock));
        self.unrecorded = true;
        true
    }

    fn is_deserted(&self) -> bool {
        let mut all = self.attachments.values();
        self.desertion.policy.is_some()
            && !self.desertion.detached
            && !all.any(|one| one.may_write && one.connection.is_some())
    }

    /// The signal that the process must get now because its clients are lost, or when there may be one. It is due until
    /// [`Session::sent_desertion`] confirms it.
    pub fn signal_of_desertion(&self, now: Instant) -> Result<&'static str, Option<Instant>> {
        let (policy, due) = (self.desertion.policy, self.desertion.due());
        // After the exit, the process's ID may be that of another one.
        let may_be_sent = self.process.running && !self.exited && self.is_deserted();
        match (policy, due) {
            (Some(policy), Some(due)) if due <= now && may_be_sent => Ok(policy.signal.name()),
            (Some(_) | None, due) => Err(due.filter(|due| *due > now)),
        }
    }

    /// The process has got its signal.
    pub const fn sent_desertion(&mut self) {
        self.desertion.sent = true;
    }
}
