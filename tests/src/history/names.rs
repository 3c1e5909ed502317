//! One name: which container it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use zun_common::id::ContainerId;

use super::search::{Model, Timed, Verdict, search};
use super::{Answer, Call, Kind, Request, Violation};

/// Who holds the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    Container(ContainerId),
    /// A container that no answer names, of the create with this entry.
    Unseen(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    /// A create: the name was free.
    Bind(Holder),
    /// A rename to this name: it was free, or the container's own.
    Rebind(ContainerId),
    /// A delete of a container that had only this name.
    Release(ContainerId),
    /// A delete or rename of a container that may have had another name at that time.
    ReleaseIfHeld(ContainerId),
    /// The name belonged to a container, but not to this one.
    Taken { besides: Option<ContainerId> },
    /// The name belonged to this container.
    Holds(ContainerId),
    /// The name was free.
    Free,
}

struct Name;

impl Model for Name {
    type State = Option<Holder>;
    type Operation = Operation;

    fn start() -> Self::State {
        None
    }

    fn perform(operation: &Operation, state: &Self::State) -> Option<Self::State> {
        let held = |id: &ContainerId| *state == Some(Holder::Container(*id));
        match operation {
            Operation::Bind(holder) => state.is_none().then_some(Some(*holder)),
            Operation::Rebind(id) => {
                (state.is_none() || held(id)).then_some(Some(Holder::Container(*id)))
            }
            Operation::Release(id) => held(id).then_some(None),
            Operation::ReleaseIfHeld(id) => Some(if held(id) { None } else { *state }),
            Operation::Taken { besides } => {
                let other = state.is_some() && !besides.as_ref().is_some_and(held);
                other.then_some(*state)
            }
            Operation::Holds(id) => held(id).then_some(*state),
            Operation::Free => state.is_none().then_some(*state),
        }
    }

    fn reads(operation: &Operation) -> bool {
        match operation {
            Operation::Taken { .. } | Operation::Holds(_) | Operation::Free => true,
            Operation::Bind(_)
            | Operation::Rebind(_)
            | Operation::Release(_)
            | Operation::ReleaseIfHeld(_) => false,
        }
    }
}

/// The sequences of all names.
#[derive(Default)]
struct Names {
    operations: BTreeMap<String, Vec<Timed<Operation>>>,
}

/// Checks each name.
pub(super) fn check(requests: &[Request]) -> Vec<Violation> {
    let names = all(requests);
    let homes = homes(requests);
    let mut split = Names::default();
    for request in requests {
        split.add(request, &names, &homes);
    }
    let mut violations: Vec<Violation> = requests.iter().filter_map(doubled_in_list).collect();
    for (name, operations) in &split.operations {
        violations.extend(violation(name, operations, search::<Name>(operations)));
    }
    violations
}

fn all(requests: &[Request]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for request in requests {
        match (&request.call, &request.answer) {
            (Call::Create { name } | Call::Find { name } | Call::Rename { to: name, .. }, _)
            | (_, Answer::Found { name, .. }) => {
                names.insert(name.clone());
            }
            (_, Answer::Listed(list)) => names.extend(list.values().cloned()),
            (_, _) => {}
        }
    }
    names
}

/// Returns all names that each container may have had.
fn homes(requests: &[Request]) -> BTreeMap<ContainerId, BTreeSet<String>> {
    let mut homes: BTreeMap<ContainerId, BTreeSet<String>> = BTreeMap::new();
    let mut add = |id: &ContainerId, name: &String| {
        homes.entry(*id).or_default().insert(name.clone());
    };
    for request in requests {
        match (&request.call, &request.answer) {
            (
                Call::Create { name },
                Answer::Created(id) | Answer::Unknown { created: Some(id) },
            )
            | (_, Answer::Found { id, name }) => add(id, name),
            (Call::Rename { id, to }, Answer::Done | Answer::Unknown { .. }) => add(id, to),
            (_, Answer::Listed(list)) => list.iter().for_each(|(id, name)| add(id, name)),
            (_, _) => {}
        }
    }
    homes
}

/// Returns the violation if a list shows one name twice.
fn doubled_in_list(request: &Request) -> Option<Violation> {
    let Answer::Listed(list) = &request.answer else { return None };
    let mut seen = BTreeMap::new();
    let doubled = list.iter().find_map(|(id, name)| Some((seen.insert(name, id)?, id, name)));
    let (one, other, name) = doubled?;
    Some(Violation {
        kind: Kind::NameDoubled,
        at: request.answered.unwrap_or_default(),
        entry: request.entry,
        about: name.clone(),
        words: format!("a list shows it for {one} and {other}"),
    })
}

impl Names {
    fn add(
        &mut self,
        request: &Request,
        names: &BTreeSet<String>,
        homes: &BTreeMap<ContainerId, BTreeSet<String>>,
    ) {
        let none = BTreeSet::new();
        let homes = |id: &ContainerId| homes.get(id).unwrap_or(&none);
        match (&request.call, &request.answer) {
            (
                Call::Create { name },
                Answer::Created(id) | Answer::Unknown { created: Some(id) },
            ) => self.push(request, name, Operation::Bind(Holder::Container(*id))),
            (Call::Create { name }, Answer::Unknown { created: None }) => {
                self.push(request, name, Operation::Bind(Holder::Unseen(request.entry)));
            }
            (Call::Create { name }, Answer::NameTaken) => {
                self.push(request, name, Operation::Taken { besides: None });
            }
            (Call::Delete { id }, Answer::Done | Answer::Unknown { .. }) => {
                for name in homes(id) {
                    let only = homes(id).len() == 1;
                    let operation =
                        if only { Operation::Release } else { Operation::ReleaseIfHeld };
                    self.push(request, name, operation(*id));
                }
            }
            (Call::Rename { id, to }, Answer::Done | Answer::Unknown { .. }) => {
                for name in homes(id) {
                    let operation =
                        if name == to { Operation::Rebind } else { Operation::ReleaseIfHeld };
                    self.push(request, name, operation(*id));
                }
            }
            (Call::Rename { id, to }, Answer::NameTaken) => {
                self.push(request, to, Operation::Taken { besides: Some(*id) });
            }
            (Call::Show { .. } | Call::Find { .. }, Answer::Found { id, name }) => {
                self.push(request, name, Operation::Holds(*id));
            }
            (Call::Find { name }, Answer::NotFound) => self.push(request, name, Operation::Free),
            (Call::List, Answer::Listed(list)) => {
                let held: BTreeMap<&String, &ContainerId> =
                    list.iter().map(|(id, name)| (name, id)).collect();
                for name in names {
                    let holds = held.get(name).map(|id| Operation::Holds(**id));
                    self.push(request, name, holds.unwrap_or(Operation::Free));
                }
            }
            // The other answers say nothing about a name.
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

    fn push(&mut self, request: &Request, name: &str, operation: Operation) {
        let Request { entry, called, answered, .. } = *request;
        if answered.is_some() || !Name::reads(&operation) {
            let timed = Timed { entry, called, answered, operation };
            self.operations.entry(name.to_owned()).or_default().push(timed);
        }
    }
}

fn violation(
    name: &str,
    operations: &[Timed<Operation>],
    verdict: Verdict<Option<Holder>>,
) -> Option<Violation> {
    let (entry, at, states) = match verdict {
        Verdict::Explained => return None,
        Verdict::Undecided { entry, at } => {
            let (about, words) = (name.to_owned(), "too many possible orders".to_owned());
            return Some(Violation { kind: Kind::Undecided, at, entry, about, words });
        }
        Verdict::Unexplained { entry, at, states } => (entry, at, states),
    };
    let operation = operations.iter().find(|one| one.entry == entry)?.operation;
    let held = states.iter().any(Option::is_some);
    let kind = match operation {
        Operation::Bind(_) | Operation::Rebind(_) => Kind::NameDoubled,
        Operation::Holds(_) | Operation::Release(_) | Operation::ReleaseIfHeld(_) if held => {
            Kind::NameDoubled
        }
        Operation::Holds(_) => Kind::Resurrected,
        Operation::Release(_) | Operation::ReleaseIfHeld(_) => Kind::DeletedTwice,
        Operation::Taken { .. } => Kind::NameNotFree,
        Operation::Free => Kind::Lost,
    };
    let words = format!("{operation:?} does not fit any possible state: {states:?}");
    Some(Violation { kind, at, entry, about: format!("name {name}"), words })
}
