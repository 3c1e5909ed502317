//! Changes of the ledger, which run in the transaction of their caller.

use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use zun_common::id::{ContainerId, Epoch, HostName, OperationId, ProjectId, RequestId, UserId};
use zun_common::rpc::operation::{Change, Operation, Outcome, Rename};
use zun_common::rpc::{Code, Problem};
use zun_common::units::Resources;

use super::key::RequestKey;
use super::row::{Kind, OutcomeKind, Row};
use crate::db::container;
use crate::db::schema::containers;
use crate::db::schema::hosts::dsl as hosts;
use crate::db::schema::operations::{self, dsl};
use crate::db::{Conn, DbError, lock, now};

/// How many accesses of a kind are recorded for each container.
const MAX_ACCESSES: i64 = 200;

/// An operation to accept.
#[derive(Debug)]
pub(crate) struct NewOperation<'a> {
    pub(crate) subject: Subject<'a>,
    pub(crate) user: &'a UserId,
    pub(crate) request: &'a RequestId,
    pub(crate) key: Option<&'a RequestKey>,
    pub(crate) change: Change,
    /// How long the agent may take to begin it; `None` if it never expires.
    pub(crate) limit: Option<TimeDelta>,
}

/// What an operation changes: a container, an image, a volume or a network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) id: ContainerId,
    pub(crate) project: &'a ProjectId,
}

impl<'a> From<&'a container::Record> for Subject<'a> {
    fn from(container: &'a container::Record) -> Self {
        Self { id: container.id, project: &container.project }
    }
}

/// An accepted operation, and the agent that should carry it out.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) host: HostName,
    pub(crate) epoch: Epoch,
    pub(crate) operation: Operation,
    /// The host is recovering: it receives the operation when an administrator has confirmed that.
    pub(crate) is_held: bool,
}

#[derive(Insertable)]
#[diesel(table_name = operations)]
struct NewRow {
    uuid: String,
    host: Option<String>,
    sequence: i64,
    previous: Option<i64>,
    container: String,
    project_id: String,
    user_id: String,
    kind: &'static str,
    arguments: Option<String>,
    request_id: String,
    key_project: Option<String>,
    idempotency_key: Option<String>,
    fingerprint: Option<String>,
    epoch: Option<i64>,
    deaths: i32,
    not_after: Option<NaiveDateTime>,
    outcome: Option<&'static str>,
    problem: Option<String>,
    accepted_at: NaiveDateTime,
    finished_at: Option<NaiveDateTime>,
}

/// Accepts an operation: it is open from now on, and its host's agent counts as the one that receives it. The
/// subject must be on this host.
pub(crate) fn accept(
    conn: &mut Conn,
    host: &HostName,
    new: NewOperation<'_>,
) -> Result<Accepted, DbError> {
    let row = hosts::hosts.filter(hosts::name.eq(host.as_str()));
    // The update locks the host's row, so that no other transaction gets the same number.
    diesel::update(row).set(hosts::last_sequence.eq(hosts::last_sequence + 1)).execute(conn)?;
    let (sequence, epoch, is_held): (i64, i64, bool) = row
        .select((hosts::last_sequence, hosts::epoch, hosts::agent_sequence.is_not_null()))
        .first(conn)?;
    let previous: Option<i64> = dsl::operations
        .filter(dsl::container.eq(new.subject.id.to_string()))
        .select(diesel::dsl::max(dsl::sequence))
        .first(conn)?;
    let accepted_at = now(conn)?;
    let not_after = new.limit.and_then(|limit| accepted_at.checked_add_signed(limit));
    let id = OperationId::random();
    diesel::insert_into(dsl::operations)
        .values(NewRow {
            host: Some(host.to_string()),
            sequence,
            previous,
            epoch: (!is_held).then_some(epoch),
            not_after,
            accepted_at,
            ..new_row(id, &new)?
        })
        .execute(conn)?;
    let operation = Operation {
        id,
        sequence,
        previous,
        container: new.subject.id,
        request: new.request.clone(),
        not_after: not_after.map(|limit| limit.and_utc()),
        again: false,
        change: new.change,
    };
    Ok(Accepted { host: host.clone(), epoch: Epoch(epoch), operation, is_held })
}

/// Records an operation that ended when it was accepted, such as on a container without a host.
pub(crate) fn record(
    conn: &mut Conn,
    new: &NewOperation<'_>,
    outcome: &Outcome,
) -> Result<(), DbError> {
    let accepted_at = now(conn)?;
    diesel::insert_into(dsl::operations)
        .values(NewRow {
            accepted_at,
            finished_at: Some(accepted_at),
            outcome: Some(OutcomeKind::of(outcome).as_str()),
            problem: problem(outcome)?,
            ..new_row(OperationId::random(), new)?
        })
        .execute(conn)?;
    Ok(())
}

/// A connection of a user to a container's console, or a command that a user ran in it.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) container: ContainerId,
    pub(crate) project: ProjectId,
    pub(crate) user: UserId,
    pub(crate) request: RequestId,
    pub(crate) kind: Kind,
    pub(crate) outcome: Outcome,
}

/// Records an access. Of each container and kind, only the newest 200 stay.
pub(crate) fn record_access(conn: &mut Conn, access: &Access) -> Result<(), DbError> {
    let at = now(conn)?;
    let row = NewRow {
        uuid: OperationId::random().to_string(),
        host: None,
        sequence: 0,
        previous: None,
        container: access.container.to_string(),
        project_id: access.project.to_string(),
        user_id: access.user.to_string(),
        kind: access.kind.as_str(),
        arguments: None,
        request_id: access.request.to_string(),
        key_project: None,
        idempotency_key: None,
        fingerprint: None,
        epoch: None,
        deaths: 0,
        not_after: None,
        outcome: Some(OutcomeKind::of(&access.outcome).as_str()),
        problem: problem(&access.outcome)?,
        accepted_at: at,
        finished_at: Some(at),
    };
    diesel::insert_into(dsl::operations).values(row).execute(conn)?;
    let of_kind =
        dsl::container.eq(access.container.to_string()).and(dsl::kind.eq(access.kind.as_str()));
    let oldest_to_keep: Option<i64> = dsl::operations
        .filter(of_kind.clone())
        .order(dsl::id.desc())
        .offset(MAX_ACCESSES - 1)
        .select(dsl::id)
        .first(conn)
        .optional()?;
    if let Some(oldest) = oldest_to_keep {
        diesel::delete(dsl::operations.filter(of_kind.and(dsl::id.lt(oldest)))).execute(conn)?;
    }
    Ok(())
}

fn new_row(id: OperationId, new: &NewOperation<'_>) -> Result<NewRow, DbError> {
    // The details of a creation are in the container's row.
    let is_in_container = matches!(new.change, Change::Create { .. });
    let arguments = if is_in_container { None } else { Some(serde_json::to_string(&new.change)?) };
    Ok(NewRow {
        uuid: id.to_string(),
        host: None,
        sequence: 0,
        previous: None,
        container: new.subject.id.to_string(),
        project_id: new.subject.project.to_string(),
        user_id: new.user.to_string(),
        kind: Kind::of(&new.change).as_str(),
        arguments,
        request_id: new.request.to_string(),
        key_project: new.key.map(|key| key.project.to_string()),
        idempotency_key: new.key.map(|key| key.text.clone()),
        fingerprint: new.key.map(|key| key.fingerprint.clone()),
        epoch: None,
        deaths: 0,
        not_after: None,
        outcome: None,
        problem: None,
        accepted_at: NaiveDateTime::default(),
        finished_at: None,
    })
}

/// The stored outcome of an operation, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) kind: Kind,
    pub(crate) outcome: OutcomeKind,
    /// The time since it was accepted.
    pub(crate) took: Duration,
}

impl Ended {
    /// It ended when it was accepted.
    pub(crate) const fn at_once(kind: Kind, outcome: OutcomeKind) -> Self {
        Self { kind, outcome, took: Duration::ZERO }
    }
}

/// An operation that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) container: ContainerId,
    pub(super) sequence: i64,
    pub(super) kind: Kind,
    /// What it did, if the row says so.
    pub(super) change: Option<Change>,
    /// The time since it was accepted.
    took: Duration,
}

impl Finished {
    pub(super) fn ended(&self, outcome: &Outcome) -> Ended {
        Ended { kind: self.kind, outcome: OutcomeKind::of(outcome), took: self.took }
    }

    fn of(row: &Row) -> Result<Self, DbError> {
        let took = row.finished_at.and_then(|at| (at - row.accepted_at).to_std().ok());
        let change = row.arguments.as_ref().and_then(|text| serde_json::from_str(text).ok());
        Ok(Self {
            container: row.container()?,
            sequence: row.sequence,
            kind: row.kind()?,
            change,
            took: took.unwrap_or_default(),
        })
    }
}

/// Stores the outcome of an operation that is open, or whose outcome was not certain. `None` if it has another outcome
/// already. A removal stays open until it succeeds.
pub(super) fn finish(
    conn: &mut Conn,
    id: OperationId,
    outcome: &Outcome,
) -> Result<Option<Finished>, DbError> {
    let at = now(conn)?;
    let succeeded = *outcome == Outcome::Succeeded;
    let uncertain = [OutcomeKind::Unknown.as_str(), OutcomeKind::Expired.as_str()];
    let row = || dsl::operations.filter(dsl::uuid.eq(id.to_string()));
    let changed = diesel::update(row())
        .filter(dsl::outcome.is_null().or(dsl::outcome.eq_any(uncertain)))
        .filter(dsl::kind.ne_all(Kind::LASTING).or(succeeded.into_sql::<Bool>()))
        .set((
            dsl::outcome.eq(OutcomeKind::of(outcome).as_str()),
            dsl::problem.eq(problem(outcome)?),
            dsl::finished_at.eq(at),
        ))
        .execute(conn)?;
    if changed == 0 {
        return Ok(None);
    }
    let row: Row = row().select(Row::as_select()).first(conn)?;
    Finished::of(&row).map(Some)
}

/// Handles the end of an update, after which the host has these limits. The container's row may already have the limits
/// of a later update. Until that one has an outcome, these are the limits to restore if the host refuses it. Returns
/// whether a later update decides the limits.
pub(super) fn replace_limits_before_next(
    conn: &mut Conn,
    ended: &Finished,
    on_host: Resources,
) -> Result<bool, DbError> {
    let later: Vec<Row> = dsl::operations
        .filter(dsl::container.eq(ended.container.to_string()))
        .filter(dsl::kind.eq(Kind::Update.as_str()).and(dsl::sequence.gt(ended.sequence)))
        .order(dsl::sequence.asc())
        .select(Row::as_select())
        .load(conn)?;
    for row in later {
        match row.outcome()? {
            Some(OutcomeKind::Succeeded) => return Ok(true),
            Some(OutcomeKind::Failed | OutcomeKind::Expired) => {}
            None | Some(OutcomeKind::Unknown) => {
                let Some(Change::Update { resources, before: _, rename }) =
                    Finished::of(&row)?.change
                else {
                    continue;
                };
                let change = Change::Update { resources, before: on_host, rename };
                replace_arguments(conn, &row, &change)?;
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn replace_arguments(conn: &mut Conn, row: &Row, change: &Change) -> Result<(), DbError> {
    diesel::update(dsl::operations.filter(dsl::uuid.eq(&row.uuid)))
        .set(dsl::arguments.eq(serde_json::to_string(change)?))
        .execute(conn)?;
    Ok(())
}

/// An update has failed, and with it this change of the container's name. If a later change of the name is not certain,
/// that one goes back to the former name. Returns whether a later change decides on the name.
pub(super) fn replace_name_before_next(
    conn: &mut Conn,
    (id, container): (OperationId, ContainerId),
    failed: &Rename,
) -> Result<bool, DbError> {
    let own: i64 =
        dsl::operations.filter(dsl::uuid.eq(id.to_string())).select(dsl::id).first(conn)?;
    let later: Vec<Row> = dsl::operations
        .filter(dsl::container.eq(container.to_string()))
        .filter(dsl::kind.eq(Kind::Update.as_str()).and(dsl::id.gt(own)))
        .order(dsl::id.asc())
        .select(Row::as_select())
        .load(conn)?;
    for row in later {
        let Some(Change::Update { resources, before, rename: Some(Rename { to, .. }) }) =
            Finished::of(&row)?.change
        else {
            continue;
        };
        match row.outcome()? {
            Some(OutcomeKind::Succeeded) => return Ok(true),
            Some(OutcomeKind::Failed | OutcomeKind::Expired) => {}
            None | Some(OutcomeKind::Unknown) => {
                let rename = Some(Rename { from: failed.from.clone(), to });
                replace_arguments(conn, &row, &Change::Update { resources, before, rename })?;
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Stores which run an operation began: the container's newest one. The report with the outcome has it.
pub(super) fn name_run(
    conn: &mut Conn,
    (id, container): (OperationId, ContainerId),
) -> Result<(), DbError> {
    let newest: Option<i64> = containers::table
        .filter(containers::uuid.eq(container.to_string()))
        .select(containers::run)
        .first(conn)
        .optional()?;
    diesel::update(dsl::operations.filter(dsl::uuid.eq(id.to_string())))
        .set(dsl::run.eq(newest.filter(|run| *run > 0)))
        .execute(conn)?;
    Ok(())
}

/// Ends the open operations of a container because it is removed. The agent may have
/// carried out operations that it received. For those that are not idempotent, the outcome is therefore unknown.
pub(crate) fn supersede(conn: &mut Conn, container: ContainerId) -> Result<(), DbError> {
    let words = "Canceled, because a removal was requested.";
    let outcome = Outcome::Failed(Problem::new(Code::Conflict, words));
    let at = now(conn)?;
    let open = dsl::container.eq(container.to_string()).and(dsl::outcome.is_null());
    let received = open.clone().and(dsl::epoch.is_not_null());
    diesel::update(dsl::operations)
        .filter(received.and(dsl::kind.eq_any(Kind::NON_IDEMPOTENT)))
        .set((dsl::outcome.eq(OutcomeKind::Unknown.as_str()), dsl::finished_at.eq(at)))
        .execute(conn)?;
    diesel::update(dsl::operations)
        .filter(open.and(dsl::kind.ne_all(Kind::REMOVALS)))
        .set((
            dsl::outcome.eq(OutcomeKind::Failed.as_str()),
            dsl::problem.eq(problem(&outcome)?),
            dsl::finished_at.eq(at),
        ))
        .execute(conn)?;
    Ok(())
}

/// Deletes the operations on a removed subject that keeps no history.
pub(crate) fn forget(conn: &mut Conn, subject: ContainerId) -> Result<(), DbError> {
    let of_subject = dsl::operations.filter(dsl::container.eq(subject.to_string()));
    diesel::delete(of_subject).execute(conn)?;
    Ok(())
}

/// Locks the open operations of a container, which is locked already. Returns whether there are others than removals.
pub(crate) fn lock_open(conn: &mut Conn, container: ContainerId) -> Result<bool, DbError> {
    let open = dsl::container.eq(container.to_string()).and(dsl::outcome.is_null());
    let open: Vec<(String, String)> =
        dsl::operations.filter(open).select((dsl::uuid, dsl::kind)).load(conn)?;
    let ids: Vec<OperationId> = open.iter().filter_map(|(id, _)| id.parse().ok()).collect();
    lock::operations(conn, &ids)?;
    Ok(open.iter().any(|(_, kind)| !Kind::REMOVALS.contains(&kind.as_str())))
}

/// Locks the containers of these operations, then the operations, then their projects. Rows that cannot be read are not
/// locked, and must not be changed.
pub(super) fn lock_rows(conn: &mut Conn, rows: &[Row]) -> Result<(), DbError> {
    let containers: Vec<_> = rows.iter().filter_map(|row| row.container().ok()).collect();
    lock::containers(conn, &containers)?;
    let operations: Vec<_> = rows.iter().filter_map(|row| row.id().ok()).collect();
    lock::operations(conn, &operations)?;
    let projects: Vec<&str> = rows.iter().map(|row| row.project_id.as_str()).collect();
    lock::projects(conn, &projects)
}

fn problem(outcome: &Outcome) -> Result<Option<String>, DbError> {
    match outcome {
        Outcome::Failed(problem) => Ok(Some(serde_json::to_string(problem)?)),
        Outcome::Succeeded | Outcome::Expired | Outcome::Unknown => Ok(None),
    }
}
