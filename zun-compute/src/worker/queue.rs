//! The queues of operations, one for each container. Pure: the worker of a container takes its operations in their
//! order.
//!
//! ```text
//!  submit ──known?──> its state so far
//!     ├──number missing?──> Gap: the agent asks zun-api for all open operations
//!     ├──full?──> Full
//!     ├──signal during a stop?──> Beside: carried out at once
//!     └──> queue ──next──> worker ──> Ended ──report acknowledged──> Acknowledged ──2 min──> forgotten
//! ```

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zun_common::id::{ContainerId, Epoch, OperationId};
use zun_common::rpc::operation::{Change, Operation, Outcome};
use zun_common::rpc::{Code, Problem};

use crate::operation_state::{Ended, OperationState as State};

/// How long an acknowledged operation is remembered. A reply of zun-api that still lists it as open arrives long before.
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
    Beside(Job, watch::Receiver<State>),
    /// An earlier operation of the container is missing. Only for operations that arrive alone.
    Gap,
    /// Too many operations of the container are waiting.
    Full,
    /// It was carried out or closed before: a list that contained its number, if it was open, has arrived since.
    Passed,
    /// Like `Passed`, but a list has it as open again: the database was restored from an older copy, and gets its outcome
    /// again. That is unknown if it is forgotten and the operation may only be carried out once. Only for operations of
    /// lists.
    Closed(Ended),
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
    /// Whether it waits for the end of the container's process, as long as its client has requested.
    awaits_end: bool,
}

impl Queue {
    /// Whether an operation is carried out beside the running one: a signal is for the process whose end that one awaits.
    fn is_beside(&self, change: &Change) -> bool {
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
}

impl Known {
    const fn new(sequence: i64, state: watch::Receiver<State>) -> Self {
        Self { sequence, state, acknowledged: None, is_earlier: false }
    }

    /// Returns the outcome if zun-api has acknowledged it in an earlier epoch.
    fn earlier_outcome(&self) -> Option<Outcome> {
        match &*self.state.borrow() {
            State::Acknowledged(outcome) if self.is_earlier => Some(outcome.clone()),
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
        }
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

    /// An operation that is refused because the queue is full is not carried out if a list contains it a moment later:
    /// the answer asks its client to try again.
    fn remember_refusal(&mut self, id: OperationId, sequence: i64) {
        let words = "Too many operations of the container are waiting.";
        let refused = State::Acknowledged(Outcome::Failed(Problem::new(Code::Busy, words)));
        let (_, state) = watch::channel(refused);
        self.known.insert(id, Known::new(sequence, state));
    }

    /// An operation whose outcome zun-api has forgotten.
    fn close(&mut self, operation: &Operation, outcome: Outcome) -> Submitted {
        let (id, sequence) = (operation.id, operation.sequence);
        let (sender, state) = watch::channel(State::Ended(outcome.clone()));
        self.known.insert(id, Known::new(sequence, state));
        Submitted::Closed(Ended { operation: id, outcome, state: sender })
    }

    /// Queues an operation of a list, unless it is known. Those before it that are open are in the list.
    pub(super) fn submit_listed(&mut self, operation: Operation) -> Submitted {
        if let Some(known) = self.known.get(&operation.id) {
            return match known.earlier_outcome() {
                Some(outcome) => self.close(&operation, outcome),
                None => Submitted::Waiting(known.state.clone()),
            };
        }
        if operation.change.is_once() && operation.sequence <= self.complete_to {
            return self.close(&operation, Outcome::Unknown);
        }
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
        if queue.is_beside(&job.operation.change) {
            return Submitted::Beside(job, receiver);
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

    /// All open operations up to this number were submitted. Forgets operations that can no longer be listed, except by
    /// a database that was restored.
    pub(super) fn complete(&mut self, complete_to: i64, now: Instant) {
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

    /// A new epoch begins: numbers of earlier ones prove nothing. Another agent may have carried out what waits, so it
    /// is dropped. What is still open comes again with the next list.
    pub(super) fn restart(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.complete_to = 0;
        self.last.clear();
        self.known.values_mut().for_each(|known| known.is_earlier = true);
        for queue in self.by_container.values_mut() {
            for job in queue.waiting.drain(..) {
                self.known.remove(&job.operation.id);
                job.state.send_replace(State::Abandoned);
            }
        }
    }

    /// An operation was abandoned. If it is still open, it comes again with the next list.
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
    Outcome::Failed(Problem::new(Code::Conflict, "The removal was requested."))
}

#[cfg(test)]
mod tests {
    use zun_common::id::RequestId;
    use zun_common::rpc::container::Removal;

    use super::*;

    fn operation(container: ContainerId, sequence: i64, previous: Option<i64>) -> Operation {
        Operation {
            id: OperationId::random(),
            sequence,
            previous,
            container,
            request: RequestId::random(),
            not_after: None,
            again: false,
            change: Change::Pause,
        }
    }

    fn delete(container: ContainerId, sequence: i64) -> Operation {
        let change = Change::Delete { how: Removal::Force };
        Operation { change, ..operation(container, sequence, None) }
    }

    #[test]
    fn operations_are_taken_in_order_and_each_only_once() {
        let (mut queues, container) = (Queues::new(8), ContainerId::random());
        let [first, second] = [operation(container, 1, None), operation(container, 2, Some(1))];
        assert!(matches!(queues.submit(first.clone()), Submitted::First(_)));
        assert!(matches!(queues.submit(second.clone()), Submitted::Waiting(_)));
        assert!(matches!(queues.submit(first.clone()), Submitted::Waiting(_)));
        let taken = [queues.next(container), queues.next(container)];
        let taken: Vec<_> = taken.into_iter().flatten().map(|job| job.operation.id).collect();
        assert_eq!(taken, [first.id, second.id]);
        assert!(queues.next(container).is_none());
        assert!(!queues.is_busy(container));
    }

    #[test]
    fn a_signal_does_not_wait_for_a_stop_unless_something_else_does() {
        let (mut queues, container) = (Queues::new(8), ContainerId::random());
        let signal = Change::Kill { signal: "SIGKILL".to_owned() };
        let kill = |sequence| Operation {
            change: signal.clone(),
            ..operation(container, sequence, Some(sequence - 1))
        };
        let stop =
            Operation { change: Change::Stop { grace: None }, ..operation(container, 1, None) };
        assert!(matches!(queues.submit(stop), Submitted::First(_)));
        queues.next(container).expect("the stop");
        let first = kill(2);
        assert!(matches!(queues.submit(first.clone()), Submitted::Beside(..)));
        assert!(matches!(queues.submit(first), Submitted::Waiting(_)), "each only once");
        assert!(matches!(queues.submit(operation(container, 3, Some(2))), Submitted::Waiting(_)));
        assert!(matches!(queues.submit(kill(4)), Submitted::Waiting(_)), "after the pause");
        queues.next(container).expect("the pause");
        queues.next(container).expect("the second signal");
        assert!(matches!(queues.submit(kill(5)), Submitted::Waiting(_)), "after the signal");
    }

    #[test]
    fn an_operation_whose_predecessor_is_missing_waits_for_the_list_of_open_ones() {
        let (mut queues, container) = (Queues::new(8), ContainerId::random());
        let [first, second] = [operation(container, 4, None), operation(container, 7, Some(4))];
        assert!(matches!(queues.submit(second.clone()), Submitted::Gap));
        assert!(matches!(queues.submit(first), Submitted::First(_)));
        assert!(matches!(queues.submit(second), Submitted::Waiting(_)));
        let other = operation(ContainerId::random(), 9, Some(7));
        assert!(matches!(queues.submit(other.clone()), Submitted::Gap));
        queues.complete(8, Instant::now());
        assert!(matches!(queues.submit(other), Submitted::First(_)), "7 has ended before");
    }

    #[test]
    fn an_operation_that_was_passed_is_not_carried_out() {
        let (mut queues, container) = (Queues::new(8), ContainerId::random());
        queues.complete(11, Instant::now());
        assert!(matches!(queues.submit(operation(container, 10, None)), Submitted::Passed));
        assert!(matches!(queues.submit(operation(container, 12, Some(10))), Submitted::First(_)));
        assert!(matches!(queues.submit(operation(container, 12, Some(10))), Submitted::Passed));
        // One in a list is open.
        let listed = operation(ContainerId::random(), 9, None);
        assert!(matches!(queues.submit_listed(listed), Submitted::First(_)));
    }

    #[test]
    fn an_operation_that_a_full_queue_refused_is_not_carried_out_when_it_is_listed() {
        let (mut queues, container) = (Queues::new(1), ContainerId::random());
        assert!(matches!(queues.submit(operation(container, 1, None)), Submitted::First(_)));
        let refused = operation(container, 2, Some(1));
        assert!(matches!(queues.submit(refused.clone()), Submitted::Full));
        queues.next(container).expect("the first");
        assert!(matches!(queues.submit_listed(refused), Submitted::Waiting(_)));
        assert!(queues.next(container).is_none(), "only the first was queued");
    }

    #[test]
    fn what_waits_when_a_new_epoch_begins_is_dropped_until_it_is_listed_again() {
        let (mut queues, container) = (Queues::new(8), ContainerId::random());
        queues.restart(Epoch(1));
        let [first, second] = [operation(container, 1, None), operation(container, 2, Some(1))];
        queues.submit(first);
        let running = queues.next(container).expect("the first");
        assert_eq!(running.epoch, Epoch(1));
        let Submitted::Waiting(waiting) = queues.submit(second.clone()) else {
            panic!("it waits");
        };
        queues.restart(Epoch(2));
        assert_eq!(*waiting.borrow(), State::Abandoned);
        assert!(matches!(queues.submit_listed(second), Submitted::Waiting(_)));
        assert_eq!(queues.next(container).expect("the second").epoch, Epoch(2));
        assert!(queues.next(container).is_none());
    }

    #[test]
    fn a_full_queue_still_takes_a_removal_which_ends_what_waits() {
        let (mut queues, container) = (Queues::new(1), ContainerId::random());
        assert!(matches!(queues.submit(operation(container, 1, None)), Submitted::First(_)));
        let running = queues.next(container).expect("the first");
        let Submitted::Waiting(waiting) = queues.submit(operation(container, 2, None)) else {
            panic!("it waits");
        };
        assert!(matches!(queues.submit(operation(container, 3, None)), Submitted::Full));
        let removal = delete(container, 4);
        assert!(matches!(queues.submit(removal.clone()), Submitted::Waiting(_)));
        assert!(running.superseded.is_cancelled());
        assert_eq!(*waiting.borrow(), State::Acknowledged(superseded()));
        assert_eq!(queues.next(container).expect("the removal").operation.id, removal.id);
    }

    #[test]
    fn an_operation_that_may_be_done_once_is_unknown_if_a_list_has_it_again_after_its_end() {
        let (mut queues, container) = (Queues::new(8), ContainerId::random());
        let signal = Change::Kill { signal: "SIGHUP".to_owned() };
        let kill = Operation { change: signal, ..operation(container, 3, None) };
        assert!(matches!(queues.submit_listed(kill.clone()), Submitted::First(_)));
        let job = queues.next(container).expect("it");
        assert!(queues.next(container).is_none());
        job.state.send_replace(State::Acknowledged(Outcome::Succeeded));
        let now = Instant::now();
        queues.complete(3, now);
        queues.complete(3, now + REMEMBERED);
        let Submitted::Closed(ended) = queues.submit_listed(kill.clone()) else {
            panic!("it is carried out again");
        };
        assert_eq!((ended.operation, &ended.outcome), (kill.id, &Outcome::Unknown));
        assert!(matches!(queues.submit_listed(kill.clone()), Submitted::Waiting(_)), "once");
        // Another epoch begins: zun-api has closed what its agents may have received.
        queues.restart(Epoch(2));
        let next = Operation { id: OperationId::random(), ..kill };
        assert!(matches!(queues.submit_listed(next), Submitted::First(_)));
    }

    #[test]
    fn an_acknowledged_outcome_is_told_again_if_a_later_epoch_has_the_operation_as_open() {
        let (mut queues, container) = (Queues::new(8), ContainerId::random());
        queues.restart(Epoch(1));
        let pause = operation(container, 3, None);
        assert!(matches!(queues.submit(pause.clone()), Submitted::First(_)));
        let job = queues.next(container).expect("it");
        assert!(queues.next(container).is_none());
        job.state.send_replace(State::Acknowledged(Outcome::Succeeded));
        assert!(
            matches!(queues.submit_listed(pause.clone()), Submitted::Waiting(_)),
            "a late list"
        );
        queues.restart(Epoch(2));
        assert!(matches!(queues.submit(pause.clone()), Submitted::Waiting(_)), "a late message");
        let Submitted::Closed(ended) = queues.submit_listed(pause.clone()) else {
            panic!("zun-api never gets the outcome");
        };
        assert_eq!((ended.operation, &ended.outcome), (pause.id, &Outcome::Succeeded));
        assert!(matches!(queues.submit_listed(pause), Submitted::Waiting(_)), "once");
        assert!(!queues.is_busy(container));
    }

    #[test]
    fn an_operation_is_forgotten_two_minutes_after_it_was_acknowledged() {
        let (mut queues, container) = (Queues::new(8), ContainerId::random());
        let first = operation(container, 1, None);
        assert!(matches!(queues.submit(first.clone()), Submitted::First(_)));
        let job = queues.next(container).expect("it");
        assert!(queues.next(container).is_none());
        let now = Instant::now();
        queues.complete(1, now + REMEMBERED * 2);
        assert!(matches!(queues.submit(first.clone()), Submitted::Waiting(_)), "not acknowledged");
        job.state.send_replace(State::Acknowledged(Outcome::Succeeded));
        queues.complete(1, now);
        queues.complete(1, now + REMEMBERED / 2);
        assert!(matches!(queues.submit(first.clone()), Submitted::Waiting(_)), "still remembered");
        queues.complete(1, now + REMEMBERED);
        assert!(matches!(queues.submit(first), Submitted::Passed));
    }
}
