//! How fast the screens of all sessions together follow their output.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::session::SCREEN_STEP;

/// How much work the screens of all sessions may do in a second, in bytes of text that cost the same.
const RATE: usize = 8 << 20;
/// The time between two steps.
const PAUSE: Duration = Duration::from_micros(1_000_000 * SCREEN_STEP as u64 / RATE as u64);

/// The time of the next step.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Waits until the caller may do the next step.
    pub(super) async fn next_step(&self) {
        let at = {
            let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let at = next.map_or(now, |next| next.max(now));
            *next = Some(at + PAUSE);
            at
        };
        sleep_until(at).await;
    }
}
