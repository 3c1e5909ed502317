//! Functions that wait for a condition, with a deadline.

use std::future::Future;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(90);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Polls until the condition holds. It blocks the thread, so tokio tasks of the test need another worker thread.
///
/// # Panics
/// Panics with `what` after 90 seconds.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < TIMEOUT, "timed out after {TIMEOUT:?} waiting until {what}");
        std::thread::park_timeout(POLL_INTERVAL);
    }
}

/// Polls until `ask` returns a value, and returns it. Other tasks run meanwhile.
///
/// # Panics
/// Panics with `what` after 90 seconds.
pub async fn eventually_some<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < TIMEOUT, "timed out after {TIMEOUT:?} waiting until {what}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
