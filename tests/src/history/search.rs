//! Searches for an order of operations that explains all answers, after Wing and Gong, and Lowe ("Testing for
//! linearizability", 2017): it follows the calls and answers in time, and keeps the set of all configurations that
//! explain the answers so far. An operation takes effect as late as possible, when an answer needs it. A read takes
//! effect as soon as it fits, because it changes nothing.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

/// The number of configurations after which the search gives up.
const MAX_CONFIGURATIONS: usize = 200_000;

/// A sequential object.
pub(super) trait Model {
    /// Its state.
    type State: Clone + Ord + Debug;
    /// What can be done with it, together with the answer.
    type Operation;

    /// Returns the state at the start.
    fn start() -> Self::State;

    /// Performs the operation. None if the answer does not fit this state.
    fn perform(operation: &Self::Operation, state: &Self::State) -> Option<Self::State>;

    /// Whether the operation never changes the state.
    fn reads(operation: &Self::Operation) -> bool;
}

/// An operation with its times.
#[derive(Debug)]
pub(super) struct Timed<O> {
    /// The index of its entry in the history.
    pub(super) entry: usize,
    pub(super) called: Duration,
    /// None if it may take effect later, or never.
    pub(super) answered: Option<Duration>,
    pub(super) operation: O,
}

/// The result of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<S> {
    /// There is an order.
    Explained,
    /// No order explains this answer after those before. `states` are the possible states when it arrived.
    Unexplained { entry: usize, at: Duration, states: BTreeSet<S> },
    /// Too many configurations.
    Undecided { entry: usize, at: Duration },
}

/// A way to explain the answers so far: the state, and those open operations that have taken effect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Configuration<S> {
    state: S,
    done: BTreeSet<usize>,
}

/// A call or an answer. At the same time, calls come first, so that the operations overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Call,
    Answer,
}

struct Search<'a, M: Model> {
    operations: &'a [Timed<M::Operation>],
    open: BTreeSet<usize>,
    configurations: BTreeSet<Configuration<M::State>>,
}

/// Searches for an order. Reads without an answer must be left out.
pub(super) fn search<M: Model>(operations: &[Timed<M::Operation>]) -> Verdict<M::State> {
    let start = Configuration { state: M::start(), done: BTreeSet::new() };
    let mut search =
        Search::<M> { operations, open: BTreeSet::new(), configurations: [start].into() };
    for (at, event, index) in events(operations) {
        let entry = operations[index].entry;
        match event {
            Event::Call => search.call(index),
            Event::Answer => {
                let before = std::mem::take(&mut search.configurations);
                let Some(after) = search.answer(index, &before) else {
                    return Verdict::Undecided { entry, at };
                };
                if after.is_empty() {
                    let states = before.into_iter().map(|one| one.state).collect();
                    return Verdict::Unexplained { entry, at, states };
                }
                search.configurations = after;
            }
        }
    }
    Verdict::Explained
}

fn events<O>(operations: &[Timed<O>]) -> Vec<(Duration, Event, usize)> {
    let calls = operations.iter().enumerate().map(|(index, one)| (one.called, Event::Call, index));
    let answer = |(index, one): (usize, &Timed<O>)| Some((one.answered?, Event::Answer, index));
    let mut events: Vec<_> =
        calls.chain(operations.iter().enumerate().filter_map(answer)).collect();
    events.sort_unstable();
    events
}

impl<M: Model> Search<'_, M> {
    fn call(&mut self, index: usize) {
        self.open.insert(index);
        if M::reads(&self.operations[index].operation) {
            let all = std::mem::take(&mut self.configurations);
            self.configurations = all.into_iter().map(|one| self.with_reads(one)).collect();
        }
    }

    /// Returns the configurations in which the operation has taken effect. None if there are too many.
    fn answer(
        &mut self,
        index: usize,
        before: &BTreeSet<Configuration<M::State>>,
    ) -> Option<BTreeSet<Configuration<M::State>>> {
        let mut after = BTreeSet::new();
        let mut seen = before.clone();
        let mut todo: Vec<_> = before.iter().cloned().collect();
        while let Some(mut one) = todo.pop() {
            if one.done.remove(&index) {
                after.insert(one);
                continue;
            }
            for next in self.steps(&one) {
                if seen.insert(next.clone()) {
                    todo.push(next);
                }
            }
            if seen.len() > MAX_CONFIGURATIONS {
                return None;
            }
        }
        self.open.remove(&index);
        Some(after)
    }

    /// Lets each open operation that can change the state take effect.
    fn steps(&self, from: &Configuration<M::State>) -> Vec<Configuration<M::State>> {
        let step = |index: &usize| {
            let operation = &self.operations[*index].operation;
            if M::reads(operation) || from.done.contains(index) {
                return None;
            }
            let mut next = from.clone();
            next.state = M::perform(operation, &from.state)?;
            next.done.insert(*index);
            Some(self.with_reads(next))
        };
        self.open.iter().filter_map(step).collect()
    }

    /// Lets all open reads that fit the state take effect.
    fn with_reads(&self, mut one: Configuration<M::State>) -> Configuration<M::State> {
        for index in &self.open {
            let operation = &self.operations[*index].operation;
            if M::reads(operation) && M::perform(operation, &one.state).is_some() {
                one.done.insert(*index);
            }
        }
        one
    }
}
