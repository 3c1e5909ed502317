//! Exponential backoff with an upper bound. Jitter keeps the hosts from retrying at the same time.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The waits between retries.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// Starts again with the first wait, after a success.
    pub(crate) const fn reset(&mut self) {
        self.next = self.first;
    }

    /// Returns the next wait: between half and all of the bound, which doubles each time.
    pub(crate) fn step(&mut self) -> Duration {
        let bound = self.next;
        self.next = (bound * 2).min(self.longest);
        let percent = u32::try_from(RandomState::new().build_hasher().finish() % 51).unwrap_or(0);
        bound * (50 + percent) / 100
    }

    /// Sleeps for the next wait.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.step()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_restart_after_a_reset() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_millis(300));
        let mut backoff = Backoff::new(first, longest);
        for bound in [100, 200, 300, 300] {
            let wait = backoff.step();
            assert!(
                wait <= Duration::from_millis(bound) && wait >= Duration::from_millis(bound / 2)
            );
        }
        backoff.reset();
        assert!(backoff.step() <= first);
    }
}
