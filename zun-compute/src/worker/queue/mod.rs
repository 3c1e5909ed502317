//! The queues of operations, one for each container. Pure: the worker of a container takes its operations in their
//! order.
//!
//! ```text
//!  submit ──known?──> its state so far
//!     ├──number missing?──> Gap: the agent asks zun-api for all open operations
//!     ├──full?──> Full
//!     ├──signal during a stop?──> Concurrent: carried out at once
//!     └──> queue ──next──> worker ──> Ended ──report acknowledged──> Acknowledged ──2 min──> forgotten
//! ```

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zun_common::id::{ContainerId, Epoch, OperationId};
use zun_common::rpc::operation::{Change, Operation, Outcome};
use zun_common::rpc::{Code, Problem};

use crate::operation_state::{Ended, OperationState as State};

/// How long an acknowledged operation is remembered. A reply of zun-api that still lists it as open arrives long
/// before.
const REMEMBERED: Duration = Duration::from_mins(2);

/// An operation in a queue, or with its worker.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) operation: Operation,
    /// The epoch in which the agent received it.
    pub(super) epoch: Epoch,
    pub(super) state: watch::Sender<State>,
    /// Cancelled when the container's removal is submitted.
    pub(super) superseded: CancellationToken,
}

/// What became of a submitted operation.
#[derive(Debug)]
pub(super) enum Submitted {
    /// It is queued, and a worker must be started for its container.
    First(watch::Receiver<State>),
    /// It is queued behind others, or was submitted before.
    Waiting(watch::Receiver<State>),
    /// It does not wait for the operation that the worker carries out, and must be carried out now.
    Concurrent(Job, watch::Receiver<State>),
    /// An earlier operation of the container is missing. Only for operations that arrive alone.
    Gap,
    /// Too many operations of the container are waiting.
    Full,
    /// It was carried out or closed before: a list has arrived since that would contain it if it were still open.
    Passed,
    /// Like `Passed`, but a list contains it as open again: the database was restored from an older copy, and gets the
    /// outcome again. The outcome is unknown if it was forgotten and the operation may only be carried out once. Only
    /// for operations of lists.
    Closed(Ended),
    /// It was refused when it arrived alone, and zun-api has not received that answer. Only for operations of lists.
    Refused(Ended),
}

/// The end of a page of the list of open operations.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageEnd {
    /// All open operations of the page were listed up to this number.
    pub(super) complete_to: i64,
    /// Whether another page follows.
    pub(super) has_more: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Job>,
    running: Option<Running>,
}

/// The operation that the worker carries out.
#[derive(Debug)]
struct Running {
    superseded: CancellationToken,
    /// Whether it waits for the end of the container's process, for as long as its client has requested.
    awaits_end: bool,
}

impl Queue {
    /// Whether an operation runs concurrently with the current one: a signal during a stop.
    fn is_concurrent(&self, change: &Change) -> bool {
        let awaits_end = self.running.as_ref().is_some_and(|running| running.awaits_end);
        awaits_end && self.waiting.is_empty() && matches!(change, Change::Kill { .. })
    }
}

#[derive(Debug)]
struct Known {
    sequence: i64,
    state: watch::Receiver<State>,
    acknowledged: Option<Instant>,
    /// Whether an epoch has begun since it was submitted.
    is_earlier: bool,
    /// Whether it was refused, because the queue was full.
    is_refused: bool,
}

impl Known {
    const fn new(sequence: i64, state: watch::Receiver<State>) -> Self {
        Self { sequence, state, acknowledged: None, is_earlier: false, is_refused: false }
    }

    /// Returns the outcome if it was reported, but zun-api may not have it: in an earlier epoch, or by a refusal.
    fn outcome_to_repeat(&self) -> Option<Outcome> {
        match &*self.state.borrow() {
            State::Acknowledged(outcome) if self.is_earlier || self.is_refused => {
                Some(outcome.clone())
            }
            State::Queued
            | State::Begun
            | State::Ended(_)
            | State::Acknowledged(_)
            | State::Abandoned => None,
        }
    }
}

/// The queues of all containers.
#[derive(Debug)]
pub(super) struct Queues {
    capacity: usize,
    epoch: Epoch,
    by_container: HashMap<ContainerId, Queue>,
    known: HashMap<OperationId, Known>,
    /// The highest number of each container since the last complete list.
    last: HashMap<ContainerId, i64>,
    /// All open operations up to this number were submitted.
    complete_to: i64,
    /// The last number of the page before, if another one follows.
    listed_to: i64,
    /// Containers whose queue was full in a page before. Their other operations must not overtake the one that was left out.
    full: HashSet<ContainerId>,
}

impl Queues {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            epoch: Epoch(0),
            by_container: HashMap::new(),
            known: HashMap::new(),
            last: HashMap::new(),
            complete_to: 0,
            listed_to: 0,
            full: HashSet::new(),
        }
    }

    /// The number after which the next page of the list begins.
    pub(super) const fn listed_to(&self) -> i64 {
        self.listed_to
    }

    /// A page of the list begins. Returns the containers of the pages before it whose queue was full.
    pub(super) fn begin_page(&mut self) -> HashSet<ContainerId> {
        std::mem::take(&mut self.full)
    }

    /// A page of the list ends, of which these containers had no room for some operations. All that were left out come again
    /// with the next list, which begins after the last page.
    pub(super) fn end_page(&mut self, page: PageEnd, full: HashSet<ContainerId>, now: Instant) {
        let PageEnd { complete_to, has_more } = page;
        self.complete(if full.is_empty() { complete_to } else { 0 }, now);
        (self.listed_to, self.full) =
            if has_more { (complete_to, full) } else { (0, HashSet::new()) };
    }

    pub(super) fn is_busy(&self, container: ContainerId) -> bool {
        self.by_container.contains_key(&container)
    }

    /// Queues an operation that arrived alone, unless it is known or one before it is missing.
    pub(super) fn submit(&mut self, operation: Operation) -> Submitted {
        let last = self.last.get(&operation.container).copied().unwrap_or_default();
        let is_missing = |previous| previous > self.complete_to.max(last);
        if let Some(known) = self.known.get(&operation.id) {
            return Submitted::Waiting(known.state.clone());
        }
        if operation.sequence <= self.complete_to.max(last) {
            return Submitted::Passed;
        }
        if operation.previous.is_some_and(is_missing) {
            return Submitted::Gap;
        }
        let (id, sequence) = (operation.id, operation.sequence);
        let submitted = self.submit_listed(operation);
        if let Submitted::Full = submitted {
            self.remember_refusal(id, sequence);
        }
        submitted
    }

    /// Remembers an operation that was refused because the queue is full. It is not carried out if a list contains it
    /// later, because its client was asked to try again.
    fn remember_refusal(&mut self, id: OperationId, sequence: i64) {
        let words = "Too many operations of the container are waiting.";
        let refused = State::Acknowledged(Outcome::Failed(Problem::new(Code::Busy, words)));
        let (_, state) = watch::channel(refused);
        self.known.insert(id, Known { is_refused: true, ..Known::new(sequence, state) });
    }

    /// Closes an operation whose outcome was reported, but which zun-api does not have. It is reported again.
    fn close(&mut self, operation: &Operation, outcome: Outcome) -> Ended {
        let (id, sequence) = (operation.id, operation.sequence);
        let (sender, state) = watch::channel(State::Ended(outcome.clone()));
        self.known.insert(id, Known::new(sequence, state));
        Ended { operation: id, outcome, has_replaced: false, state: sender }
    }

    /// Queues an operation of a list, unless it is known. Those before it that are open are in the list. One that was listed
    /// before and is forgotten may have been carried out: the database was restored from an older copy.
    pub(super) fn submit_listed(&mut self, mut operation: Operation) -> Submitted {
        if let Some(known) = self.known.get(&operation.id) {
            let is_refused = known.is_refused;
            return match known.outcome_to_repeat() {
                Some(outcome) if is_refused => Submitted::Refused(self.close(&operation, outcome)),
                Some(outcome) => Submitted::Closed(self.close(&operation, outcome)),
                None => Submitted::Waiting(known.state.clone()),
            };
        }
        if operation.change.is_once() && operation.sequence <= self.complete_to {
            return Submitted::Closed(self.close(&operation, Outcome::Unknown));
        }
        operation.again |= operation.sequence <= self.complete_to;
        let container = operation.container;
        let removes = operation.change.removes();
        let depth = self.by_container.get(&container).map_or(0, |queue| queue.waiting.len());
        if depth >= self.capacity && !removes {
            return Submitted::Full;
        }
        if removes {
            self.supersede(container);
        }
        let last = self.last.entry(container).or_default();
        *last = operation.sequence.max(*last);
        let (state, receiver) = watch::channel(State::Queued);
        let sequence = operation.sequence;
        self.known.insert(operation.id, Known::new(sequence, receiver.clone()));
        let epoch = self.epoch;
        let job = Job { operation, epoch, state, superseded: CancellationToken::new() };
        let is_first = !self.by_container.contains_key(&container);
        let queue = self.by_container.entry(container).or_default();
        if queue.is_concurrent(&job.operation.change) {
            return Submitted::Concurrent(job, receiver);
        }
        queue.waiting.push_back(job);
        if is_first { Submitted::First(receiver) } else { Submitted::Waiting(receiver) }
    }

    /// The next operation of a container. If there is none, its queue is gone and its worker must end.
    pub(super) fn next(&mut self, container: ContainerId) -> Option<Job> {
        let queue = self.by_container.get_mut(&container)?;
        let Some(job) = queue.waiting.pop_front() else {
            self.by_container.remove(&container);
            return None;
        };
        let awaits_end =
            matches!(job.operation.change, Change::Stop { .. } | Change::Reboot { .. });
        queue.running = Some(Running { superseded: job.superseded.clone(), awaits_end });
        Some(job)
    }

    /// Notes that all open operations up to this number were submitted. Forgets operations that only a restored
    /// database could list again.
    fn complete(&mut self, complete_to: i64, now: Instant) {
        self.complete_to = self.complete_to.max(complete_to);
        let complete_to = self.complete_to;
        self.last.retain(|_, last| *last > complete_to);
        self.known.retain(|_, known| {
            let is_over =
                matches!(*known.state.borrow(), State::Acknowledged(_) | State::Abandoned);
            if !is_over || known.sequence > complete_to {
                return true;
            }
            now.duration_since(*known.acknowledged.get_or_insert(now)) < REMEMBERED
        });
    }

    /// Begins a new epoch. Numbers of earlier epochs prove nothing, and another agent may have carried out the queued
    /// operations, so they are dropped. The next list contains those that are still open.
    pub(super) fn restart(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.complete_to = 0;
        self.listed_to = 0;
        self.full.clear();
        self.last.clear();
        self.known.values_mut().for_each(|known| known.is_earlier = true);
        for queue in self.by_container.values_mut() {
            for job in queue.waiting.drain(..) {
                self.known.remove(&job.operation.id);
                job.state.send_replace(State::Abandoned);
            }
        }
    }

    /// Forgets an abandoned operation. If it is still open, the next list contains it.
    pub(super) fn forget(&mut self, operation: OperationId) {
        self.known.remove(&operation);
    }

    /// Ends the operations that wait, and cancels the one that runs: zun-api has closed them.
    fn supersede(&mut self, container: ContainerId) {
        let Some(queue) = self.by_container.get_mut(&container) else { return };
        if let Some(running) = &queue.running {
            running.superseded.cancel();
        }
        queue.waiting.retain(|job| {
            if job.operation.change.removes() {
                return true;
            }
            job.state.send_replace(State::Acknowledged(superseded()));
            false
        });
    }
}

/// The outcome of an operation that the removal of its subject superseded.
pub(super) fn superseded() -> Outcome {
    Outcome::Failed(Problem::new(Code::Conflict, "Canceled, because a removal was requested."))
}
