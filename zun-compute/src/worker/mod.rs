//! One worker a container: commands on one never overlap, and are done in the order of their acceptance.
//!
//! ```text
//!  accept ──look──> table ──> mailbox ──> worker: begin (task state) ──> engine ──> finish (truth)
//!     └── reply at once                                                               └── acknowledged
//! ```

mod accept;
mod command;
mod create;
mod gates;
mod mailbox;
mod perform;
mod progress;
mod run;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use zun_common::bus::Accepted;
use zun_common::id::ContainerId;
use zun_common::rpc::container::Removal;
use zun_common::rpc::{Code, Problem};
use zun_common::shutdown::Tasks;
use zun_common::status::Status;

use crate::driver::DriverError;
use crate::host::Host;
use accept::{Kind, Presence, Refusal};
use command::Job;
use gates::Gates;
use mailbox::{Mailboxes, Posted};
use perform::{Work, perform};

pub(crate) use command::{Command, Origin};

/// The workers of a host. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Workers {
    host: Arc<Host>,
    boxes: Arc<Mailboxes>,
    gates: Arc<Gates>,
    tasks: Tasks,
    /// The time to drain is over: what is not done is left undone.
    cut_off: CancellationToken,
}

impl Workers {
    pub(crate) fn new(host: Arc<Host>) -> Self {
        let boxes = Arc::new(Mailboxes::new(host.limits.mailbox));
        let (gates, tasks) = (Arc::default(), Tasks::new());
        Self { host, boxes, gates, tasks, cut_off: CancellationToken::new() }
    }

    /// Something is done to it or waits.
    pub(crate) fn is_busy(&self, container: ContainerId) -> bool {
        self.boxes.is_busy(container)
    }

    /// Accepts a command, or says why not. Where the work is cut off at shutdown, it never ends, so that
    /// the command is delivered again.
    pub(crate) async fn accept(
        &self,
        container: ContainerId,
        command: Command,
        origin: Origin,
    ) -> Result<Accepted, Problem> {
        let kind = command.kind();
        let _turn = self.gates.pass(container).await;
        if matches!(kind, Kind::Create { .. }) && self.host.reports.is_removed(container) {
            return Err(problem(container, kind, Refusal::Conflict(Status::Deleted)));
        }
        let (done, is_done) = oneshot::channel();
        let mut job = Job { command, origin, given_up: CancellationToken::new(), done };
        loop {
            let found = self.found(container, kind).await?;
            if self.tasks.is_cancelled() {
                let words = format!("host {} is shutting down", self.host.name);
                return Err(Problem::new(Code::Closing, words));
            }
            match self.boxes.post(container, found, job) {
                Ok(Posted::Begin) => break self.tasks.spawn(self.clone().work(container)),
                Ok(Posted::Behind) => break,
                Ok(Posted::LookFirst(unposted)) => job = unposted,
                Err(refusal) => return Err(problem(container, kind, refusal)),
            }
        }
        let work = async move {
            if is_done.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        Ok(Accepted { work: Box::pin(work) })
    }

    /// Waits until all accepted work is done, and then cuts off what is not. Says whether all was done.
    pub(crate) async fn drain(&self, within: Duration) -> bool {
        let drained = self.tasks.finish(within).await;
        self.abandon();
        drained
    }

    /// Accepts no more and leaves undone what is not done.
    pub(crate) fn abandon(&self) {
        self.tasks.cancel();
        self.cut_off.cancel();
    }

    /// How the engine has it; `None` where something is queued, since then the queue says how it will be.
    async fn found(&self, container: ContainerId, kind: Kind) -> Result<Option<Presence>, Problem> {
        if self.boxes.is_busy(container) {
            return Ok(None);
        }
        match self.host.inspect(container).await {
            Ok(seen) => Ok(Some(Presence::Is(seen.status))),
            Err(DriverError::NoContainer(_)) => Ok(Some(Presence::Absent)),
            Err(_stuck) if kind == Kind::Remove(Removal::Force) => {
                Ok(Some(Presence::Is(Status::Unknown)))
            }
            Err(error) => Err(error.problem()),
        }
    }

    async fn work(self, container: ContainerId) {
        let mut presence = None;
        while let Some(Job { command, origin, given_up, done }) =
            self.boxes.next(container, presence)
        {
            let work = Work { host: &self.host, container, origin: &origin, given_up: &given_up };
            let performed = AssertUnwindSafe(perform(&work, &command)).catch_unwind();
            let outcome = tokio::select! {
                biased;
                () = self.cut_off.cancelled() => return,
                outcome = performed => outcome,
            };
            presence = match outcome {
                Ok(presence) => presence,
                Err(_panic) => perform::panicked(&self.host, container).await,
            };
            if done.send(()).is_err() {
                tracing::debug!(container.id = %container, "nobody waits for the end of this work");
            }
        }
    }
}

fn problem(container: ContainerId, kind: Kind, refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Full => {
            let words = format!(
                "Too many commands are waiting for container {container}; try again in a second"
            );
            Problem::new(Code::Busy, words)
        }
        Refusal::Absent => {
            Problem::new(Code::NotFound, DriverError::NoContainer(container).to_string())
        }
        Refusal::Conflict(status) => conflict(container, kind.word(), status),
    }
}

/// What is said where something is asked in the wrong state; the words are Zun's.
pub(crate) fn conflict(container: ContainerId, action: &str, status: Status) -> Problem {
    let words = format!("Cannot {action} container {container} in {status} state.");
    Problem::new(Code::Conflict, words)
}
