//! An operation in progress, and what its steps need.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zun_common::id::{ContainerId, Epoch};
use zun_common::rpc::operation::Operation;
use zun_common::status::TaskState;

use crate::host::Host;
use crate::operation_state::OperationState as State;

/// An operation in progress.
pub(super) struct Work<'a> {
    pub(super) host: &'a Host,
    pub(super) operation: &'a Operation,
    /// The epoch in which the agent received it.
    pub(super) epoch: Epoch,
    /// Cancelled when the removal of the container is requested.
    pub(super) superseded: &'a CancellationToken,
    pub(super) state: &'a watch::Sender<State>,
    pub(super) place: Place,
    /// Set when a rebuild has begun to replace the container, and must be finished: whether the container ran.
    pub(super) replaces_running: Mutex<Option<bool>>,
    /// Whether the new container of a rebuild exists.
    pub(super) has_replaced: AtomicBool,
    /// Whether Docker was asked to start the container, and has not answered.
    pub(super) may_have_started: AtomicBool,
}

/// Which task carries out an operation.
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

    /// Whether it has carried out only a part of its changes in the engine.
    pub(super) fn is_half_done(&self) -> bool {
        self.replaces_running().is_some()
    }

    /// Whether the container ran that a rebuild has begun to replace; `None` if this agent has not begun a replacement.
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

    /// Marks the operation as begun, and reports the task state.
    pub(super) fn begin(&self, task: TaskState) {
        if self.place == Place::Worker {
            self.host.reports.begin(self.container(), task);
        }
        self.mark_begun();
    }

    /// Marks the operation as begun. Nothing is changed before this.
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
