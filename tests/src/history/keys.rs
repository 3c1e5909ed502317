//! Idempotency keys: all attempts with one key are one request, and get the same answer.

use std::collections::BTreeMap;

use super::{Answer, Entry, Kind, Request, Violation};

/// Merges the attempts of each request. Attempts with different answers are violations.
pub(super) fn merge(entries: &[Entry]) -> (Vec<Request>, Vec<Violation>) {
    let mut requests: Vec<Request> = Vec::new();
    let mut violations = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let next = request(index, entry);
        let first = entry.key.as_deref().and_then(|key| known.get(key).copied());
        let Some(first) = first else {
            if let Some(key) = &entry.key {
                known.insert(key, requests.len());
            }
            requests.push(next);
            continue;
        };
        let request = &mut requests[first];
        if let Some(difference) = difference(request, &next) {
            violations.push(Violation {
                kind: Kind::KeyAnsweredDifferently,
                at: entry.answered,
                entry: index,
                about: entry.key.clone().unwrap_or_default(),
                words: difference,
            });
        }
        join(request, next);
    }
    (requests, violations)
}

fn request(index: usize, entry: &Entry) -> Request {
    let open = matches!(entry.answer, Answer::Unknown { .. });
    Request {
        entry: index,
        call: entry.call.clone(),
        called: entry.called,
        answered: (!open).then_some(entry.answered),
        answer: entry.answer.clone(),
    }
}

/// Returns how two attempts contradict each other. A refusal says that the attempt was not accepted, so a later one may
/// be.
fn difference(first: &Request, second: &Request) -> Option<String> {
    let (one, other) = (&first.answer, &second.answer);
    let open = |answer: &Answer| matches!(answer, Answer::Unknown { .. } | Answer::Refused);
    if first.call != second.call {
        return Some(format!("one key for {:?} and for {:?}", first.call, second.call));
    }
    if open(one) || open(other) || one == other {
        return None;
    }
    Some(format!("{:?} was answered with {one:?} and with {other:?}", first.call))
}

/// The effect lies between the first call and the first answer that says what happened.
fn join(request: &mut Request, attempt: Request) {
    request.called = request.called.min(attempt.called);
    let settles = |answer: &Answer| !matches!(answer, Answer::Unknown { .. } | Answer::Refused);
    let sooner = match (settles(&request.answer), settles(&attempt.answer)) {
        (true, true) => attempt.answered < request.answered,
        (false, true) => true,
        (_, false) => matches!(
            (&request.answer, &attempt.answer),
            (Answer::Refused, Answer::Unknown { .. })
                | (Answer::Unknown { created: None }, Answer::Unknown { .. })
        ),
    };
    if sooner {
        *request = Request { called: request.called, ..attempt };
    }
}
