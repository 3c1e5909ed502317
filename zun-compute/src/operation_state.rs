//! The state of an operation on this host, from its arrival until zun-api has stored its outcome.

use tokio::sync::watch;
use zun_common::id::OperationId;
use zun_common::rpc::operation::{OperationOutcome, Outcome};

/// The state of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OperationState {
    /// It waits for earlier operations of its container.
    Queued,
    /// It has begun: the container's state allows it.
    Begun,
    /// It has ended. zun-api may not know yet.
    Ended(Outcome),
    /// zun-api has stored the outcome.
    Acknowledged(Outcome),
    /// The agent shut down before it ended. The next agent carries it out.
    Abandoned,
}

/// An operation that has ended, until zun-api has stored its outcome.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) operation: OperationId,
    pub(crate) outcome: Outcome,
    /// Whether it is a rebuild that failed after the new container had replaced the old one.
    pub(crate) has_replaced: bool,
    pub(crate) state: watch::Sender<OperationState>,
}

impl Ended {
    /// The form on the bus.
    pub(crate) fn message(&self) -> OperationOutcome {
        let (operation, has_replaced) = (self.operation, self.has_replaced);
        OperationOutcome { operation, outcome: self.outcome.clone(), has_replaced }
    }

    /// zun-api has stored the outcome.
    pub(crate) fn acknowledge(self) {
        self.state.send_replace(OperationState::Acknowledged(self.outcome));
    }
}
