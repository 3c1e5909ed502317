//! What a database forgets when an older copy of it is brought back. The history then has several ends: one at each
//! restore, and one without what was forgotten. Each of them must be right by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use zun_common::id::ContainerId;
use zun_tests::history::{Answer, Call, Entry};

/// The time between a copy of the database and its restore, on the clock of the history. No zun-api runs at either end.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub from: Duration,
    pub to: Duration,
}

impl Window {
    fn contains(&self, entry: &Entry) -> bool {
        (self.from..self.to).contains(&entry.called)
    }
}

/// Returns the history as the database has it at the end.
pub fn remembered(all: &[Entry], windows: &[Window]) -> Vec<Entry> {
    all.iter().map(|entry| without(entry, windows)).collect()
}

/// Returns the history as the database had it when each window ended, before the restore.
pub fn former(all: &[Entry], windows: &[Window]) -> Vec<Vec<Entry>> {
    let one = |(index, window): (usize, &Window)| {
        let earlier = |entry: &Entry| {
            if entry.called < window.to {
                without(entry, &windows[..index])
            } else {
                Entry { answer: Answer::Refused, ..entry.clone() }
            }
        };
        all.iter().map(earlier).collect()
    };
    windows.iter().enumerate().map(one).collect()
}

/// Returns what an entry says if the requests in the windows were forgotten: nothing. It stays in its place, so that the
/// numbers of the entries stay. The host may still know that it removed a container, and report it.
fn without(entry: &Entry, windows: &[Window]) -> Entry {
    let mut entry = entry.clone();
    if windows.iter().any(|window| window.contains(&entry)) {
        entry.answer = match (&entry.call, &entry.answer) {
            (Call::Delete { .. }, Answer::Done | Answer::Unknown { .. }) => {
                Answer::Unknown { created: None }
            }
            (_, _) => Answer::Refused,
        };
    }
    entry
}

/// Returns the containers that a forgotten request may have changed.
pub fn containers(all: &[Entry], windows: &[Window]) -> BTreeSet<ContainerId> {
    let forgotten = all.iter().filter(|entry| windows.iter().any(|window| window.contains(entry)));
    let changed = forgotten.filter_map(|entry| match (&entry.call, &entry.answer) {
        (Call::Delete { id } | Call::Act { id } | Call::Rename { id, .. }, _) => Some(*id),
        (Call::Create { .. }, Answer::Created(id) | Answer::Unknown { created: Some(id) }) => {
            Some(*id)
        }
        (Call::Create { .. } | Call::Show { .. } | Call::Find { .. } | Call::List, _) => None,
    });
    changed.collect()
}

#[test]
fn a_restore_splits_the_history() {
    let seconds = Duration::from_secs;
    let entry = |called: u64| Entry {
        client: 0,
        key: None,
        call: Call::List,
        called: seconds(called),
        answered: seconds(called + 1),
        answer: Answer::Done,
    };
    let all: Vec<Entry> = (0..60).map(entry).collect();
    let windows = [
        Window { from: seconds(10), to: seconds(20) },
        Window { from: seconds(30), to: seconds(40) },
    ];
    let kept = |entries: &[Entry]| -> Vec<u64> {
        let kept = entries.iter().filter(|entry| entry.answer == Answer::Done);
        kept.map(|entry| entry.called.as_secs()).collect()
    };
    let without = |ends: u64| (0..ends).filter(|second| !(10..20).contains(second));
    let at_the_end: Vec<u64> = without(60).filter(|second| !(30..40).contains(second)).collect();
    assert_eq!(kept(&remembered(&all, &windows)), at_the_end);
    let [first, second] = &former(&all, &windows)[..] else { unreachable!("two windows") };
    assert_eq!(kept(first), (0..20).collect::<Vec<u64>>());
    assert_eq!(kept(second), without(40).collect::<Vec<u64>>());
}
