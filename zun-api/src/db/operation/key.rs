//! Idempotency keys: they map a request to the operation that it was accepted as.

use diesel::prelude::*;
use zun_common::id::{ContainerId, Epoch, HostName, OperationId, ProjectId};
use zun_common::rpc::Problem;

use super::change::Accepted;
use super::query::operation;
use super::row::{Kind, OutcomeKind, Row};
use crate::db::schema::hosts::dsl as hosts;
use crate::db::schema::operations::dsl;
use crate::db::{Conn, DbError};

/// An idempotency key, and the request that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestKey {
    /// The project of the caller. Keys of different projects are different.
    pub(crate) project: ProjectId,
    pub(crate) text: String,
    /// A hash of what the request asks for. All requests with the key must have the same.
    pub(crate) fingerprint: String,
}

/// The operation that the first request with a key was accepted as.
#[derive(Debug, Clone)]
pub(crate) struct First {
    pub(crate) container: ContainerId,
    pub(crate) kind: Kind,
    pub(crate) fingerprint: Option<String>,
    pub(crate) host: Option<HostName>,
    pub(crate) outcome: Option<OutcomeKind>,
    pub(crate) problem: Option<Problem>,
    /// The operation, if it is open and the agent that received it has not been replaced.
    pub(crate) open: Option<Accepted>,
}

/// The operation of the first request with the key. `None` if none was accepted.
pub(crate) fn by_key(conn: &mut Conn, key: &RequestKey) -> Result<Option<First>, DbError> {
    type Found = (Row, Option<String>, Option<String>);
    let found: Option<Found> = dsl::operations
        .filter(dsl::key_project.eq(key.project.as_str()))
        .filter(dsl::idempotency_key.eq(&key.text))
        .select((Row::as_select(), dsl::host, dsl::fingerprint))
        .first(conn)
        .optional()?;
    let Some((row, host, fingerprint)) = found else { return Ok(None) };
    let host: Option<HostName> = host.map(|host| row.parse("host", &host)).transpose()?;
    let open = match &host {
        Some(host) if row.outcome.is_none() => received(conn, &row, host)?,
        Some(_) | None => None,
    };
    Ok(Some(First {
        container: row.container()?,
        kind: row.kind()?,
        fingerprint,
        host,
        outcome: row.outcome()?,
        problem: row.problem(),
        open,
    }))
}

/// The operation, if the host's present agent counts as the one that received it.
fn received(conn: &mut Conn, row: &Row, host: &HostName) -> Result<Option<Accepted>, DbError> {
    let current: i64 =
        hosts::hosts.filter(hosts::name.eq(host.as_str())).select(hosts::epoch).first(conn)?;
    if row.epoch != Some(current) {
        return Ok(None);
    }
    let epoch = Epoch(current);
    let operation = operation(conn, row, epoch)?;
    Ok(Some(Accepted { host: host.clone(), epoch, operation, is_held: false }))
}

/// Releases the key of a failed operation: a later request with it is a new one.
pub(crate) fn release_key(conn: &mut Conn, id: OperationId) -> Result<(), DbError> {
    diesel::update(dsl::operations)
        .filter(dsl::uuid.eq(id.to_string()))
        .filter(dsl::outcome.eq(OutcomeKind::Failed.as_str()))
        .set((
            dsl::key_project.eq(None::<String>),
            dsl::idempotency_key.eq(None::<String>),
            dsl::fingerprint.eq(None::<String>),
        ))
        .execute(conn)?;
    Ok(())
}
