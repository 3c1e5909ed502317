//! How runs are numbered, and how they end.

use zun_common::rpc::report::LastRun;
use zun_common::status::{EndReason, Status, TaskState};

use super::tests::{Fixture, not_found};

#[test]
fn each_run_has_a_number_and_its_own_end_even_if_no_inspection_saw_it() {
    let mut fixture = Fixture::new();
    for code in [5, 6] {
        fixture.started();
        fixture.exited(code);
    }
    fixture.started();
    fixture.shows(Status::Running, "c", None);
    let reason = EndReason::Restarted;
    assert_eq!(fixture.send_ends(), [(1, reason, Some(5)), (2, reason, Some(6))]);
    assert_eq!(fixture.outbox.current_run(fixture.container), Some((3, true)));
    fixture.exited(143);
    fixture.shows(Status::Stopped, "c", Some(143));
    assert_eq!(fixture.send_ends(), [(3, EndReason::Signal, Some(143))]);
    assert_eq!(fixture.outbox.current_run(fixture.container), Some((4, false)));
}

#[test]
fn a_start_counts_once_whether_its_event_or_an_inspection_is_first() {
    let mut fixture = Fixture::new();
    fixture.shows(Status::Running, "a", None);
    fixture.started();
    fixture.exited(3);
    fixture.shows(Status::Stopped, "a", Some(3));
    assert_eq!(fixture.send_ends(), [(1, EndReason::Exited, Some(3))]);
    fixture.shows(Status::Stopped, "b", Some(4));
    fixture.started();
    fixture.exited(4);
    fixture.started();
    assert_eq!(fixture.send_ends(), [(2, EndReason::Exited, Some(4))]);
    assert_eq!(fixture.outbox.current_run(fixture.container), Some((3, true)));
}

#[test]
fn a_late_inspection_of_an_earlier_run_begins_no_other() {
    let mut fixture = Fixture::new();
    fixture.shows(Status::Running, "a", None);
    fixture.shows(Status::Running, "b", None);
    fixture.shows(Status::Stopped, "a", Some(0));
    assert_eq!(fixture.outbox.current_run(fixture.container), Some((2, true)));
    assert_eq!(fixture.send_ends(), [(1, EndReason::Unseen, None)]);
}

#[test]
fn an_engine_that_shows_the_start_of_the_run_before_hides_no_run() {
    let mut fixture = Fixture::new();
    fixture.started();
    fixture.shows(Status::Running, "a", None);
    fixture.exited(1);
    fixture.shows(Status::Stopped, "a", Some(1));
    fixture.started();
    fixture.exited(2);
    fixture.shows(Status::Stopped, "a", Some(2));
    assert_eq!(fixture.outbox.current_run(fixture.container), Some((3, false)));
}

#[test]
fn after_a_gap_another_start_is_another_run_and_the_end_before_is_unseen() {
    let mut fixture = Fixture::new();
    fixture.started();
    fixture.shows(Status::Running, "a", None);
    fixture.send_all();
    fixture.outbox.events_ended(0);
    // This is the exit of the second run.
    fixture.exited(7);
    fixture.shows(Status::Stopped, "b", Some(7));
    assert_eq!(
        fixture.send_ends(),
        [(1, EndReason::Unseen, None), (2, EndReason::Exited, Some(7))]
    );
}

#[test]
fn the_next_agent_counts_on_from_what_zun_api_knows() {
    let last = |has_ended| LastRun { number: 5, raw_started: Some("a".to_owned()), has_ended };
    for (status, raw, has_ended, current) in [
        (Status::Running, "a", false, (5, true)),
        (Status::Stopped, "a", false, (6, false)),
        (Status::Stopped, "a", true, (6, false)),
        (Status::Running, "a", true, (6, true)),
        (Status::Running, "b", true, (6, true)),
        (Status::Running, "b", false, (6, true)),
        (Status::Stopped, "b", true, (7, false)),
    ] {
        let mut fixture = Fixture::new();
        fixture.outbox.begin_epoch();
        fixture.shows(status, raw, Some(9));
        assert_eq!(fixture.send_all(), [], "zun-api has not said which run was the last");
        fixture.learn(Some(last(has_ended)));
        fixture.shows(status, raw, Some(9));
        assert_eq!(fixture.outbox.current_run(fixture.container), Some(current), "{status} {raw}");
        let newest =
            fixture.send_all().iter().flat_map(|report| &report.runs).map(|run| run.number).max();
        let is_news = current != (6, false) || !has_ended;
        let number = current.0 - i64::from(!current.1);
        assert_eq!(
            newest,
            Some(number).filter(|_| is_news && current != (5, true)),
            "{status} {raw}"
        );
    }
}

#[test]
fn an_answer_that_zun_api_gave_in_an_earlier_epoch_sets_no_number() {
    let mut fixture = Fixture::new();
    let asked = fixture.outbox.next_sequence();
    fixture.outbox.begin_epoch();
    fixture.learn_at(asked, None);
    fixture.shows(Status::Running, "a", None);
    assert_eq!(fixture.send_all(), []);
}

#[test]
fn runs_are_reported_again_until_zun_api_has_stored_them() {
    let mut fixture = Fixture::new();
    fixture.shows(Status::Running, "a", None);
    let lost = fixture.outbox.take().expect("a message");
    assert_eq!(lost.report.expect("a report").runs.len(), 1);
    fixture.shows(Status::Stopped, "a", Some(0));
    fixture.shows(Status::Running, "b", None);
    fixture.outbox.failed(fixture.container);
    let numbers = |fixture: &mut Fixture| {
        let sent = fixture.send_all();
        sent.iter().flat_map(|report| &report.runs).map(|run| run.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&mut fixture), [1, 2]);
    fixture.shows(Status::Stopped, "b", Some(0));
    assert_eq!(numbers(&mut fixture), [2]);
    fixture.shows(Status::Stopped, "b", Some(0));
    assert_eq!(numbers(&mut fixture), [] as [i64; 0]);
}

#[test]
fn a_start_that_fails_is_a_run_that_never_began() {
    let mut fixture = Fixture::new();
    fixture.observe(Status::Created);
    for number in [1, 2] {
        fixture.begin(TaskState::Starting);
        fixture.finish(Some(Status::Created), Some(not_found()));
        assert_eq!(fixture.send_ends(), [(number, EndReason::NotStarted, Some(127))]);
    }
}

#[test]
fn a_run_whose_container_is_removed_ends_with_the_exit_code_if_it_is_known() {
    for code in [Some(137), None] {
        let mut fixture = Fixture::new();
        fixture.shows(Status::Running, "a", None);
        if let Some(code) = code {
            fixture.exited(code);
        }
        fixture.begin(TaskState::Deleting);
        fixture.finish(None, None);
        let sent = fixture.send_all();
        let last = sent.last().map(|report| (report.status, report.exit_code));
        assert_eq!(last, Some((Status::Deleted, code)));
        assert_eq!(super::tests::ends(&sent).last(), Some(&(1, EndReason::Removed, code)));
    }
}
