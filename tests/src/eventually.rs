//! Waiting for a fact, with a deadline: never for a time.

use std::future::Future;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until it is so. Blocks the thread, so it is for tests that have other threads for their tasks.
///
/// # Panics
/// After a minute and a half, with `what`.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "after {PATIENCE:?} it is still not so that {what}");
        std::thread::park_timeout(PAUSE);
    }
}

/// Asks until there is an answer, letting other tasks run.
///
/// # Panics
/// After a minute and a half, with `what`.
pub async fn soon<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "after {PATIENCE:?} it is still not so that {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
