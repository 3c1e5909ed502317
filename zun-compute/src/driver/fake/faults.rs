//! Injected faults, and the list of calls.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use zun_common::id::ContainerId;

use crate::driver::DriverError;

/// An operation of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the driver's operations")]
pub enum Operation {
    Create,
    Start,
    Stop,
    Restart,
    Kill,
    Pause,
    Unpause,
    Update,
    Remove,
    RenameToOld,
    StopOld,
    StartOld,
    RestoreOld,
    RemoveOld,
    Inspect,
    InspectOld,
    ListOld,
    List,
    Statuses,
    Wait,
    Logs,
    Top,
    Stats,
    Events,
    Engine,
    Resize,
    ExecCreate,
    ExecRun,
    ExecInspect,
    ExecSignal,
    ExecResize,
    ImagePresent,
    ImagePull,
    ArchiveGet,
    ArchivePut,
    Changes,
    Commit,
    ImageRemove,
    ImagePorts,
    ImageNames,
    ImageChanges,
    RemoveResource,
}

/// What is wrong with the inspection of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InspectionFault {
    /// The engine does not answer.
    Stalled,
    /// The engine answers with an error, or with something that cannot be read.
    Failed,
}

/// A guard of a fault, which lasts until the guard is dropped.
#[derive(Debug)]
#[must_use = "the fault ends when this is dropped"]
pub struct Stall {
    _released: watch::Sender<()>,
}

#[derive(Debug)]
pub(super) struct Faults {
    plans: Mutex<Plans>,
    up: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Plans {
    calls: Vec<(Operation, Option<ContainerId>)>,
    failures: HashMap<Operation, VecDeque<DriverError>>,
    lost: HashSet<Operation>,
    stalled: HashMap<Operation, watch::Receiver<()>>,
    inspections: HashMap<ContainerId, (InspectionFault, watch::Receiver<()>)>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { plans: Mutex::default(), up: watch::Sender::new(true) }
    }
}

impl Faults {
    pub(super) fn calls(&self) -> Vec<(Operation, Option<ContainerId>)> {
        self.plans().calls.clone()
    }

    pub(super) fn fail_next(&self, operation: Operation, error: DriverError) {
        self.plans().failures.entry(operation).or_default().push_back(error);
    }

    pub(super) fn lose_next_answer(&self, operation: Operation) {
        self.plans().lost.insert(operation);
    }

    pub(super) fn stall(&self, operation: Operation) -> Stall {
        let (released, wait) = watch::channel(());
        self.plans().stalled.insert(operation, wait);
        Stall { _released: released }
    }

    pub(super) fn break_inspection(&self, container: ContainerId, fault: InspectionFault) -> Stall {
        let (released, wait) = watch::channel(());
        self.plans().inspections.insert(container, (fault, wait));
        Stall { _released: released }
    }

    /// Stalls or fails if the inspection of this container is broken.
    pub(super) async fn inspection(&self, container: ContainerId) -> Result<(), DriverError> {
        let broken = self.plans().inspections.get(&container).cloned();
        match broken {
            Some((InspectionFault::Stalled, guard)) => released(guard).await,
            Some((InspectionFault::Failed, guard)) if guard.has_changed().is_ok() => {
                let words = "the container has no state".to_owned();
                return Err(DriverError::Engine { doing: "read Docker's answer", words });
            }
            Some((InspectionFault::Failed, _)) | None => {}
        }
        Ok(())
    }

    pub(super) fn set_engine_up(&self, up: bool) {
        self.up.send_replace(up);
    }

    /// Runs an operation, or the fault that is planned for it. If the engine goes down meanwhile, the operation fails.
    pub(super) async fn perform<T>(
        &self,
        operation: Operation,
        container: Option<ContainerId>,
        work: impl Future<Output = Result<T, DriverError>> + Send,
    ) -> Result<T, DriverError> {
        self.plans().calls.push((operation, container));
        tokio::select! {
            biased;
            () = self.until_down() => Err(down("it is down")),
            outcome = self.planned(operation, work) => outcome,
        }
    }

    async fn planned<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, DriverError>> + Send,
    ) -> Result<T, DriverError> {
        let stalled = self.plans().stalled.get(&operation).cloned();
        if let Some(stalled) = stalled {
            released(stalled).await;
        }
        let failure = self.plans().failures.get_mut(&operation).and_then(VecDeque::pop_front);
        if let Some(failure) = failure {
            return Err(failure);
        }
        let outcome = work.await;
        if self.plans().lost.remove(&operation) {
            Err(down("its answer was lost"))
        } else {
            outcome
        }
    }

    async fn until_down(&self) {
        let mut up = self.up.subscribe();
        if up.wait_for(|up| !*up).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn plans(&self) -> MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the guard is dropped.
async fn released(mut guard: watch::Receiver<()>) {
    // The value never changes: an error means that the guard was dropped.
    while guard.changed().await.is_ok() {}
}

fn down(why: &'static str) -> DriverError {
    DriverError::down(why)
}
