//! What becomes of submitted operations.

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
    let stop = Operation { change: Change::Stop { grace: None }, ..operation(container, 1, None) };
    assert!(matches!(queues.submit(stop), Submitted::First(_)));
    queues.next(container).expect("the stop");
    let first = kill(2);
    assert!(matches!(queues.submit(first.clone()), Submitted::Concurrent(..)));
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
    assert!(matches!(queues.submit_listed(listed.clone()), Submitted::First(_)));
    let job = queues.next(listed.container).expect("it");
    assert!(job.operation.again, "it may have been carried out before it was forgotten");
    let new = queues.next(container).expect("the other one");
    assert!(!new.operation.again);
}

#[test]
fn an_operation_that_a_full_queue_refused_is_not_carried_out_when_it_is_listed() {
    let (mut queues, container) = (Queues::new(1), ContainerId::random());
    assert!(matches!(queues.submit(operation(container, 1, None)), Submitted::First(_)));
    let refused = operation(container, 2, Some(1));
    assert!(matches!(queues.submit(refused.clone()), Submitted::Full));
    queues.next(container).expect("the first");
    assert!(matches!(queues.submit(refused.clone()), Submitted::Waiting(_)), "it arrives twice");
    let Submitted::Refused(ended) = queues.submit_listed(refused.clone()) else {
        panic!("zun-api never gets the refusal");
    };
    assert_eq!(ended.operation, refused.id);
    assert!(matches!(&ended.outcome, Outcome::Failed(problem) if problem.code == Code::Busy));
    assert!(matches!(queues.submit_listed(refused.clone()), Submitted::Waiting(_)), "once");
    ended.acknowledge();
    assert!(matches!(queues.submit_listed(refused), Submitted::Waiting(_)), "a late list");
    assert!(queues.next(container).is_none(), "only the first was queued");
}

#[test]
fn the_list_of_open_operations_comes_in_pages() {
    let (mut queues, container) = (Queues::new(1), ContainerId::random());
    let now = Instant::now();
    let page = |complete_to, has_more| PageEnd { complete_to, has_more };
    assert_eq!(queues.listed_to(), 0);
    assert!(queues.begin_page().is_empty());
    assert!(matches!(queues.submit_listed(operation(container, 1, None)), Submitted::First(_)));
    queues.end_page(page(256, true), HashSet::new(), now);
    assert_eq!(queues.listed_to(), 256);
    // One that is left out stays so in the pages that follow, and its number does not count as submitted.
    let full = queues.begin_page();
    assert!(matches!(queues.submit_listed(operation(container, 300, None)), Submitted::Full));
    queues.end_page(page(512, true), [container].into_iter().chain(full).collect(), now);
    let full = queues.begin_page();
    assert_eq!(full, HashSet::from([container]));
    queues.end_page(page(600, false), full, now);
    assert_eq!(queues.listed_to(), 0);
    assert!(queues.begin_page().is_empty());
    let [one, other] = [(); 2].map(|()| ContainerId::random());
    assert!(matches!(queues.submit(operation(one, 601, Some(256))), Submitted::First(_)));
    assert!(matches!(queues.submit(operation(other, 602, Some(300))), Submitted::Gap));
    queues.restart(Epoch(2));
    assert_eq!(queues.listed_to(), 0);
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
    assert!(matches!(queues.submit_listed(pause.clone()), Submitted::Waiting(_)), "a late list");
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
