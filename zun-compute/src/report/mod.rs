//! What zun-api is told: the newest report of each container, kept until it is on the bus, and heartbeats.

mod entry;
mod facts;
mod ledger;
mod sender;
mod slot;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use zun_common::api::v1::container::ImagePull;
use zun_common::grant::SessionEvent;
use zun_common::id::{ContainerId, HostName};
use zun_common::rpc::host::AssignedContainer;
use zun_common::rpc::report::ContainerReport;
use zun_common::status::TaskState;

pub(crate) use entry::Heed;
pub(crate) use facts::{Ending, Failure, Sight, Ticket};
pub(crate) use sender::send;

use crate::driver::ProcessExit;
use crate::operation_state::Ended;
use ledger::Ledger;

/// The pages of all containers, shared by who sees, who does and who tells.
#[derive(Debug)]
pub(crate) struct Reports {
    ledger: Mutex<Ledger>,
    /// Something is to be told.
    more: Notify,
    /// Something was told.
    told: Notify,
    /// The number of the last change. Reports are ordered by it within an epoch.
    changes: AtomicI64,
}

impl Reports {
    pub(crate) fn new(host: HostName) -> Self {
        Self {
            ledger: Mutex::new(Ledger::new(host)),
            more: Notify::new(),
            told: Notify::new(),
            changes: AtomicI64::new(0),
        }
    }

    pub(crate) fn ticket(&self) -> Ticket {
        self.ledger().ticket()
    }

    /// What is being done to it from now on.
    pub(crate) fn begin(&self, container: ContainerId, task: TaskState) {
        self.ledger().begin(container, task, self.next());
        self.more.notify_one();
    }

    /// What zun-api knows of it.
    pub(crate) fn learn(&self, assigned: &AssignedContainer) {
        self.ledger().learn(assigned);
    }

    /// Its making begins; with `auto_remove` it goes when its process ends.
    pub(crate) fn ordered(&self, container: ContainerId, auto_remove: bool) {
        self.ledger().ordered(container, auto_remove);
    }

    /// Its making was ordered from this agent since it began.
    pub(crate) fn was_ordered(&self, container: ContainerId) -> bool {
        self.ledger().was_ordered(container)
    }

    /// How the engine was found.
    pub(crate) fn observe(&self, ticket: Ticket, container: ContainerId, sight: Sight) -> Heed {
        let heed = self.ledger().observe(ticket, container, sight, self.next());
        self.more.notify_one();
        heed
    }

    /// Its process exited. That is reported with the next look, which may find another run already.
    pub(crate) fn exited(&self, container: ContainerId, exit: ProcessExit) {
        self.ledger().exited(container, exit);
    }

    /// How an operation ended: the task state is cleared, and the outcome goes with the report.
    pub(crate) fn finish(&self, container: ContainerId, ending: Ending, ended: Ended) -> Heed {
        let heed = self.ledger().finish(container, (ending, ended), self.next());
        self.more.notify_one();
        heed
    }

    /// It should be on the host and is not; `rightly` where it was to go.
    pub(crate) fn absent(&self, ticket: Ticket, container: ContainerId, rightly: bool) {
        self.ledger().absent(ticket, container, rightly, self.next());
        self.more.notify_one();
    }

    /// Its image comes along so far.
    pub(crate) fn pulling(&self, container: ContainerId, pull: ImagePull) {
        self.ledger().pulling(container, pull, self.next());
        self.more.notify_one();
    }

    /// A console began or ended.
    pub(crate) fn note(&self, note: SessionEvent) {
        self.ledger().note(note, self.next());
        self.more.notify_one();
    }

    /// The engine went, and all consoles with it.
    pub(crate) fn consoles_ended(&self) {
        self.ledger().consoles_ended(self.next());
        self.more.notify_one();
    }

    /// The newest report of it, told or not.
    pub(crate) fn newest(&self, container: ContainerId) -> Option<ContainerReport> {
        self.ledger().newest(container)
    }

    /// Those that the engine was last known to have.
    pub(crate) fn held_by_engine(&self) -> Vec<ContainerId> {
        self.ledger().held_by_engine()
    }

    pub(crate) fn forget_all_but(&self, known: impl Fn(&ContainerId) -> bool) {
        self.ledger().forget_all_but(known);
    }

    /// Waits until everything was told, at most so long. Says whether it was.
    pub(crate) async fn flushed(&self, within: Duration) -> bool {
        tokio::time::timeout(within, self.all_told()).await.is_ok()
    }

    async fn all_told(&self) {
        loop {
            let told = self.told.notified();
            if self.ledger().is_told() {
                return;
            }
            told.await;
        }
    }

    fn next(&self) -> i64 {
        self.changes.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
