//! The effects of outcomes on containers.

use zun_common::id::{HostName, OperationId};
use zun_common::rpc::operation::{Change, OperationOutcome, Outcome};

use super::change::{Finished, finish};
use super::query::{container_of, is_on_host};
use super::row::Kind;
use crate::db::container::{self, Record};
use crate::db::{Conn, DbError, lock};

/// Stores the outcome of an operation, and its effect on the container. Returns the container if it has changed.
pub(crate) fn settle(
    conn: &mut Conn,
    id: OperationId,
    outcome: &Outcome,
) -> Result<Option<Record>, DbError> {
    if let Some(container) = container_of(conn, id)? {
        lock::container(conn, container)?;
    }
    match finish(conn, id, outcome)? {
        Some(finished) => take_effect(conn, &finished, outcome),
        None => Ok(None),
    }
}

/// Like [`settle`], for an outcome that a host reports. Ignores operations of other hosts.
pub(crate) fn settle_reported(
    conn: &mut Conn,
    host: &HostName,
    reported: &OperationOutcome,
) -> Result<Option<Record>, DbError> {
    if !is_on_host(conn, host, reported.operation)? {
        tracing::warn!(
            host.name = %host, operation.id = %reported.operation,
            "ignored an outcome from host {host}: the operation belongs to another host, or is forgotten"
        );
        return Ok(None);
    }
    settle(conn, reported.operation, &reported.outcome)
}

/// The effect of an outcome that is stored.
pub(super) fn take_effect(
    conn: &mut Conn,
    finished: &Finished,
    outcome: &Outcome,
) -> Result<Option<Record>, DbError> {
    let container = finished.container;
    match (finished.kind, outcome) {
        (Kind::Delete, Outcome::Succeeded) => {
            container::confirm_removal(conn, container)?;
            Ok(None)
        }
        (Kind::Create, Outcome::Failed(problem)) => {
            container::fail_creation(conn, container, &problem.message)
        }
        (Kind::Create, Outcome::Expired | Outcome::Unknown) => {
            let words = "The container's host did not create it within 10 minutes.";
            container::fail_creation(conn, container, words)
        }
        (Kind::Update, Outcome::Failed(_) | Outcome::Expired) => match &finished.change {
            Some(Change::Update { resources, before }) => {
                container::restore_limits(conn, container, (*resources, *before))
            }
            Some(_) | None => Ok(None),
        },
        (
            Kind::Create
            | Kind::Start
            | Kind::Stop
            | Kind::Reboot
            | Kind::Pause
            | Kind::Unpause
            | Kind::Kill
            | Kind::Update
            | Kind::Delete,
            _,
        ) => Ok(None),
    }
}
