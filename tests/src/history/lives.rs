//! One container: it is created once, and once deleted it never shows up again.

use std::collections::{BTreeMap, BTreeSet};

use zun_common::id::ContainerId;

use super::search::{Model, Timed, Verdict, search};
use super::{Answer, Call, Kind, Request, Violation};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Unborn,
    Alive,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Create,
    Delete,
    /// The answer shows that it exists.
    Present,
    /// The answer shows that it does not exist.
    Absent,
}

struct Life;

impl Model for Life {
    type State = State;
    type Operation = Operation;

    fn start() -> State {
        State::Unborn
    }

    fn perform(operation: &Operation, state: &State) -> Option<State> {
        match (operation, state) {
            (Operation::Create, State::Unborn) | (Operation::Present, State::Alive) => {
                Some(State::Alive)
            }
            (Operation::Delete, State::Alive) | (Operation::Absent, State::Gone) => {
                Some(State::Gone)
            }
            (Operation::Absent, State::Unborn) => Some(State::Unborn),
            (Operation::Create, State::Alive | State::Gone)
            | (Operation::Delete | Operation::Present, State::Unborn | State::Gone)
            | (Operation::Absent, State::Alive) => None,
        }
    }

    fn reads(operation: &Operation) -> bool {
        matches!(operation, Operation::Present | Operation::Absent)
    }
}

#[derive(Default)]
struct Lives {
    operations: BTreeMap<ContainerId, Vec<Timed<Operation>>>,
}

/// Checks each container.
pub(super) fn check(requests: &[Request]) -> Vec<Violation> {
    let ids: BTreeSet<ContainerId> = requests.iter().flat_map(ids).collect();
    let mut split = Lives::default();
    for request in requests {
        split.add(request, &ids);
    }
    let judge = |(id, operations): (&ContainerId, &Vec<_>)| {
        violation(id, operations, search::<Life>(operations))
    };
    split.operations.iter().filter_map(judge).collect()
}

fn ids(request: &Request) -> Vec<ContainerId> {
    let mut ids = match &request.call {
        Call::Delete { id } | Call::Rename { id, .. } | Call::Act { id } | Call::Show { id } => {
            vec![*id]
        }
        Call::Create { .. } | Call::Find { .. } | Call::List => Vec::new(),
    };
    match &request.answer {
        Answer::Created(id) | Answer::Found { id, .. } | Answer::Unknown { created: Some(id) } => {
            ids.push(*id);
        }
        Answer::Listed(list) => ids.extend(list.keys()),
        Answer::Done
        | Answer::NameTaken
        | Answer::NotFound
        | Answer::WrongStatus
        | Answer::Refused
        | Answer::Unknown { created: None } => {}
    }
    ids
}

impl Lives {
    fn add(&mut self, request: &Request, ids: &BTreeSet<ContainerId>) {
        match (&request.call, &request.answer) {
            (Call::List, Answer::Listed(list)) => {
                for id in ids {
                    let there = list.contains_key(id);
                    let operation = if there { Operation::Present } else { Operation::Absent };
                    self.push(request, *id, operation);
                }
            }
            (Call::Create { .. }, Answer::Created(id) | Answer::Unknown { created: Some(id) }) => {
                self.push(request, *id, Operation::Create);
            }
            (Call::Delete { id }, Answer::Done | Answer::Unknown { .. }) => {
                self.push(request, *id, Operation::Delete);
            }
            (Call::Show { .. } | Call::Find { .. }, Answer::Found { id, .. })
            | (
                Call::Rename { id, .. } | Call::Act { id } | Call::Delete { id },
                Answer::Done | Answer::WrongStatus | Answer::NameTaken,
            ) => self.push(request, *id, Operation::Present),
            (
                Call::Delete { id }
                | Call::Rename { id, .. }
                | Call::Act { id }
                | Call::Show { id },
                Answer::NotFound,
            ) => self.push(request, *id, Operation::Absent),
            // The other answers say nothing about a known container.
            (
                Call::Create { .. }
                | Call::Delete { .. }
                | Call::Rename { .. }
                | Call::Act { .. }
                | Call::Show { .. }
                | Call::Find { .. }
                | Call::List,
                _,
            ) => {}
        }
    }

    fn push(&mut self, request: &Request, id: ContainerId, operation: Operation) {
        let Request { entry, called, answered, .. } = *request;
        if answered.is_some() || !Life::reads(&operation) {
            let timed = Timed { entry, called, answered, operation };
            self.operations.entry(id).or_default().push(timed);
        }
    }
}

fn violation(
    id: &ContainerId,
    operations: &[Timed<Operation>],
    verdict: Verdict<State>,
) -> Option<Violation> {
    let about = format!("container {id}");
    let (entry, at, states) = match verdict {
        Verdict::Explained => return None,
        Verdict::Undecided { entry, at } => {
            let words = "too many possible orders".to_owned();
            return Some(Violation { kind: Kind::Undecided, at, entry, about, words });
        }
        Verdict::Unexplained { entry, at, states } => (entry, at, states),
    };
    let operation = operations.iter().find(|one| one.entry == entry)?.operation;
    let unborn = states.contains(&State::Unborn);
    let kind = match operation {
        Operation::Create => Kind::NameDoubled,
        Operation::Delete | Operation::Present if unborn => Kind::FromNowhere,
        Operation::Delete => Kind::DeletedTwice,
        Operation::Present => Kind::Resurrected,
        Operation::Absent => Kind::Lost,
    };
    let words = format!("{operation:?} does not fit any possible state: {states:?}");
    Some(Violation { kind, at, entry, about, words })
}
