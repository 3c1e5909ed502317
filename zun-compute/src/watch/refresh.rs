//! The refresh queue inspects containers that changed, and reports them.
//!
//! ```text
//!  changed ──> inspect ── answered ──> report ── changed meanwhile? inspect again : done
//!                 ▲  └── failed ──> back off ──┐
//!                 └────────────────────────────┘ state unknown: until an inspection is answered
//! ```
//!
//! There is one inspection at a time for a container, and each change is followed by an inspection that begins after
//! it. Containers of unknown state have permits of their own, so a container on which Docker hangs does not delay the
//! others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Notify, Semaphore};
use zun_common::backoff::Backoff;
use zun_common::chain;
use zun_common::id::ContainerId;
use zun_common::shutdown::Tasks;

use crate::driver::DriverError;
use crate::host::Host;

/// How many containers that changed are inspected at a time.
const PERMITS: usize = 16;
/// How many containers of unknown state are inspected at a time.
const RETRY_PERMITS: usize = 4;
/// Failed inspections after which the state of a container that changed counts as unknown.
const ATTEMPTS: u32 = 4;

/// The containers that are being inspected. Clones share the queue.
#[derive(Clone)]
pub(crate) struct RefreshQueue {
    host: Arc<Host>,
    tasks: Tasks,
    /// Each is notified when its container changes again.
    queued: Arc<Mutex<HashMap<ContainerId, Arc<Notify>>>>,
    permits: Arc<Semaphore>,
    retry_permits: Arc<Semaphore>,
}

impl RefreshQueue {
    pub(crate) fn new(host: Arc<Host>, tasks: Tasks) -> Self {
        Self {
            host,
            tasks,
            queued: Arc::default(),
            permits: Arc::new(Semaphore::new(PERMITS)),
            retry_permits: Arc::new(Semaphore::new(RETRY_PERMITS)),
        }
    }

    /// Inspects a container that changed.
    pub(super) fn changed(&self, container: ContainerId) {
        if let Some(changes) = self.join(container) {
            self.tasks.spawn(self.clone().refresh(container, changes, 0));
        }
    }

    /// Inspects a container again whose inspection failed.
    pub(super) fn state_unknown(&self, container: ContainerId, reason: &DriverError) {
        if let Some(changes) = self.join(container) {
            warn(container, reason);
            self.tasks.spawn(self.clone().refresh(container, changes, ATTEMPTS));
        }
    }

    /// Adds a container to the queue. If it is there already, notifies its task of the change.
    fn join(&self, container: ContainerId) -> Option<Arc<Notify>> {
        let mut queued = self.queued();
        if let Some(changes) = queued.get(&container) {
            changes.notify_one();
            return None;
        }
        let changes = Arc::new(Notify::new());
        queued.insert(container, Arc::clone(&changes));
        Some(changes)
    }

    /// Whether a container did not change since its last inspection began. If so, it leaves the queue.
    fn leave(&self, container: ContainerId, changes: &Notify) -> bool {
        let mut queued = self.queued();
        let unchanged = changes.notified().now_or_never().is_none();
        if unchanged {
            queued.remove(&container);
        }
        unchanged
    }

    async fn refresh(self, container: ContainerId, changes: Arc<Notify>, failed: u32) {
        let until_settled = async {
            self.until_inspected(container, &changes, failed).await;
            while !self.leave(container, &changes) {
                self.until_inspected(container, &changes, 0).await;
            }
        };
        tokio::select! {
            biased;
            () = self.tasks.cancelled() => {}
            () = until_settled => {}
        }
    }

    /// Inspects and reports a container, and tries again until Docker answers.
    async fn until_inspected(&self, container: ContainerId, changes: &Notify, mut failed: u32) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        if failed > 0 {
            backoff.wait().await;
        }
        while let Err(error) = self.inspect(container, failed).await {
            failed = failed.saturating_add(1);
            if failed == ATTEMPTS {
                warn(container, &error);
            }
            tokio::select! {
                biased;
                () = backoff.wait() => {}
                () = changes.notified() => {}
            }
        }
        if failed >= ATTEMPTS {
            tracing::info!(container.id = %container, "container {container} can be inspected again");
        }
    }

    async fn inspect(&self, container: ContainerId, failed: u32) -> Result<(), DriverError> {
        let permits = if failed == 0 { &self.permits } else { &self.retry_permits };
        // Nothing closes the semaphore.
        let _permit = permits.acquire().await.ok();
        self.host.inspect_and_report(container).await.map(|_seen| ())
    }

    fn queued(&self) -> MutexGuard<'_, HashMap<ContainerId, Arc<Notify>>> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn(container: ContainerId, reason: &DriverError) {
    tracing::warn!(
        container.id = %container, error = %chain(reason),
        "cannot inspect container {container}: its reported status may be old"
    );
}
