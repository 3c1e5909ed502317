//! The reports of a container, step by step.

use chrono::DateTime;
use tokio::sync::watch;
use zun_common::grant::{SessionEvent, SessionEventKind};
use zun_common::id::{ContainerId, EngineId, OperationId};
use zun_common::rpc::host::AssignedContainer;
use zun_common::rpc::operation::Outcome;
use zun_common::rpc::report::{ContainerReport, LastRun, LiveState};
use zun_common::status::{EndReason, Status, TaskState};

use super::facts::{Completion, Failure, Observation, ObservationSequence};
use super::outbox::Outbox;
use super::tracked::Conclusion;
use crate::driver::{ContainerInfo, ProcessExit};
use crate::operation_state::{Ended, OperationState};

pub(super) struct Fixture {
    pub(super) outbox: Outbox,
    pub(super) container: ContainerId,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let outbox = Outbox::new("h".parse().expect("a name"));
        let mut fixture = Self { outbox, container: ContainerId::random() };
        fixture.learn(None);
        fixture
    }

    /// zun-api answers which containers should exist.
    pub(super) fn learn(&mut self, last_run: Option<LastRun>) {
        let asked = self.outbox.next_sequence();
        self.learn_at(asked, last_run);
    }

    pub(super) fn learn_at(&mut self, asked: ObservationSequence, last_run: Option<LastRun>) {
        let assigned = AssignedContainer {
            container: self.container,
            status: Status::Creating,
            engine: None,
            auto_remove: false,
            is_rebuilding: false,
            last_run,
            reported: None,
        };
        self.outbox.apply_assigned(asked, &assigned, 0);
    }

    /// Docker shows a run.
    pub(super) fn shows(&mut self, status: Status, raw: &str, exit_code: Option<i64>) {
        let at = DateTime::from_timestamp(1, 0);
        let is_over = matches!(status, Status::Stopped | Status::Restarting);
        let info = ContainerInfo {
            raw_started: Some(raw.to_owned()),
            started_at: at,
            finished_at: at.filter(|_| is_over),
            exit_code,
            ..self.info(status)
        };
        let (sequence, container) = (self.outbox.next_sequence(), self.container);
        self.outbox.observe(sequence, container, Observation::Found(Box::new(info)), 0);
    }

    pub(super) fn started(&mut self) {
        self.outbox.process_started(self.container, &engine());
    }

    pub(super) fn exited(&mut self, code: i64) {
        let exit = ProcessExit { code, at: DateTime::UNIX_EPOCH };
        self.outbox.process_exited(self.container, (&engine(), exit));
    }

    /// Sends all messages, and returns the runs in them that have ended.
    pub(super) fn send_ends(&mut self) -> Vec<(i64, EndReason, Option<i64>)> {
        ends(&self.send_all())
    }

    fn info(&self, status: Status) -> ContainerInfo {
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
            raw_started: None,
            finished_at: None,
            live: LiveState::default(),
            cluster: None,
            rebuild: None,
            name: None,
            limits: zun_common::units::Resources::default(),
        }
    }

    pub(super) fn observe(&mut self, status: Status) -> Conclusion {
        let (sequence, observation) =
            (self.outbox.next_sequence(), Observation::Found(Box::new(self.info(status))));
        self.outbox.observe(sequence, self.container, observation, 0)
    }

    fn observe_missing(&mut self) -> Conclusion {
        let sequence = self.outbox.next_sequence();
        self.outbox.observe(sequence, self.container, Observation::Missing, 0)
    }

    pub(super) fn begin(&mut self, task: TaskState) {
        self.outbox.begin(self.container, task, 0);
    }

    pub(super) fn finish(
        &mut self,
        status: Option<Status>,
        failure: Option<Failure>,
    ) -> Conclusion {
        let sequence = self.outbox.next_sequence();
        let observation = status
            .map_or(Observation::Missing, |status| Observation::Found(Box::new(self.info(status))));
        let completion = Completion { sequence, observation: Some(observation), failure };
        self.outbox.finish(self.container, (completion, ended()), 0)
    }

    /// Sends all messages that are ready, and returns their reports.
    pub(super) fn send_all(&mut self) -> Vec<ContainerReport> {
        let mut sent = Vec::new();
        while let Some(message) = self.outbox.take() {
            self.outbox.acknowledged(message.container);
            sent.extend(message.report);
        }
        sent
    }

    fn send_states(&mut self) -> Vec<(Status, Option<TaskState>)> {
        self.send_all().into_iter().map(|report| (report.status, report.task_state)).collect()
    }

    fn session_event(&mut self, kind: SessionEventKind, grant: &str) {
        let event =
            SessionEvent { kind, watches: false, grant: grant.to_owned(), container: engine() };
        self.outbox.count_session(event, 0);
    }
}

pub(super) fn ends(reports: &[ContainerReport]) -> Vec<(i64, EndReason, Option<i64>)> {
    let runs = reports.iter().flat_map(|report| &report.runs);
    runs.filter_map(|run| {
        let end = run.end.as_ref()?;
        Some((run.number, end.reason, end.exit_code))
    })
    .collect()
}

fn ended() -> Ended {
    let state = watch::Sender::new(OperationState::Begun);
    Ended {
        operation: OperationId::random(),
        outcome: Outcome::Succeeded,
        has_replaced: false,
        state,
    }
}

fn engine() -> EngineId {
    "ab".repeat(32).parse().expect("an id")
}

pub(super) fn not_found() -> Failure {
    Failure { reason: "no such file".to_owned(), exit_code: Some(127), fatal: true }
}

#[test]
fn the_task_state_is_reported_before_the_work_and_cleared_after_it() {
    let mut fixture = Fixture::new();
    fixture.begin(TaskState::Creating);
    assert_eq!(fixture.send_states(), [(Status::Creating, Some(TaskState::Creating))]);
    fixture.observe(Status::Created);
    assert_eq!(fixture.send_states(), [(Status::Created, Some(TaskState::Creating))]);
    fixture.finish(Some(Status::Created), None);
    assert_eq!(fixture.send_states(), [(Status::Created, None)]);
}

#[test]
fn a_late_observation_does_not_replace_a_newer_one() {
    let mut fixture = Fixture::new();
    let old = fixture.outbox.next_sequence();
    fixture.observe(Status::Stopped);
    let observation = Observation::Found(Box::new(fixture.info(Status::Running)));
    fixture.outbox.observe(old, fixture.container, observation, 0);
    assert_eq!(fixture.send_states(), [(Status::Stopped, None)]);
}

#[test]
fn a_failed_start_is_reported_with_its_code_until_the_container_changes() {
    let mut fixture = Fixture::new();
    fixture.outbox.create_requested(fixture.container, (false, false));
    fixture.observe(Status::Created);
    fixture.begin(TaskState::Starting);
    fixture.finish(Some(Status::Created), Some(not_found()));
    let sent = fixture.send_all();
    let last = sent.last().expect("a report");
    assert_eq!((last.status, last.exit_code), (Status::Error, Some(127)));
    fixture.observe(Status::Created);
    assert_eq!(fixture.send_all(), [], "an event that changes nothing hides no error");
    fixture.observe(Status::Running);
    let sent = fixture.send_all();
    assert_eq!((sent[0].status, &sent[0].status_reason), (Status::Running, &None));
}

#[test]
fn a_running_container_is_not_in_error_when_an_operation_fails() {
    for is_found in [true, false] {
        let mut fixture = Fixture::new();
        fixture.observe(Status::Running);
        fixture.begin(TaskState::Rebooting);
        let failure = Failure { fatal: true, exit_code: None, reason: "no answer".to_owned() };
        let found = Observation::Found(Box::new(fixture.info(Status::Running)));
        let observation = is_found.then_some(found);
        let sequence = fixture.outbox.next_sequence();
        let completion = Completion { sequence, observation, failure: Some(failure) };
        fixture.outbox.finish(fixture.container, (completion, ended()), 0);
        let sent = fixture.send_all();
        let last = sent.last().expect("a report");
        assert_eq!((last.status, last.task_state), (Status::Running, None));
        assert_eq!(last.status_reason.as_deref(), Some("no answer"));
    }
}

#[test]
fn a_container_that_could_not_start_and_is_gone_is_deleted_with_the_failed_run() {
    for event_is_first in [true, false] {
        let mut fixture = Fixture::new();
        fixture.outbox.create_requested(fixture.container, (true, false));
        fixture.observe(Status::Created);
        fixture.begin(TaskState::Starting);
        fixture.send_all();
        if event_is_first {
            fixture.observe_missing();
            assert_eq!(fixture.send_all(), [], "its operation runs");
        }
        fixture.finish(None, Some(not_found()));
        let sent = fixture.send_all();
        let states: Vec<_> = sent.iter().map(|report| (report.status, report.exit_code)).collect();
        assert_eq!(states, [(Status::Deleted, Some(127))]);
        assert_eq!(ends(&sent), [(1, EndReason::NotStarted, Some(127))]);
    }
}

#[test]
fn a_failed_stop_is_reported_with_the_actual_status_and_its_reason() {
    let mut fixture = Fixture::new();
    fixture.observe(Status::Running);
    fixture.begin(TaskState::Stopping);
    let failure = Failure { reason: "cannot stop".to_owned(), exit_code: None, fatal: false };
    fixture.finish(Some(Status::Running), Some(failure));
    let sent = fixture.send_all();
    let last = sent.last().expect("a report");
    assert_eq!((last.status, last.task_state), (Status::Running, None));
    assert_eq!(last.status_reason.as_deref(), Some("cannot stop"));
}

#[test]
fn a_removal_is_reported_once_and_nothing_brings_the_container_back() {
    let mut fixture = Fixture::new();
    fixture.observe(Status::Stopped);
    fixture.send_all();
    let late = fixture.outbox.next_sequence();
    fixture.begin(TaskState::Deleting);
    assert_eq!(fixture.send_states(), [(Status::Deleting, Some(TaskState::Deleting))]);
    fixture.observe_missing();
    fixture.finish(None, None);
    assert_eq!(fixture.send_states(), [(Status::Deleted, None)]);
    let observation = Observation::Found(Box::new(fixture.info(Status::Stopped)));
    fixture.outbox.observe(late, fixture.container, observation, 0);
    assert_eq!(fixture.send_all(), []);
}

#[test]
fn a_removal_is_reported_by_an_agent_that_does_not_know_the_runs() {
    let mut fixture = Fixture::new();
    fixture.outbox.begin_epoch();
    fixture.begin(TaskState::Deleting);
    assert!(fixture.outbox.take().is_none(), "another agent may have numbered runs");
    fixture.finish(None, None);
    let message = fixture.outbox.take().expect("the removal");
    assert_eq!(message.report.expect("a report").status, Status::Deleted);
    assert_eq!(message.outcomes.len(), 1);
}

#[test]
fn an_outcome_is_sent_when_zun_api_does_not_know_the_container_any_more() {
    let mut fixture = Fixture::new();
    fixture.outbox.begin_epoch();
    fixture.begin(TaskState::Stopping);
    fixture.finish(Some(Status::Stopped), None);
    assert!(fixture.outbox.take().is_none(), "its runs are not known yet");
    fixture.outbox.retain(|_| false);
    let message = fixture.outbox.take().expect("the outcome");
    assert_eq!((message.report, message.outcomes.len()), (None, 1));
}

#[test]
fn a_missing_container_is_deleted_or_needs_a_reconcile() {
    let mut fixture = Fixture::new();
    fixture.outbox.create_requested(fixture.container, (true, false));
    fixture.observe(Status::Running);
    assert_eq!(fixture.observe_missing(), Conclusion::Settled);
    assert_eq!(fixture.send_states(), [(Status::Deleted, None)]);

    let mut fixture = Fixture::new();
    fixture.outbox.create_requested(fixture.container, (false, false));
    fixture.observe(Status::Running);
    assert_eq!(fixture.observe_missing(), Conclusion::NeedsReconcile);
    let asked = fixture.outbox.next_sequence();
    fixture.outbox.absent(asked, fixture.container, false, 0);
    let sent = fixture.send_all();
    let last = sent.last().expect("a report");
    let words = format!("No such container: {}", fixture.container);
    assert_eq!((last.status, last.status_reason.as_ref()), (Status::Error, Some(&words)));
    assert_eq!(fixture.observe_missing(), Conclusion::Settled, "zun-api is asked once");
}

#[test]
fn a_removal_is_reported_again_if_a_restored_database_does_not_know_it() {
    for expected in [true, false] {
        let mut fixture = Fixture::new();
        fixture.outbox.create_requested(fixture.container, (true, false));
        fixture.observe(Status::Running);
        assert_eq!(fixture.observe_missing(), Conclusion::Settled);
        assert_eq!(fixture.send_states(), [(Status::Deleted, None)]);
        fixture.outbox.begin_epoch();
        let asked = fixture.outbox.next_sequence();
        fixture.outbox.absent(asked, fixture.container, expected, 0);
        assert_eq!(fixture.send_states(), [(Status::Deleted, None)]);
    }
}

#[test]
fn a_container_that_was_created_after_the_question_to_zun_api_is_not_lost() {
    let mut fixture = Fixture::new();
    let asked = fixture.outbox.next_sequence();
    fixture.observe(Status::Created);
    fixture.outbox.absent(asked, fixture.container, false, 0);
    assert_eq!(fixture.send_states(), [(Status::Created, None)]);
}

#[test]
fn open_consoles_are_reported_until_the_process_ends() {
    let mut fixture = Fixture::new();
    fixture.session_event(SessionEventKind::Begin, "before the first inspection");
    fixture.observe(Status::Created);
    assert_eq!(fixture.send_all()[0].attached, 1);
    fixture.session_event(SessionEventKind::Begin, "b");
    assert_eq!(fixture.send_all()[0].attached, 2);
    fixture.session_event(SessionEventKind::End, "b");
    fixture.session_event(SessionEventKind::End, "b");
    assert_eq!(fixture.send_all()[0].attached, 1);
    fixture.observe(Status::Stopped);
    assert_eq!(fixture.send_all()[0].attached, 0);
    fixture.session_event(SessionEventKind::End, "before the first inspection");
    assert_eq!(fixture.send_all(), []);
}

#[test]
fn consoles_end_with_the_engine() {
    let mut fixture = Fixture::new();
    fixture.observe(Status::Running);
    fixture.session_event(SessionEventKind::Begin, "a");
    fixture.send_all();
    fixture.outbox.events_ended(0);
    assert_eq!(fixture.send_all()[0].attached, 0);
}

#[test]
fn what_zun_api_has_no_more_is_forgotten_once_it_is_empty() {
    let mut fixture = Fixture::new();
    fixture.observe(Status::Error);
    fixture.outbox.retain(|_| false);
    assert_eq!(fixture.send_all().len(), 1, "it is not acknowledged yet");
    fixture.outbox.retain(|_| false);
    assert!(fixture.outbox.newest(fixture.container).is_none());
}

#[test]
fn an_outcome_goes_with_the_last_report_and_again_if_the_message_was_lost() {
    let mut fixture = Fixture::new();
    fixture.observe(Status::Created);
    fixture.send_all();
    fixture.begin(TaskState::Starting);
    let ended = ended();
    let (operation, state) = (ended.operation, ended.state.subscribe());
    let sequence = fixture.outbox.next_sequence();
    let observation = Some(Observation::Found(Box::new(fixture.info(Status::Running))));
    fixture.outbox.finish(
        fixture.container,
        (Completion { sequence, observation, failure: None }, ended),
        0,
    );
    for _ in 0..2 {
        let message = fixture.outbox.take().expect("a message");
        assert_eq!(message.report.expect("a report").status, Status::Running);
        assert_eq!(message.outcomes.len(), 1);
        assert_eq!(message.outcomes[0].operation, operation);
        assert!(fixture.outbox.take().is_none(), "one message about a container at a time");
        fixture.outbox.failed(fixture.container);
    }
    fixture.outbox.take().expect("again");
    assert!(!fixture.outbox.is_empty());
    fixture.outbox.acknowledged(fixture.container);
    assert_eq!(*state.borrow(), OperationState::Acknowledged(Outcome::Succeeded));
    assert!(fixture.outbox.is_empty());
    assert!(fixture.outbox.take().is_none());
}

#[test]
fn an_outcome_without_a_change_is_sent_alone() {
    let mut fixture = Fixture::new();
    fixture.observe(Status::Stopped);
    fixture.send_all();
    let sequence = fixture.outbox.next_sequence();
    let observation = Some(Observation::Found(Box::new(fixture.info(Status::Stopped))));
    fixture.outbox.finish(
        fixture.container,
        (Completion { sequence, observation, failure: None }, ended()),
        0,
    );
    let message = fixture.outbox.take().expect("a message");
    assert_eq!((message.report.is_some(), message.outcomes.len()), (false, 1));
}

#[test]
fn a_container_whose_report_cannot_be_stored_rests_and_the_others_do_not() {
    let mut fixture = Fixture::new();
    fixture.shows(Status::Running, "t1", None);
    assert!(fixture.outbox.take().is_some());
    fixture.outbox.rest(fixture.container);
    fixture.shows(Status::Stopped, "t1", Some(0));
    assert!(fixture.outbox.take().is_none());
    fixture.outbox.wake(fixture.container);
    let report = fixture.outbox.take().and_then(|message| message.report).expect("a report");
    assert_eq!(report.status, Status::Stopped);
}
