//! Owns the tasks of a service: spawns them, cancels them, and waits for them.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

use crate::environment;

/// The tasks of a service, and the token that cancels them.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    token: CancellationToken,
}

impl Tasks {
    /// Creates an empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task. It must end soon after [`Tasks::cancelled`].
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if environment::is_simulated() {
            environment::spawn(Box::pin(self.tracker.track_future(task)));
        } else {
            self.tracker.spawn(task);
        }
    }

    /// Completes when shutdown begins.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// Whether shutdown has begun.
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// The cancellation token.
    pub const fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Creates a group that is cancelled with this one, or earlier on its own.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { tracker: TaskTracker::new(), token: self.token.child_token() }
    }

    /// Begins the shutdown.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Begins the shutdown and waits for all tasks, at most `within`. Returns whether all ended.
    pub async fn finish(&self, within: Duration) -> bool {
        self.token.cancel();
        self.tracker.close();
        tokio::time::timeout(within, self.tracker.wait()).await.is_ok()
    }
}

/// Completes at SIGTERM or SIGINT.
pub async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finish_waits_for_every_task() {
        let tasks = Tasks::new();
        let own = tasks.clone();
        tasks.spawn(async move { own.cancelled().await });
        assert!(tasks.finish(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn finish_returns_false_if_a_task_does_not_end() {
        let tasks = Tasks::new();
        tasks.spawn(std::future::pending());
        assert!(!tasks.finish(Duration::from_millis(10)).await);
    }
}
