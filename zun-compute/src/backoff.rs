//! How long to wait before another try: doubling, bounded, and jittered so that hosts do not try at once.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The waits of one row of tries.
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

    /// A try went well: begin anew.
    pub(crate) const fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next wait: between half and all of the bound, which doubles each time.
    pub(crate) fn step(&mut self) -> Duration {
        let bound = self.next;
        self.next = (bound * 2).min(self.longest);
        let percent = u32::try_from(RandomState::new().build_hasher().finish() % 51).unwrap_or(0);
        bound * (50 + percent) / 100
    }

    /// Waits that long.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.step()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_a_reset() {
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
