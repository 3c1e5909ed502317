//! When heartbeats are sent. Pure.
//!
//! The agent inspects its host at the interval of its own settings. In a large cluster zun-api asks for a longer interval:
//! then the agent sends a heartbeat only when that interval has passed, or when something has changed. It announces a
//! longer interval in a heartbeat before it uses it, so that zun-api does not count the host as down meanwhile.

use std::time::Duration;

use tokio::time::Instant;
use zun_common::rpc::host::Heartbeat;

/// The longest interval that zun-api can ask for, in seconds. An agent must begin operations within 60 seconds, and gets one
/// whose message was lost with the reply to a heartbeat, of which one may be lost too.
const LONGEST: u32 = 20;

/// The state of the sender.
#[derive(Debug)]
pub(super) struct Pace {
    /// The interval of the settings, in seconds.
    own: u32,
    /// The interval that the next heartbeat announces, in seconds.
    next: u32,
    /// The last heartbeat that zun-api has answered, and when it was sent.
    answered: Option<(Instant, Heartbeat)>,
}

impl Pace {
    pub(super) const fn new(own: u32) -> Self {
        Self { own, next: own, answered: None }
    }

    /// The interval that the next heartbeat announces, in seconds.
    pub(super) const fn interval(&self) -> u32 {
        self.next
    }

    /// Whether the heartbeat must be sent now.
    pub(super) fn is_due(&self, heartbeat: &Heartbeat, now: Instant) -> bool {
        let Some((sent, last)) = &self.answered else { return true };
        let same = Heartbeat { generation: last.generation, ..heartbeat.clone() };
        // The agent inspects its host at an interval of its own, so the inspection closest to the announced time counts.
        let early = Duration::from_secs(self.own.into()) / 2;
        same != *last
            || now.duration_since(*sent) + early >= Duration::from_secs(last.interval.into())
    }

    /// zun-api has answered a heartbeat, and asks for an interval.
    pub(super) fn answered(&mut self, sent: Instant, heartbeat: Heartbeat, asked: Option<u32>) {
        self.next = asked.unwrap_or(self.own).min(LONGEST).max(self.own);
        self.answered = Some((sent, heartbeat));
    }

    /// The next heartbeat is sent in any case.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(pace: &Pace, generation: i64) -> Heartbeat {
        Heartbeat {
            host: "host1".parse().expect("a name"),
            inventory: None,
            console: None,
            console_trouble: None,
            interval: pace.interval(),
            leaving: false,
            generation,
            strays: None,
        }
    }

    /// Sends a heartbeat if it is due. Returns the second and the interval that it announces.
    fn look(pace: &mut Pace, second: i64) -> Option<(i64, u32)> {
        let (now, beat) = (Instant::now(), heartbeat(pace, second));
        if !pace.is_due(&beat, now) {
            return None;
        }
        let interval = beat.interval;
        pace.answered(now, beat, Some(20));
        Some((second, interval))
    }

    #[tokio::test(start_paused = true)]
    async fn every_look_at_the_host_sends_a_heartbeat_if_zun_api_asks_for_nothing() {
        let mut pace = Pace::new(5);
        for generation in 0..4 {
            let now = Instant::now();
            let beat = heartbeat(&pace, generation);
            assert!(pace.is_due(&beat, now));
            pace.answered(now, beat, None);
            tokio::time::advance(Duration::from_millis(4990)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_longer_interval_is_announced_first_and_then_kept() {
        let mut pace = Pace::new(5);
        let mut sent = Vec::new();
        for second in (0..60).step_by(5) {
            sent.extend(look(&mut pace, second));
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        assert_eq!(sent, [(0, 5), (5, 20), (25, 20), (45, 20)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_the_host_and_a_lost_heartbeat_are_sent_with_the_next_look() {
        let mut pace = Pace::new(5);
        let beat = heartbeat(&pace, 1);
        pace.answered(Instant::now(), beat, Some(20));
        let beat = heartbeat(&pace, 2);
        pace.answered(Instant::now(), beat, Some(20));
        tokio::time::advance(Duration::from_secs(5)).await;
        let mut changed = heartbeat(&pace, 3);
        assert!(!pace.is_due(&changed, Instant::now()));
        changed.console_trouble = Some("the certificate has expired".to_owned());
        assert!(pace.is_due(&changed, Instant::now()), "nothing has answered it yet");
        pace.reset();
        assert!(pace.is_due(&heartbeat(&pace, 4), Instant::now()));
    }

    #[test]
    fn a_shorter_interval_than_that_of_the_settings_and_an_absurd_one_are_not_taken() {
        let mut pace = Pace::new(10);
        for (asked, taken) in [(Some(2), 10), (None, 10), (Some(15), 15), (Some(u32::MAX), LONGEST)]
        {
            let beat = heartbeat(&pace, 1);
            pace.answered(Instant::now(), beat, asked);
            assert_eq!(pace.interval(), taken);
        }
    }
}
