//! What is told of a container, step by step, against a clock that is given.

use tokio::sync::watch;
use zun_common::grant::{SessionEvent, SessionEventKind};
use zun_common::id::{ContainerId, EngineId, OperationId};
use zun_common::rpc::operation::Outcome;
use zun_common::rpc::report::ContainerReport;
use zun_common::status::{Status, TaskState};

use super::entry::Heed;
use super::facts::{Ending, Failure, Sight};
use super::ledger::Ledger;
use crate::driver::{ContainerInfo, ProcessExit};
use crate::operation_state::{Ended, OperationState};

struct Page {
    ledger: Ledger,
    container: ContainerId,
}

impl Page {
    fn new() -> Self {
        Self { ledger: Ledger::new("h".parse().expect("a name")), container: ContainerId::random() }
    }

    fn seen(&self, status: Status) -> ContainerInfo {
        ContainerInfo {
            container: self.container,
            engine: engine(),
            status,
            reason: None,
            exit_code: None,
            oom_killed: false,
            tty: true,
            stdin: true,
            started_at: None,
            finished_at: None,
        }
    }

    fn sees(&mut self, status: Status) -> Heed {
        let (ticket, sight) = (self.ledger.ticket(), Sight::Seen(Box::new(self.seen(status))));
        self.ledger.observe(ticket, self.container, sight, 0)
    }

    fn sees_nothing(&mut self) -> Heed {
        let ticket = self.ledger.ticket();
        self.ledger.observe(ticket, self.container, Sight::Gone, 0)
    }

    fn begins(&mut self, task: TaskState) {
        self.ledger.begin(self.container, task, 0);
    }

    fn ends(&mut self, status: Option<Status>, failure: Option<Failure>) -> Heed {
        let ticket = self.ledger.ticket();
        let sight = status.map_or(Sight::Gone, |status| Sight::Seen(Box::new(self.seen(status))));
        let ending = Ending { ticket, sight: Some(sight), failure };
        self.ledger.finish(self.container, (ending, ended()), 0)
    }

    /// Tells all that waits.
    fn tells(&mut self) -> Vec<ContainerReport> {
        let mut told = Vec::new();
        while let Some(message) = self.ledger.take() {
            self.ledger.told(message.container);
            told.extend(message.report);
        }
        told
    }

    fn tells_states(&mut self) -> Vec<(Status, Option<TaskState>)> {
        self.tells().into_iter().map(|report| (report.status, report.task_state)).collect()
    }

    fn note(&mut self, kind: SessionEventKind, grant: &str) {
        let note =
            SessionEvent { kind, watches: false, grant: grant.to_owned(), container: engine() };
        self.ledger.note(note, 0);
    }
}

fn ended() -> Ended {
    let state = watch::Sender::new(OperationState::Begun);
    Ended { operation: OperationId::random(), outcome: Outcome::Succeeded, state }
}

fn engine() -> EngineId {
    "ab".repeat(32).parse().expect("an id")
}

fn not_found() -> Failure {
    Failure { reason: "no such file".to_owned(), exit_code: Some(127), fatal: true }
}

#[test]
fn a_task_is_told_before_the_work_and_cleared_after_it() {
    let mut page = Page::new();
    page.begins(TaskState::Creating);
    assert_eq!(page.tells_states(), [(Status::Creating, Some(TaskState::Creating))]);
    page.sees(Status::Created);
    assert_eq!(page.tells_states(), [(Status::Created, Some(TaskState::Creating))]);
    page.ends(Some(Status::Created), None);
    assert_eq!(page.tells_states(), [(Status::Created, None)]);
}

#[test]
fn a_late_look_does_not_undo_a_newer_one() {
    let mut page = Page::new();
    let old = page.ledger.ticket();
    page.sees(Status::Stopped);
    let sight = Sight::Seen(Box::new(page.seen(Status::Running)));
    page.ledger.observe(old, page.container, sight, 0);
    assert_eq!(page.tells_states(), [(Status::Stopped, None)]);
}

#[test]
fn a_failed_start_is_told_with_its_code_until_the_container_is_otherwise() {
    let mut page = Page::new();
    page.ledger.ordered(page.container, false);
    page.sees(Status::Created);
    page.begins(TaskState::Starting);
    page.ends(Some(Status::Created), Some(not_found()));
    let told = page.tells();
    let last = told.last().expect("a report");
    assert_eq!((last.status, last.exit_code), (Status::Error, Some(127)));
    page.sees(Status::Created);
    assert_eq!(page.tells(), [], "an event that changes nothing hides no error");
    page.sees(Status::Running);
    let told = page.tells();
    assert_eq!((told[0].status, &told[0].status_reason), (Status::Running, &None));
}

#[test]
fn a_container_that_goes_by_itself_is_in_error_with_its_code_before_it_is_deleted() {
    for event_is_first in [true, false] {
        let mut page = Page::new();
        page.ledger.ordered(page.container, true);
        page.sees(Status::Created);
        page.begins(TaskState::Starting);
        page.tells();
        if event_is_first {
            page.sees_nothing();
            assert_eq!(page.tells(), [], "its work is not done yet");
        }
        page.ends(None, Some(not_found()));
        let told = page.tells();
        let states: Vec<_> = told.iter().map(|report| (report.status, report.exit_code)).collect();
        assert_eq!(states, [(Status::Error, Some(127)), (Status::Deleted, Some(127))]);
    }
}

#[test]
fn a_failed_stop_is_told_as_the_truth_with_its_reason() {
    let mut page = Page::new();
    page.sees(Status::Running);
    page.begins(TaskState::Stopping);
    let failure = Failure { reason: "cannot stop".to_owned(), exit_code: None, fatal: false };
    page.ends(Some(Status::Running), Some(failure));
    let told = page.tells();
    let last = told.last().expect("a report");
    assert_eq!((last.status, last.task_state), (Status::Running, None));
    assert_eq!(last.status_reason.as_deref(), Some("cannot stop"));
}

#[test]
fn a_removal_is_told_once_and_nothing_brings_the_container_back() {
    let mut page = Page::new();
    page.sees(Status::Stopped);
    page.tells();
    let late = page.ledger.ticket();
    page.begins(TaskState::Deleting);
    assert_eq!(page.tells_states(), [(Status::Deleting, Some(TaskState::Deleting))]);
    page.sees_nothing();
    page.ends(None, None);
    assert_eq!(page.tells_states(), [(Status::Deleted, None)]);
    let sight = Sight::Seen(Box::new(page.seen(Status::Stopped)));
    page.ledger.observe(late, page.container, sight, 0);
    assert_eq!(page.tells(), []);
}

#[test]
fn one_that_went_is_deleted_or_zun_api_is_asked() {
    let mut page = Page::new();
    page.ledger.ordered(page.container, true);
    page.sees(Status::Running);
    assert_eq!(page.sees_nothing(), Heed::Taken);
    assert_eq!(page.tells_states(), [(Status::Deleted, None)]);

    let mut page = Page::new();
    page.ledger.ordered(page.container, false);
    page.sees(Status::Running);
    assert_eq!(page.sees_nothing(), Heed::Unsure);
    let asked = page.ledger.ticket();
    page.ledger.absent(asked, page.container, false, 0);
    let told = page.tells();
    let last = told.last().expect("a report");
    let words = format!("No such container: {}", page.container);
    assert_eq!((last.status, last.status_reason.as_ref()), (Status::Error, Some(&words)));
    assert_eq!(page.sees_nothing(), Heed::Taken, "zun-api is asked once");
}

#[test]
fn one_that_was_made_after_zun_api_was_asked_has_not_vanished() {
    let mut page = Page::new();
    let asked = page.ledger.ticket();
    page.sees(Status::Created);
    page.ledger.absent(asked, page.container, false, 0);
    assert_eq!(page.tells_states(), [(Status::Created, None)]);
}

#[test]
fn open_consoles_are_told_until_the_process_ends() {
    let mut page = Page::new();
    page.note(SessionEventKind::Begin, "before it was seen");
    page.sees(Status::Created);
    assert_eq!(page.tells()[0].attached, 1);
    page.note(SessionEventKind::Begin, "b");
    assert_eq!(page.tells()[0].attached, 2);
    page.note(SessionEventKind::End, "b");
    page.note(SessionEventKind::End, "b");
    assert_eq!(page.tells()[0].attached, 1);
    page.sees(Status::Stopped);
    assert_eq!(page.tells()[0].attached, 0);
    page.note(SessionEventKind::End, "before it was seen");
    assert_eq!(page.tells(), []);
}

#[test]
fn consoles_end_with_the_engine() {
    let mut page = Page::new();
    page.sees(Status::Running);
    page.note(SessionEventKind::Begin, "a");
    page.tells();
    page.ledger.consoles_ended(0);
    assert_eq!(page.tells()[0].attached, 0);
}

#[test]
fn what_zun_api_has_no_more_is_forgotten_once_it_is_told() {
    let mut page = Page::new();
    page.sees(Status::Error);
    page.ledger.forget_all_but(|_| false);
    assert_eq!(page.tells().len(), 1, "it was not told yet");
    page.ledger.forget_all_but(|_| false);
    assert!(page.ledger.newest(page.container).is_none());
}

#[test]
fn a_run_is_told_with_the_code_of_the_one_before_it_also_where_no_look_has_seen_its_end() {
    let at = |second| chrono::DateTime::from_timestamp(second, 0).expect("a time");
    let mut page = Page::new();
    let looks = |page: &mut Page, status, second, exit_code| {
        let seen = ContainerInfo { started_at: Some(at(second)), exit_code, ..page.seen(status) };
        let ticket = page.ledger.ticket();
        page.ledger.observe(ticket, page.container, Sight::Seen(Box::new(seen)), 0);
        page.tells().last().map(|report| (report.status, report.exit_code))
    };
    assert_eq!(looks(&mut page, Status::Running, 1, None), Some((Status::Running, None)));
    page.ledger.exited(page.container, ProcessExit { code: 5, at: at(2) });
    assert_eq!(looks(&mut page, Status::Running, 3, None), Some((Status::Running, Some(5))));
    assert_eq!(
        looks(&mut page, Status::Restarting, 3, Some(6)),
        Some((Status::Restarting, Some(6)))
    );
    assert_eq!(looks(&mut page, Status::Running, 4, None), Some((Status::Running, Some(6))));
    // One that is gone while it runs has the code of that run, if it is known.
    page.ledger.exited(page.container, ProcessExit { code: 137, at: at(5) });
    page.begins(TaskState::Deleting);
    page.ends(None, None);
    let told = page.tells().last().map(|report| (report.status, report.exit_code));
    assert_eq!(told, Some((Status::Deleted, Some(137))));
}

#[test]
fn an_outcome_goes_with_the_last_report_and_again_if_the_message_was_lost() {
    let mut page = Page::new();
    page.sees(Status::Created);
    page.tells();
    page.begins(TaskState::Starting);
    let ended = ended();
    let (operation, state) = (ended.operation, ended.state.subscribe());
    let ticket = page.ledger.ticket();
    let sight = Some(Sight::Seen(Box::new(page.seen(Status::Running))));
    page.ledger.finish(page.container, (Ending { ticket, sight, failure: None }, ended), 0);
    for _ in 0..2 {
        let message = page.ledger.take().expect("a message");
        assert_eq!(message.report.expect("a report").status, Status::Running);
        assert_eq!(message.outcomes.len(), 1);
        assert_eq!(message.outcomes[0].operation, operation);
        assert!(page.ledger.take().is_none(), "one message about a container at a time");
        page.ledger.untold(page.container);
    }
    page.ledger.take().expect("again");
    assert!(!page.ledger.is_told());
    page.ledger.told(page.container);
    assert_eq!(*state.borrow(), OperationState::Acknowledged(Outcome::Succeeded));
    assert!(page.ledger.is_told());
    assert!(page.ledger.take().is_none());
}

#[test]
fn an_outcome_without_a_change_is_sent_alone() {
    let mut page = Page::new();
    page.sees(Status::Stopped);
    page.tells();
    let ticket = page.ledger.ticket();
    let sight = Some(Sight::Seen(Box::new(page.seen(Status::Stopped))));
    page.ledger.finish(page.container, (Ending { ticket, sight, failure: None }, ended()), 0);
    let message = page.ledger.take().expect("a message");
    assert_eq!((message.report.is_some(), message.outcomes.len()), (false, 1));
}
