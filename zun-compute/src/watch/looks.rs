//! Looks at containers that changed: one at a time for a container, and each change is followed by a look
//! that was begun after it. A container that the engine hangs on holds up no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use zun_common::chain;
use zun_common::id::ContainerId;
use zun_common::shutdown::Tasks;

use crate::backoff::Backoff;
use crate::host::Host;

const TRIES: u32 = 4;

/// The looks that go on; `true` where it changed again meanwhile.
#[derive(Clone)]
pub(super) struct Looks {
    host: Arc<Host>,
    tasks: Tasks,
    under_way: Arc<Mutex<HashMap<ContainerId, bool>>>,
}

impl Looks {
    pub(super) fn new(host: Arc<Host>, tasks: Tasks) -> Self {
        Self { host, tasks, under_way: Arc::default() }
    }

    pub(super) fn changed(&self, container: ContainerId) {
        {
            let mut under_way = self.lock();
            if let Some(again) = under_way.get_mut(&container) {
                *again = true;
                return;
            }
            under_way.insert(container, false);
        }
        self.tasks.spawn(self.clone().look(container));
    }

    async fn look(self, container: ContainerId) {
        loop {
            tokio::select! {
                () = self.tasks.cancelled() => return,
                () = self.try_to_look(container) => {}
            }
            let mut under_way = self.lock();
            if under_way.insert(container, false) != Some(true) {
                under_way.remove(&container);
                return;
            }
        }
    }

    async fn try_to_look(&self, container: ContainerId) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));
        for tried in 1..=TRIES {
            let Err(error) = self.host.inspect_and_report(container).await else { return };
            if tried == TRIES {
                tracing::warn!(
                    container.id = %container, error = %chain(&error),
                    "cannot look at container {container}: what is told of it may be old"
                );
                return;
            }
            backoff.wait().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, bool>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
