//! Tests of the history checker: histories of a correct service pass, and each kind of fault is found.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use zun_common::id::ContainerId;
use zun_tests::history::{
    Answer, Attempt, Call, Entry, Kind, Outcome, Recorder, Violation, at_most_once, check,
};

/// Time between the effects of two requests.
const TICK: u64 = 1_000;
const NAMES: u8 = 3;

/// One step of a correct service that performs requests one after the other.
#[derive(Debug, Clone)]
struct Step {
    kind: u8,
    name: u8,
    /// Selects a container.
    pick: usize,
    /// How long before its effect the request was sent, and how long after it the answer arrived.
    before: u64,
    after: u64,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    /// Performed, but the answer was lost. `seen`: something later told the client which container it created.
    AnswerLost {
        seen: bool,
    },
    NeverArrived,
    Refused,
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Answered),
        1 => any::<bool>().prop_map(|seen| Fate::AnswerLost { seen }),
        1 => Just(Fate::NeverArrived),
        1 => Just(Fate::Refused),
    ]
}

fn steps(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    let step = (0..9u8, 0..NAMES, any::<prop::sample::Index>(), 0..6 * TICK, 0..6 * TICK, fates());
    let step = step.prop_map(|(kind, name, pick, before, after, fate)| {
        let pick = pick.index(1 << 16);
        Step { kind, name, pick, before, after, fate }
    });
    vec(step, count)
}

/// The correct service: which containers live, and all that ever did.
#[derive(Default)]
struct Service {
    alive: BTreeMap<ContainerId, String>,
    ever: Vec<ContainerId>,
}

impl Service {
    fn holder(&self, name: &str) -> Option<ContainerId> {
        self.alive.iter().find(|(_, of)| *of == name).map(|(id, _)| *id)
    }

    fn call(&self, step: &Step) -> Call {
        let name = format!("n{}", step.name);
        let Some(id) = self.ever.get(step.pick % self.ever.len().max(1)).copied() else {
            return Call::Create { name };
        };
        match step.kind {
            0..=2 => Call::Create { name },
            3 => Call::Delete { id },
            4 => Call::Rename { id, to: name },
            5 => Call::Act { id },
            6 => Call::Show { id },
            7 => Call::Find { name },
            _ => Call::List,
        }
    }

    fn perform(&mut self, call: &Call) -> Answer {
        match call {
            Call::Create { name } if self.holder(name).is_some() => Answer::NameTaken,
            Call::Create { name } => {
                let id = ContainerId::random();
                self.alive.insert(id, name.clone());
                self.ever.push(id);
                Answer::Created(id)
            }
            Call::Find { name } => match self.holder(name) {
                Some(id) => Answer::Found { id, name: name.clone() },
                None => Answer::NotFound,
            },
            Call::List => Answer::Listed(self.alive.clone()),
            Call::Delete { id } => {
                self.alive.remove(id).map_or(Answer::NotFound, |_name| Answer::Done)
            }
            Call::Rename { id, to } => {
                if !self.alive.contains_key(id) {
                    Answer::NotFound
                } else if self.holder(to).is_some_and(|holder| holder != *id) {
                    Answer::NameTaken
                } else {
                    self.alive.insert(*id, to.clone());
                    Answer::Done
                }
            }
            Call::Act { id } => {
                if self.alive.contains_key(id) {
                    Answer::Done
                } else {
                    Answer::NotFound
                }
            }
            Call::Show { id } => match self.alive.get(id) {
                Some(name) => Answer::Found { id: *id, name: name.clone() },
                None => Answer::NotFound,
            },
        }
    }
}

/// Returns the history of a correct service, of many clients at once.
fn correct(steps: &[Step]) -> Vec<Entry> {
    let mut service = Service::default();
    let mut entries = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let effect = (number as u64 + 10) * TICK;
        let call = service.call(step);
        let answer = match step.fate {
            Fate::Answered => service.perform(&call),
            Fate::NeverArrived => Answer::Unknown { created: None },
            Fate::Refused => Answer::Refused,
            Fate::AnswerLost { seen } => {
                let answer = service.perform(&call);
                let mut created = None;
                if let Answer::Created(id) = answer {
                    created = seen.then_some(id);
                    if !seen {
                        // Nobody can name it in a request.
                        service.ever.pop();
                    }
                }
                Answer::Unknown { created }
            }
        };
        entries.push(entry(call, (effect - step.before, effect + step.after), answer));
    }
    // An answer that shows a container whose create was never resolved is left out: the tests resolve it by a label.
    entries.retain(|entry| match (&entry.call, &entry.answer) {
        (_, Answer::Found { id, .. }) => service.ever.contains(id),
        (_, Answer::Listed(list)) => list.keys().all(|id| service.ever.contains(id)),
        (_, _) => true,
    });
    entries
}

fn entry(call: Call, (called, answered): (u64, u64), answer: Answer) -> Entry {
    let (called, answered) = (Duration::from_micros(called), Duration::from_micros(answered));
    Entry { client: 0, key: None, call, called, answered, answer }
}

fn kinds(violations: &[Violation]) -> Vec<Kind> {
    violations.iter().map(|violation| violation.kind).collect()
}

/// A short history: calls and answers at these times, for planting one fault.
fn history<const N: usize>(entries: [(Call, (u64, u64), Answer); N]) -> Vec<Entry> {
    entries.map(|(call, times, answer)| entry(call, times, answer)).into()
}

fn create(name: &str) -> Call {
    Call::Create { name: name.to_owned() }
}

fn find(name: &str) -> Call {
    Call::Find { name: name.to_owned() }
}

proptest! {
    #[test]
    fn a_correct_service_has_no_violations(steps in steps(1..60)) {
        let entries = correct(&steps);
        let violations = check(&entries);
        prop_assert!(violations.is_empty(), "{violations:#?}\n{entries:#?}");
    }

    #[test]
    fn a_container_that_is_back_after_its_delete_is_found(steps in steps(25..60), pick: prop::sample::Index) {
        let mut entries = correct(&steps);
        let deletes: Vec<Entry> = entries.iter()
            .filter(|entry| matches!(entry.call, Call::Delete { .. }) && entry.answer == Answer::Done)
            .cloned().collect();
        prop_assume!(!deletes.is_empty());
        let delete = pick.get(&deletes);
        let Call::Delete { id } = delete.call else { unreachable!("only deletes") };
        let later = delete.answered + Duration::from_micros(1);
        let answer = Answer::Found { id, name: "n0".to_owned() };
        entries.push(Entry { call: Call::Show { id }, called: later, answered: later, answer, ..delete.clone() });
        let found = kinds(&check(&entries));
        prop_assert!(found.contains(&Kind::Resurrected), "{found:?}");
    }

    #[test]
    fn a_container_that_nobody_deleted_but_is_not_there_is_found(steps in steps(25..60), pick: prop::sample::Index) {
        let (mut entries, at) = undisturbed(&steps, pick)?;
        let Answer::Created(id) = entries[at].answer else { unreachable!("only creates") };
        let soon = entries[at].answered + Duration::from_micros(1);
        let gone = Entry { call: Call::Show { id }, called: soon, answered: soon, answer: Answer::NotFound, ..entries[at].clone() };
        entries.push(gone);
        let found = kinds(&check(&entries));
        prop_assert!(found.contains(&Kind::Lost), "{found:?}");
    }

    #[test]
    fn a_name_with_two_containers_is_found(steps in steps(25..60), pick: prop::sample::Index) {
        let (mut entries, at) = undisturbed(&steps, pick)?;
        let soon = entries[at].answered + Duration::from_micros(1);
        let second = Answer::Created(ContainerId::random());
        entries.push(Entry { called: soon, answered: soon, answer: second, ..entries[at].clone() });
        let found = kinds(&check(&entries));
        prop_assert!(found.contains(&Kind::NameDoubled), "{found:?}");
    }

    #[test]
    fn the_search_agrees_with_trying_all_orders(few in vec((0..5u8, 0..2u8, 0..8u64, 0..8u64, any::<bool>()), 1..6)) {
        let ids: Vec<ContainerId> = (0..2).map(|_| ContainerId::random()).collect();
        let entries: Vec<Entry> = few.iter().map(|&(kind, id, from, took, lost)| {
            let id = ids[usize::from(id)];
            let (call, answer) = match kind {
                0 => (create("n0"), Answer::Created(id)),
                1 => (Call::Delete { id }, Answer::Done),
                2 => (Call::Show { id }, Answer::Found { id, name: "n0".to_owned() }),
                3 => (Call::Show { id }, Answer::NotFound),
                _ => (create("n0"), Answer::NameTaken),
            };
            let answer = match (lost, answer) {
                (true, Answer::Created(id)) => Answer::Unknown { created: Some(id) },
                (true, Answer::Done) => Answer::Unknown { created: None },
                (_, answer) => answer,
            };
            entry(call, (from, from + took), answer)
        }).collect();
        let found = check(&entries);
        let possible = ["names", "lives"].iter().all(|part| {
            if *part == "names" { explained_name(&entries) } else { ids.iter().all(|id| explained_life(&entries, *id)) }
        });
        prop_assert_eq!(found.is_empty(), possible, "{:#?}\n{:#?}", found, entries);
    }
}

/// Returns a correct history and the index of a create that no rename or delete follows at once.
fn undisturbed(
    steps: &[Step],
    pick: prop::sample::Index,
) -> Result<(Vec<Entry>, usize), TestCaseError> {
    let entries = correct(steps);
    let calm = |entry: &&Entry| {
        let Answer::Created(id) = entry.answer else { return false };
        let soon = entry.answered + Duration::from_micros(1);
        !entries.iter().any(|other| {
            let (Call::Delete { id: of } | Call::Rename { id: of, .. }) = &other.call else {
                return false;
            };
            *of == id && other.called <= soon
        })
    };
    let creates: Vec<usize> = (0..entries.len()).filter(|index| calm(&&entries[*index])).collect();
    prop_assume!(!creates.is_empty());
    let at = *pick.get(&creates);
    Ok((entries, at))
}

/// Whether some order of the entries explains all answers about the name `n0`. Tries all of them.
fn explained_name(entries: &[Entry]) -> bool {
    explained(
        entries,
        None,
        &|entry, state: Option<ContainerId>| match (&entry.call, &entry.answer) {
            (Call::Create { .. }, Answer::Created(id) | Answer::Unknown { created: Some(id) }) => {
                state.is_none().then_some(Some(*id))
            }
            (Call::Create { .. }, _) => state.is_some().then_some(state),
            (Call::Delete { id }, _) if homeless(entries, *id) => Some(state),
            (Call::Delete { id }, _) => (state == Some(*id)).then_some(None),
            (_, Answer::Found { id, .. }) => (state == Some(*id)).then_some(state),
            (_, _) => Some(state),
        },
    )
}

/// Whether no entry binds the container to a name.
fn homeless(entries: &[Entry], id: ContainerId) -> bool {
    !entries.iter().any(|entry| {
        matches!(
            &entry.answer,
            Answer::Created(of) | Answer::Unknown { created: Some(of) } | Answer::Found { id: of, .. }
                if *of == id
        )
    })
}

/// Whether some order explains all answers about a container. The states: 0 not created, 1 alive, 2 gone.
fn explained_life(entries: &[Entry], id: ContainerId) -> bool {
    explained(entries, 0, &|entry, state: u8| match (&entry.call, &entry.answer) {
        (Call::Create { .. }, Answer::Created(of) | Answer::Unknown { created: Some(of) })
            if *of == id =>
        {
            (state == 0).then_some(1)
        }
        (Call::Delete { id: of }, _) if *of == id => (state == 1).then_some(2),
        (Call::Show { id: of }, Answer::Found { .. }) if *of == id => (state == 1).then_some(state),
        (Call::Show { id: of }, Answer::NotFound) if *of == id => (state != 1).then_some(state),
        (_, _) => Some(state),
    })
}

/// Tries all orders that respect the times. A request without an answer can be left out.
fn explained<S: Copy>(left: &[Entry], state: S, perform: &dyn Fn(&Entry, S) -> Option<S>) -> bool {
    fn go<S: Copy>(left: &[&Entry], state: S, perform: &dyn Fn(&Entry, S) -> Option<S>) -> bool {
        let open = |entry: &&Entry| matches!(entry.answer, Answer::Unknown { .. });
        if left.iter().all(open) {
            return true;
        }
        (0..left.len()).any(|index| {
            let first = left[index];
            let earlier = left.iter().filter(|entry| !open(entry));
            if earlier.clone().any(|entry| entry.answered < first.called) {
                return false;
            }
            let mut rest = left.to_vec();
            rest.remove(index);
            perform(first, state).is_some_and(|next| go(&rest, next, perform))
        })
    }
    go(&left.iter().collect::<Vec<_>>(), state, perform)
}

#[test]
fn a_name_is_free_again_only_after_the_delete_was_sent() {
    let (one, two) = (ContainerId::random(), ContainerId::random());
    let reused = |called| {
        history([
            (create("a"), (0, 1), Answer::Created(one)),
            (Call::Delete { id: one }, (10, 20), Answer::Done),
            (create("a"), (called, called + 1), Answer::Created(two)),
        ])
    };
    assert_eq!(kinds(&check(&reused(5))), [Kind::NameDoubled]);
    assert!(check(&reused(15)).is_empty(), "it may take effect after the delete, which is open");
}

#[test]
fn a_name_refused_as_taken_must_be_taken() {
    let id = ContainerId::random();
    let refused = |called| {
        history([
            (create("a"), (0, 1), Answer::Created(id)),
            (Call::Delete { id }, (2, 3), Answer::Done),
            (create("a"), (called, called + 1), Answer::NameTaken),
        ])
    };
    assert_eq!(kinds(&check(&refused(4))), [Kind::NameNotFree]);
    assert!(check(&refused(2)).is_empty());
    let unknown = Answer::Unknown { created: None };
    let explained = history([
        (create("a"), (0, 1), unknown),
        (create("a"), (50, 51), Answer::NameTaken),
        (find("b"), (60, 61), Answer::NotFound),
    ]);
    assert!(check(&explained).is_empty(), "the lost create may have succeeded");
}

#[test]
fn a_delete_that_two_clients_got_is_found() {
    let id = ContainerId::random();
    let twice = history([
        (create("a"), (0, 1), Answer::Created(id)),
        (Call::Delete { id }, (2, 9), Answer::Done),
        (Call::Delete { id }, (3, 8), Answer::Done),
    ]);
    let found = kinds(&check(&twice));
    assert!(found.contains(&Kind::DeletedTwice), "{found:?}");
}

#[test]
fn a_rename_moves_the_name() {
    let (one, two) = (ContainerId::random(), ContainerId::random());
    let renamed = |found: &str, holder| {
        history([
            (create("a"), (0, 1), Answer::Created(one)),
            (Call::Rename { id: one, to: "b".to_owned() }, (2, 3), Answer::Done),
            (create("a"), (4, 5), Answer::Created(two)),
            (find(found), (6, 7), Answer::Found { id: holder, name: found.to_owned() }),
        ])
    };
    assert!(check(&renamed("b", one)).is_empty());
    assert!(check(&renamed("a", two)).is_empty());
    assert_eq!(kinds(&check(&renamed("a", one))), [Kind::NameDoubled]);
}

#[test]
fn a_list_with_a_deleted_container_is_found() {
    let id = ContainerId::random();
    let listed = history([
        (create("a"), (0, 1), Answer::Created(id)),
        (Call::Delete { id }, (2, 3), Answer::Done),
        (Call::List, (4, 5), Answer::Listed([(id, "a".to_owned())].into())),
    ]);
    let found = kinds(&check(&listed));
    assert_eq!(found, [Kind::Resurrected, Kind::Resurrected], "of the name and of the container");
}

#[test]
fn attempts_with_one_key_get_one_answer() {
    let (one, two) = (ContainerId::random(), ContainerId::random());
    let attempts = |second: Answer| {
        let entries = history([
            (create("a"), (0, 9), Answer::Unknown { created: None }),
            (create("a"), (10, 11), Answer::Created(one)),
            (create("a"), (12, 13), second),
            (Call::Show { id: one }, (14, 15), Answer::Found { id: one, name: "a".to_owned() }),
        ]);
        let keyed = entries.into_iter().map(|entry| Entry {
            key: matches!(entry.call, Call::Create { .. }).then(|| "k1".to_owned()),
            ..entry
        });
        kinds(&check(&keyed.collect::<Vec<_>>()))
    };
    assert_eq!(attempts(Answer::Created(one)), []);
    assert_eq!(attempts(Answer::Refused), [], "not accepted is not an answer to the request");
    assert_eq!(attempts(Answer::Created(two)), [Kind::KeyAnsweredDifferently]);
    assert_eq!(attempts(Answer::NameTaken), [Kind::KeyAnsweredDifferently]);
}

#[test]
fn a_command_runs_at_most_once() {
    let attempt = |token: &str, outcome| Attempt {
        token: token.to_owned(),
        outcome,
        answered: Duration::ZERO,
    };
    let written: BTreeMap<String, usize> =
        [("once", 1), ("twice", 2), ("lost-once", 1), ("lost-twice", 2), ("refused", 1)]
            .map(|(token, count)| (token.to_owned(), count))
            .into();
    let good = [
        attempt("once", Outcome::Ran),
        attempt("lost-once", Outcome::Unknown),
        attempt("never", Outcome::Unknown),
        attempt("not", Outcome::Refused),
    ];
    assert!(at_most_once(&good, &written).is_empty());
    let bad = [
        attempt("twice", Outcome::Ran),
        attempt("lost-twice", Outcome::Unknown),
        attempt("not", Outcome::Ran),
        attempt("refused", Outcome::Refused),
    ];
    let found = kinds(&at_most_once(&bad, &written));
    let expected = [Kind::DoneTwice, Kind::DoneTwice, Kind::NotDone, Kind::DoneThoughRefused];
    assert_eq!(found, expected);
}

#[test]
fn a_create_without_an_answer_gets_its_container_when_it_is_seen() {
    let recorder = Recorder::default();
    let open = recorder.called(0, Some("t1".to_owned()), create("a"));
    recorder.answered(open, Answer::Unknown { created: None });
    let id = ContainerId::random();
    let open = recorder.called(0, None, find("a"));
    recorder.answered(open, Answer::Found { id, name: "a".to_owned() });
    let unseen = check(&recorder.entries(&BTreeMap::new()));
    assert!(kinds(&unseen).contains(&Kind::FromNowhere), "{unseen:?}");
    let seen = recorder.entries(&[("t1".to_owned(), id)].into());
    assert!(check(&seen).is_empty());
}
