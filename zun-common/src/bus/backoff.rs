//! Pauses between retries: they double up to a maximum and have jitter, so that a hundred agents do not
//! reconnect at the same moment.

use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The pauses of one series of retries.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Returns the next pause: 50 to 100 percent of the pause without jitter.
    pub(super) fn next(&mut self) -> Duration {
        let full_pause = full_pause(self.tries);
        self.tries = self.tries.saturating_add(1);
        full_pause.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Starts over after a success.
    pub(super) const fn reset(&mut self) {
        self.tries = 0;
    }

    /// Number of pauses since the last success.
    pub(super) const fn tries(self) -> u32 {
        self.tries
    }
}

fn full_pause(tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_maximum_and_restart_after_a_success() {
        let mut backoff = Backoff::default();
        for tries in 0..100 {
            let pause = backoff.next();
            assert!(
                pause <= full_pause(tries) && pause >= full_pause(tries) / 2,
                "try {tries}: {pause:?}"
            );
        }
        assert_eq!(full_pause(99), MAX_PAUSE);
        backoff.reset();
        assert!(backoff.next() <= FIRST_PAUSE);
    }
}
