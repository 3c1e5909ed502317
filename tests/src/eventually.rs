//! Waiting for a fact, with a deadline: never for a time.

use std::future::Future;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(90);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Asks until it is so. Blocks the thread, so it is for tests that have other threads for their tasks.
///
/// # Panics
/// After a minute and a half, with `what`.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < TIMEOUT, "after {TIMEOUT:?} it is still not so that {what}");
        std::thread::park_timeout(POLL_INTERVAL);
    }
}

/// Asks until there is an answer, letting other tasks run.
///
/// # Panics
/// After a minute and a half, with `what`.
pub async fn eventually_some<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < TIMEOUT, "after {TIMEOUT:?} it is still not so that {what}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
