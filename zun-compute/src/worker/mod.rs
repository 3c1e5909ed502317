//! Carries out operations: one worker for each container that has any, so that operations on a container never overlap
//! and keep their order. The exception is a signal during a stop: as with Docker, it does not wait.
//!
//! ```text
//!  nudge, list of open operations ──> queue ──> worker: inspect ──> rules ──> engine ──> report with the outcome
//! ```

mod create;
mod existing;
mod image;
mod perform;
mod published;
mod pull_progress;
mod pulls;
mod queue;
mod rebuild;
mod registry;
mod rules;
mod work;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zun_common::id::{ContainerId, Epoch};
use zun_common::rpc::operation::{Change, OpenOperations, Operation, Outcome};
use zun_common::rpc::{Code, Problem};
use zun_common::shutdown::Tasks;
use zun_common::status::Status;

use crate::host::Host;
use crate::operation_state::{Ended, OperationState as State};
use crate::report::Failure;
use perform::Finished;
pub(crate) use pulls::Pulls;
use queue::{Job, PageEnd, Queues, Submitted};
use rules::action;
use work::{Place, Work};

/// How long the reply to a nudge waits until the operation has begun, or a removal until it is done.
const REPLY_WAIT: Duration = Duration::from_secs(8);
/// How long the reply waits until a signal is sent, if earlier operations of the container take longer.
const SIGNAL_WAIT: Duration = Duration::from_secs(2);

/// The workers of a host. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Workers {
    host: Arc<Host>,
    queues: Arc<Mutex<Queues>>,
    tasks: Tasks,
    /// Cancelled when the time to drain is over: operations that have not ended are left to the next agent.
    cut_off: CancellationToken,
}

impl Workers {
    pub(crate) fn new(host: Arc<Host>) -> Self {
        let queues = Arc::new(Mutex::new(Queues::new(host.limits.queue_length)));
        Self { host, queues, tasks: Tasks::new(), cut_off: CancellationToken::new() }
    }

    /// Whether operations of the container run or wait.
    pub(crate) fn is_busy(&self, container: ContainerId) -> bool {
        self.queues().is_busy(container)
    }

    /// Carries out an operation that zun-api has just accepted. Returns its outcome if it ends at once.
    pub(crate) async fn perform(&self, operation: Operation) -> Result<Option<Outcome>, Problem> {
        let (container, change) = (operation.container, operation.change.clone());
        match self.submit(operation, Queues::submit)? {
            Submitted::First(state)
            | Submitted::Waiting(state)
            | Submitted::Concurrent(_, state) => Ok(reply(state, &change).await),
            Submitted::Gap => {
                self.host.control.pull_now();
                Ok(None)
            }
            Submitted::Full => Ok(Some(Outcome::Failed(full(container)))),
            // A late message. The outcome is stored already.
            Submitted::Passed | Submitted::Closed(_) | Submitted::Refused(_) => Ok(None),
        }
    }

    /// The number after which the next reply to a heartbeat is to list the open operations.
    pub(crate) fn listed_to(&self) -> i64 {
        self.queues().listed_to()
    }

    /// Carries out the open operations that zun-api listed in the reply to a heartbeat.
    pub(crate) fn perform_all(&self, open: OpenOperations) {
        let OpenOperations { now: _, operations, complete_to, has_more, digest: _, interval: _ } =
            open;
        let mut full = self.queues().begin_page();
        for operation in operations {
            let container = operation.container;
            let removes = operation.change.removes();
            let is_about_container = operation.change.is_about_container();
            if full.contains(&container) && !removes {
                continue;
            }
            match self.submit(operation, Queues::submit_listed) {
                Ok(
                    Submitted::First(_)
                    | Submitted::Waiting(_)
                    | Submitted::Concurrent(..)
                    | Submitted::Passed,
                ) => {}
                Ok(Submitted::Gap | Submitted::Full) => {
                    full.insert(container);
                }
                Ok(Submitted::Closed(ended)) => {
                    self.report_again((container, ended), is_about_container);
                }
                Ok(Submitted::Refused(ended)) => {
                    self.host.reports.add_outcome(container, ended);
                }
                Err(_closing) => return,
            }
        }
        self.queues().end_page(PageEnd { complete_to, has_more }, full, Instant::now());
    }

    /// Reports the outcome of an operation that has ended, and the state of its container in Docker: the restored
    /// database has an older state.
    fn report_again(&self, (container, ended): (ContainerId, Ended), is_about_container: bool) {
        tracing::warn!(
            container.id = %container, operation.id = %ended.operation,
            "zun-api lists operation {} as open, but this host has already ended it: zun-api's database was restored from an older copy",
            ended.operation
        );
        self.host.reports.add_outcome(container, ended);
        if !is_about_container {
            return;
        }
        let (host, tasks) = (Arc::clone(&self.host), self.tasks.clone());
        self.tasks.spawn(async move {
            let again = perform::report_again(&host, container);
            tokio::select! {
                () = tasks.cancelled() => {}
                () = again => {}
            }
        });
    }

    /// A new epoch begins. Operations that wait come again with the next list, if they are still open.
    pub(crate) fn restart(&self, epoch: Epoch) {
        self.queues().restart(epoch);
    }

    /// Waits until all operations have ended, then abandons those that have not. Returns whether all have ended.
    pub(crate) async fn drain(&self, within: Duration) -> bool {
        let drained = self.tasks.finish(within).await;
        self.abandon();
        drained
    }

    /// Stops accepting operations, and abandons those that have not ended.
    pub(crate) fn abandon(&self) {
        self.tasks.cancel();
        self.cut_off.cancel();
    }

    fn submit(
        &self,
        operation: Operation,
        submit: fn(&mut Queues, Operation) -> Submitted,
    ) -> Result<Submitted, Problem> {
        let container = operation.container;
        let mut queues = self.queues();
        if self.tasks.is_cancelled() {
            let words = format!("host {} is shutting down", self.host.name);
            return Err(Problem::new(Code::Closing, words));
        }
        self.host.position.received((operation.sequence, operation.id));
        let submitted = submit(&mut queues, operation);
        if let Submitted::First(_) = submitted {
            self.tasks.spawn(self.clone().work(container));
        }
        if let Submitted::Concurrent(job, state) = submitted {
            self.tasks.spawn(self.clone().run_concurrently(job));
            return Ok(Submitted::Waiting(state));
        }
        Ok(submitted)
    }

    async fn work(self, container: ContainerId) {
        loop {
            let Some(job) = self.queues().next(container) else { return };
            if !self.run(job).await {
                return;
            }
        }
    }

    /// Carries out an operation while the container's worker carries out another one, which reports the container's
    /// state.
    async fn run_concurrently(self, job: Job) {
        if let Some((operation, _, ended)) = self.carry_out(job, Place::Concurrent).await {
            self.host.reports.add_outcome(operation.container, ended);
        }
    }

    /// Carries out one operation. Returns `false` if it was abandoned because the agent ends.
    async fn run(&self, job: Job) -> bool {
        let Some((operation, failure, ended)) = self.carry_out(job, Place::Worker).await else {
            return !self.cut_off.is_cancelled();
        };
        let ending = perform::end(&self.host, &operation, (failure, ended));
        if AssertUnwindSafe(ending).catch_unwind().await.is_err() {
            tracing::error!(container.id = %operation.container, "the report of an operation panicked");
        }
        true
    }

    /// `None` if it was abandoned.
    async fn carry_out(
        &self,
        job: Job,
        place: Place,
    ) -> Option<(Operation, Option<Failure>, Ended)> {
        let Job { operation, epoch, state, superseded } = job;
        let work = Work {
            host: &self.host,
            operation: &operation,
            epoch,
            superseded: &superseded,
            state: &state,
            place,
            replaces_running: Mutex::default(),
            has_replaced: AtomicBool::new(false),
            may_have_started: AtomicBool::new(false),
        };
        let began = Instant::now();
        let performing = AssertUnwindSafe(perform::perform(&work)).catch_unwind();
        let finished = tokio::select! {
            biased;
            () = self.cut_off.cancelled() => {
                state.send_replace(State::Abandoned);
                return None;
            }
            finished = performing => finished,
        };
        let Finished { outcome, failure } = match finished {
            Ok(Some(finished)) => finished,
            Ok(None) => {
                self.queues().forget(operation.id);
                state.send_replace(State::Abandoned);
                if place == Place::Worker {
                    self.host.reports.abandoned(operation.container);
                }
                self.host.reconcile_needed.notify_one();
                return None;
            }
            Err(_panic) => perform::panicked(&operation),
        };
        self.host.unanswered.end(operation.id);
        self.host.metrics.count_operation(action(&operation.change), &outcome, began.elapsed());
        state.send_replace(State::Ended(outcome.clone()));
        let has_replaced =
            outcome != Outcome::Succeeded && work.has_replaced.load(Ordering::Relaxed);
        let ended = Ended { operation: operation.id, outcome, has_replaced, state };
        Some((operation, failure, ended))
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until there is something to reply to the nudge: the outcome of a removal after zun-api has stored it, that a
/// signal was sent, or else that the operation has begun or was refused.
async fn reply(mut state: watch::Receiver<State>, change: &Change) -> Option<Outcome> {
    let removes = matches!(change, Change::Delete { .. });
    let signals = matches!(change, Change::Kill { .. } | Change::Update { .. });
    let is_settled = move |state: &State| match state {
        State::Queued => false,
        State::Begun => !removes && !signals,
        State::Ended(_) => !removes,
        State::Acknowledged(_) | State::Abandoned => true,
    };
    let limit = match change {
        Change::Kill { .. } => SIGNAL_WAIT,
        Change::Create { .. }
        | Change::Start { .. }
        | Change::Stop { .. }
        | Change::Reboot { .. }
        | Change::Rebuild { .. }
        | Change::Pause
        | Change::Unpause
        | Change::Update { .. }
        | Change::Delete { .. }
        | Change::PullImage { .. }
        | Change::RemoveImage { .. }
        | Change::RemoveResource { .. } => REPLY_WAIT,
    };
    let settled = tokio::time::timeout(limit, state.wait_for(is_settled)).await;
    let settled = settled.ok()?.ok()?.clone();
    match settled {
        State::Ended(outcome) | State::Acknowledged(outcome) => Some(outcome),
        State::Queued | State::Begun | State::Abandoned => None,
    }
}

fn full(container: ContainerId) -> Problem {
    let words =
        format!("Too many operations are waiting for container {container}; try again in a second");
    Problem::new(Code::Busy, words)
}

/// The problem of an action in the wrong status, with OpenStack Zun's message.
pub(crate) fn conflict(container: ContainerId, action: &str, status: Status) -> Problem {
    let words = format!("Cannot {action} container {container} in {status} state.");
    Problem::new(Code::Conflict, words)
}
