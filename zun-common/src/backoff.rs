//! Pauses between retries. They double up to a maximum, and have jitter, so that a hundred hosts do not retry at the
//! same moment.

use std::time::Duration;

use crate::environment::random_share;

/// The pauses of one series of retries.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    tries: u32,
}

impl Backoff {
    /// Creates a series of pauses that double from `first` up to `longest`, before jitter.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, tries: 0 }
    }

    /// Returns the next pause: 50 to 100 percent of the pause without jitter.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.first.saturating_mul(1 << self.tries.min(16)).min(self.longest);
        self.tries = self.tries.saturating_add(1);
        pause.mul_f64(random_share(0.5))
    }

    /// Sleeps for the next pause.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_pause()).await;
    }

    /// Starts again with the first pause, after a success.
    pub const fn reset(&mut self) {
        self.tries = 0;
    }

    /// The number of pauses since the last success.
    pub const fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_restart_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(300));
        for full in [100, 200].into_iter().chain([300; 100]).map(Duration::from_millis) {
            let pause = backoff.next_pause();
            assert!(pause <= full && pause >= full / 2, "{pause:?} of {full:?}");
        }
        assert_eq!(backoff.tries(), 102);
        backoff.reset();
        assert!(backoff.next_pause() <= Duration::from_millis(100));
    }
}
