//! An operation at work, and what its steps need.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zun_common::id::{ContainerId, Epoch};
use zun_common::rpc::operation::Operation;
use zun_common::status::TaskState;

use crate::host::Host;
use crate::operation_state::OperationState as State;

/// An operation at work.
pub(super) struct Work<'a> {
    pub(super) host: &'a Host,
    pub(super) operation: &'a Operation,
    /// The epoch in which the agent received it.
    pub(super) epoch: Epoch,
    /// The removal of the container was requested.
    pub(super) superseded: &'a CancellationToken,
    pub(super) state: &'a watch::Sender<State>,
    pub(super) place: Place,
    /// A rebuild has begun to replace the container, so it must be finished, and whether the container ran.
    pub(super) replaces_running: Mutex<Option<bool>>,
    /// The new container of a rebuild exists.
    pub(super) has_replaced: AtomicBool,
    /// Docker was asked to start the container, and did not say whether it has.
    pub(super) may_have_started: AtomicBool,
}

/// Where an operation is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Queued, by the container's worker.
    Worker,
    /// Concurrently with the worker's current operation, which is the container's task.
    Concurrent,
}

impl Work<'_> {
    pub(super) const fn container(&self) -> ContainerId {
        self.operation.container
    }

    /// Whether it has changed the engine in part.
    pub(super) fn is_half_done(&self) -> bool {
        self.replaces_running().is_some()
    }

    /// Whether the container ran that a rebuild has begun to replace; `None` if this agent has begun none.
    pub(super) fn replaces_running(&self) -> Option<bool> {
        *self.replaces_running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A rebuild begins to replace the container.
    pub(super) fn begin_to_replace(&self, is_running: bool) {
        let mut replaces = self.replaces_running.lock().unwrap_or_else(PoisonError::into_inner);
        *replaces = Some(is_running);
    }

    /// Waits until the agent is registered. Returns whether it still has the epoch in which it received the operation.
    /// If not, another agent may have carried out the operation.
    pub(super) async fn is_current(&self) -> bool {
        self.host.control.registered().await == self.epoch
    }

    /// The operation fits, and the engine works on it from now on. Reports the task state.
    pub(super) fn begin(&self, task: TaskState) {
        if self.place == Place::Worker {
            self.host.reports.begin(self.container(), task);
        }
        self.mark_begun();
    }

    /// The operation fits. Nothing changes before this.
    pub(super) fn mark_begun(&self) {
        self.state.send_if_modified(|state| {
            let is_queued = *state == State::Queued;
            if is_queued {
                *state = State::Begun;
            }
            is_queued
        });
    }
}
