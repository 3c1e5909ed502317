//! Detects a lost link: the client pings the gate after input, and after a silence. The gate reads its side of the link
//! all the time, so its answer does not wait for the process.

use std::time::Duration;

use tokio::time::Instant;
use zun_common::pty::Frame;

/// The client pings the gate after a silence of this length.
const IDLE: Duration = Duration::from_secs(7);

/// The shortest time between two pings after input.
const PAUSE: Duration = Duration::from_millis(400);

/// How long the gate may be silent after a ping until the link counts as late, and until it counts as lost. Slow links
/// get more time.
const LATE: Duration = Duration::from_millis(750);
const LOST: Duration = Duration::from_millis(1500);

/// The state of a link, as the client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::console::pty) enum Health {
    /// There is no sign of a problem.
    Good,
    /// An answer is late.
    Late,
    /// The link counts as lost.
    Lost,
}

/// When something last arrived on the present link, and the pings that were sent.
#[derive(Debug)]
pub(super) struct Liveness {
    received_at: Instant,
    /// When the oldest ping was sent after which nothing has arrived.
    waits_since: Option<Instant>,
    asked_at: Instant,
    number: u64,
    /// Input was sent after the last ping.
    has_input: bool,
    round_trip: Duration,
}

impl Liveness {
    /// For a link that was just opened.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            received_at: now,
            waits_since: None,
            asked_at: now,
            number: 0,
            has_input: false,
            round_trip: Duration::ZERO,
        }
    }

    /// A new link replaces the former one, to the same gate.
    pub(super) const fn renew(&mut self, now: Instant) {
        (self.received_at, self.waits_since, self.asked_at) = (now, None, now);
    }

    /// A message has arrived. Every message counts, because an answer may be queued behind output.
    pub(super) const fn received(&mut self, now: Instant) {
        self.received_at = now;
        self.waits_since = None;
    }

    /// The answer to a ping has arrived.
    pub(super) fn answered(&mut self, number: u64, now: Instant) {
        if number == self.number {
            let round_trip = now.saturating_duration_since(self.asked_at);
            self.round_trip = if self.round_trip.is_zero() {
                round_trip
            } else {
                (self.round_trip * 7 + round_trip) / 8
            };
        }
    }

    /// Input was sent.
    pub(super) const fn sent_input(&mut self) {
        self.has_input = true;
    }

    /// Returns a ping that is due.
    pub(super) fn next_ping(&mut self, now: Instant) -> Option<Frame> {
        if self.ping_at()? > now {
            return None;
        }
        self.number += 1;
        self.asked_at = now;
        self.waits_since = Some(now);
        self.has_input = false;
        Some(Frame::Ping(self.number))
    }

    /// Returns when to send the next ping; `None` while an answer is awaited.
    pub(super) fn ping_at(&self) -> Option<Instant> {
        if self.waits_since.is_some() {
            return None;
        }
        let idle = self.received_at + IDLE;
        Some(if self.has_input { idle.min(self.asked_at + PAUSE) } else { idle })
    }

    /// Returns when an answer will be late; `None` while none is awaited.
    pub(super) fn late_at(&self) -> Option<Instant> {
        Some(self.waits_since? + self.late_after())
    }

    fn late_after(&self) -> Duration {
        LATE.max(self.round_trip * 3)
    }

    /// Evaluates the time since the last message.
    pub(super) fn health(&self, now: Instant) -> Health {
        let Some(since) = self.waits_since else { return Health::Good };
        let silence = now.saturating_duration_since(since);
        if silence >= LOST.max(self.round_trip * 6) {
            Health::Lost
        } else if silence >= self.late_after() {
            Health::Late
        } else {
            Health::Good
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_dead_link_is_noticed_within_two_seconds_after_input_and_within_ten_when_idle() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        assert_eq!(liveness.next_ping(start + IDLE - SECOND), None);
        assert!(liveness.next_ping(start + IDLE).is_some());
        assert_eq!(liveness.health(start + IDLE + LATE), Health::Late);
        assert_eq!(liveness.health(start + 10 * SECOND), Health::Lost);

        liveness.received(start + 10 * SECOND);
        let typed = start + 11 * SECOND;
        liveness.sent_input();
        assert!(liveness.next_ping(typed).is_some());
        assert_eq!(liveness.health(typed), Health::Good);
        liveness.received(typed);
        // The next key follows at once, and the link is dead from then on.
        liveness.sent_input();
        assert_eq!(liveness.next_ping(typed), None);
        assert!(liveness.next_ping(typed + PAUSE).is_some());
        assert_eq!(liveness.health(typed + 2 * SECOND), Health::Lost);
    }

    #[test]
    fn an_answer_or_any_output_ends_the_suspicion() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        assert!(liveness.next_ping(start + IDLE).is_some());
        let late = start + IDLE + SECOND;
        assert_eq!(liveness.health(late), Health::Late);
        liveness.received(late);
        assert_eq!(liveness.health(late), Health::Good);
        assert_eq!(liveness.next_ping(late), None);
    }

    #[test]
    fn a_slow_link_has_more_time() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        assert!(liveness.next_ping(start + IDLE).is_some());
        let answer = start + IDLE + 2 * SECOND;
        liveness.received(answer);
        liveness.answered(1, answer);
        assert!(liveness.next_ping(answer + IDLE).is_some());
        assert_eq!(liveness.health(answer + IDLE + 5 * SECOND), Health::Good);
        assert_eq!(liveness.health(answer + IDLE + 6 * SECOND), Health::Late);
    }
}
