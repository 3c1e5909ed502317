//! Operations in the API's responses.

use zun_common::api::v1::action::{ActionEvent, ContainerAction};

use super::ViewContext;
use super::gate::Seen;
use crate::app::Caller;
use crate::db::operation::{OutcomeKind, Record};

/// An operation without events, for lists.
pub(in crate::http) fn action(
    record: &Record,
    (caller, view_context): (&Caller, &ViewContext),
) -> Seen<ContainerAction> {
    Seen { whole: without_events(record), reader: view_context.reader(caller) }
}

fn without_events(record: &Record) -> ContainerAction {
    ContainerAction {
        action: record.kind.as_str().to_owned(),
        container_uuid: record.container.to_string(),
        request_id: record.request.clone(),
        user_id: record.user.clone(),
        project_id: record.project.clone(),
        start_time: Some(record.accepted_at),
        finish_time: record.finished_at,
        message: message(record),
        run: record.run,
        events: None,
    }
}

/// An operation with its events.
pub(in crate::http) fn action_with_events(
    record: &Record,
    (caller, view_context): (&Caller, &ViewContext),
) -> Seen<ContainerAction> {
    let event = ActionEvent {
        event: format!("compute_{}", record.kind.as_str()),
        start_time: Some(record.accepted_at),
        finish_time: record.finished_at,
        result: record.outcome.map(|outcome| result(outcome).to_owned()),
        traceback: None,
    };
    let whole = ContainerAction { events: Some(vec![event]), ..without_events(record) };
    Seen { whole, reader: view_context.reader(caller) }
}

const fn result(outcome: OutcomeKind) -> &'static str {
    match outcome {
        OutcomeKind::Succeeded => "Success",
        OutcomeKind::Failed => "Error",
        OutcomeKind::Expired => "Expired",
        OutcomeKind::Unknown => "Unknown",
    }
}

fn message(record: &Record) -> Option<String> {
    match record.outcome? {
        OutcomeKind::Succeeded => None,
        OutcomeKind::Failed => record.problem.as_ref().map(|problem| problem.message.clone()),
        OutcomeKind::Expired => Some("The host did not begin it in time.".to_owned()),
        OutcomeKind::Unknown => {
            Some("The host did not report the outcome. It may have been carried out.".to_owned())
        }
    }
}
