//! Queries of the ledger.

use std::collections::BTreeSet;

use chrono::{NaiveDateTime, TimeDelta};
use diesel::dsl::{count_star, exists, min, select};
use diesel::prelude::*;
use zun_common::chain;
use zun_common::id::{ContainerId, Epoch, HostName, ImageId, OperationId, ProjectId, RegistryId};
use zun_common::rpc::operation::{Change, NumberedOperation, Operation};

use super::row::{Kind, OutcomeKind, Record, Row};
use crate::db::container;
use crate::db::schema::operations::dsl;
use crate::db::{Conn, DbError, lock};

/// How long a removal is postponed after too many agents exited during it.
const GIVEN_UP_FOR: TimeDelta = TimeDelta::hours(1);
/// Maximum number of operations in one reply to a heartbeat. Tests see several pages of few operations.
const MAX_OPEN: i64 = if cfg!(test) { 4 } else { 256 };
/// Maximum size of the operations in one reply, in bytes of JSON. The bus refuses messages of more than 16 MiB.
const MAX_OPEN_SIZE: usize = 4 << 20;
/// Maximum number of operations of a container in a response.
const MAX_LISTED: i64 = 1000;

/// A page of the open operations of a host.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) operations: Vec<Operation>,
    /// All open operations of the page's beginning up to this number are in it.
    pub(crate) complete_to: i64,
    /// Whether there are others after that.
    pub(crate) has_more: bool,
}

impl Open {
    /// The answer to a recovering host: no operations.
    pub(crate) const NONE: Self = Self { operations: Vec::new(), complete_to: 0, has_more: false };
}

/// Which operations a heartbeat may hand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandOut {
    /// Those that the agent may have received already. Stores nothing that a power failure must not undo.
    Known,
    /// All. The caller stores durably that the agent may have received them.
    All,
}

/// Which part of the list of open operations a heartbeat asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// The agent's epoch.
    pub(crate) epoch: Epoch,
    /// The number of the host's last operation.
    pub(crate) last_sequence: i64,
    /// The page begins after this number.
    pub(crate) after: i64,
    pub(crate) hand_out: HandOut,
}

/// The open operations of a host after a number, in their order, as many as fit into a reply. Those that its current agent
/// has not received before are marked as received. `None` if there are such ones, and they may not be handed out.
pub(crate) fn open(
    conn: &mut Conn,
    host: &HostName,
    asked: Asked,
    now: NaiveDateTime,
) -> Result<Option<Open>, DbError> {
    let Asked { epoch, last_sequence, after, hand_out } = asked;
    let earlier = now - GIVEN_UP_FOR;
    let is_due = dsl::given_up_at.is_null().or(dsl::given_up_at.le(earlier));
    let rows: Vec<Row> = dsl::operations
        .filter(dsl::host.eq(host.as_str()).and(dsl::outcome.is_null()))
        .filter(dsl::sequence.gt(after).and(is_due.or(dsl::epoch.eq(epoch.0))))
        .order(dsl::sequence.asc())
        .limit(MAX_OPEN)
        .select(Row::as_select())
        .load(conn)?;
    let mut has_more = i64::try_from(rows.len()).is_ok_and(|count| count >= MAX_OPEN);
    let (mut operations, mut received) = (Vec::with_capacity(rows.len()), Vec::new());
    let (mut size, mut last_listed) = (0, after);
    for row in rows {
        match operation(conn, &row, epoch) {
            Ok(operation) => {
                size += serde_json::to_vec(&operation)?.len();
                if size > MAX_OPEN_SIZE && !operations.is_empty() {
                    has_more = true;
                    break;
                }
                if row.epoch != Some(epoch.0) {
                    received.push(operation.id);
                }
                operations.push(operation);
            }
            // An unreadable row must not block the host's other operations. It expires, or stays open.
            Err(error) => {
                tracing::error!(operation.id = %row.uuid, error = %chain(&error), "cannot read an operation");
            }
        }
        last_listed = row.sequence;
    }
    if !received.is_empty() {
        if hand_out == HandOut::Known {
            return Ok(None);
        }
        mark_received(conn, &received, epoch)?;
    }
    let complete_to = if has_more { last_listed } else { last_sequence };
    Ok(Some(Open { operations, complete_to, has_more }))
}

/// A heartbeat of an earlier epoch that is answered late changes nothing.
fn mark_received(conn: &mut Conn, received: &[OperationId], epoch: Epoch) -> Result<(), DbError> {
    lock::operations(conn, received)?;
    let received = received.iter().map(ToString::to_string);
    diesel::update(dsl::operations.filter(dsl::uuid.eq_any(received)))
        .filter(dsl::epoch.is_null().or(dsl::epoch.lt(epoch.0)))
        .set(dsl::epoch.eq(epoch.0))
        .execute(conn)?;
    Ok(())
}

/// The operation on the bus. A creation takes its specification from the container's row.
pub(super) fn operation(conn: &mut Conn, row: &Row, epoch: Epoch) -> Result<Operation, DbError> {
    let change = match (row.kind()?, &row.arguments) {
        (Kind::Create, None) => {
            let container = container::with_tombstone(conn, row.container()?)?;
            container.map(|record| Change::Create {
                spec: Box::new(record.spec.for_host(record.project)),
                start: record.start_wanted,
            })
        }
        _ => None,
    };
    row.operation(change, epoch.0)
}

/// Whether the host has another operation with the number of one of these.
pub(crate) fn has_another(
    conn: &mut Conn,
    host: &HostName,
    known: &[NumberedOperation],
) -> Result<bool, DbError> {
    if known.is_empty() {
        return Ok(false);
    }
    let numbers = known.iter().map(|known| known.sequence);
    let stored: Vec<(i64, String)> = dsl::operations
        .filter(dsl::host.eq(host.as_str()).and(dsl::sequence.eq_any(numbers)))
        .select((dsl::sequence, dsl::uuid))
        .load(conn)?;
    let is_another = |(sequence, uuid): &(i64, String)| {
        known.iter().any(|it| it.sequence == *sequence && it.operation.to_string() != *uuid)
    };
    Ok(stored.iter().any(is_another))
}

/// The host of an operation, if it has one, and its container.
pub(super) fn owner(
    conn: &mut Conn,
    id: OperationId,
) -> Result<Option<(Option<String>, ContainerId)>, DbError> {
    let found: Option<(Option<String>, Row)> = dsl::operations
        .filter(dsl::uuid.eq(id.to_string()))
        .select((dsl::host, Row::as_select()))
        .first(conn)
        .optional()?;
    found.map(|(host, row)| Ok((host, row.container()?))).transpose()
}

/// The project, and the login to a registry, that an open operation pulls with. `None` if it is not open on the host
/// in this epoch, or needs no login.
pub(crate) fn registry_of_open(
    conn: &mut Conn,
    (host, epoch): (&HostName, Epoch),
    id: OperationId,
) -> Result<Option<(ProjectId, RegistryId)>, DbError> {
    let Some(row) = received(conn, (host, epoch), id)? else { return Ok(None) };
    let project = row.parse("project_id", &row.project_id)?;
    let registry = match operation(conn, &row, epoch)?.change {
        Change::Create { spec, start: _ } | Change::Rebuild { spec, was_running: _ } => {
            spec.registry
        }
        Change::PullImage { registry, .. } => registry,
        Change::Start { .. }
        | Change::Stop { .. }
        | Change::Reboot { .. }
        | Change::Pause
        | Change::Unpause
        | Change::Kill { .. }
        | Change::Update { .. }
        | Change::Delete { .. }
        | Change::RemoveImage { .. }
        | Change::RemoveResource { .. } => None,
    };
    Ok(registry.map(|registry| (project, registry)))
}

/// The image that an open operation pulls. `None` if it is not open on the host in this epoch, or pulls none.
pub(crate) fn image_of_open(
    conn: &mut Conn,
    (host, epoch): (&HostName, Epoch),
    id: OperationId,
) -> Result<Option<ImageId>, DbError> {
    let row = received(conn, (host, epoch), id)?;
    let row = row.filter(|row| row.kind == Kind::PullImage.as_str());
    row.map(|row| row.container().map(ImageId::of_subject)).transpose()
}

/// Whether a pull of the image was accepted after the operation with this number, and has not failed.
pub(crate) fn is_pulled_later(
    conn: &mut Conn,
    image: ImageId,
    sequence: i64,
) -> Result<bool, DbError> {
    let succeeded = OutcomeKind::Succeeded.as_str();
    let later = dsl::operations
        .filter(dsl::container.eq(image.subject().to_string()))
        .filter(dsl::kind.eq(Kind::PullImage.as_str()).and(dsl::sequence.gt(sequence)))
        .filter(dsl::outcome.is_null().or(dsl::outcome.eq(succeeded)));
    Ok(select(exists(later)).get_result(conn)?)
}

/// An operation that is open on the host, and that its agent has received in this epoch.
fn received(
    conn: &mut Conn,
    (host, epoch): (&HostName, Epoch),
    id: OperationId,
) -> Result<Option<Row>, DbError> {
    let row: Option<Row> = dsl::operations
        .filter(dsl::uuid.eq(id.to_string()))
        .filter(dsl::host.eq(host.as_str()).and(dsl::outcome.is_null()))
        .filter(dsl::epoch.eq(epoch.0))
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    Ok(row)
}

/// The number of open operations, and when the oldest was accepted, by kind.
pub(crate) fn open_by_kind(
    conn: &mut Conn,
) -> Result<Vec<(String, i64, Option<NaiveDateTime>)>, DbError> {
    let open = dsl::operations.filter(dsl::outcome.is_null()).group_by(dsl::kind);
    Ok(open.select((dsl::kind, count_star(), min(dsl::accepted_at))).load(conn)?)
}

/// The number of open removals during which too many agents exited.
pub(crate) fn stalled_removals(conn: &mut Conn) -> Result<i64, DbError> {
    let given_up =
        dsl::operations.filter(dsl::outcome.is_null().and(dsl::given_up_at.is_not_null()));
    Ok(given_up.count().get_result(conn)?)
}

/// Whether a removal of the container is in progress.
pub(crate) fn has_open_delete(conn: &mut Conn, container: ContainerId) -> Result<bool, DbError> {
    let open = dsl::operations
        .filter(dsl::container.eq(container.to_string()))
        .filter(dsl::kind.eq(Kind::Delete.as_str()))
        .filter(dsl::outcome.is_null());
    Ok(select(exists(open)).get_result(conn)?)
}

/// The containers on a host with an open rebuild. The engine may have none of them at this moment.
pub(crate) fn rebuilding(
    conn: &mut Conn,
    host: &HostName,
) -> Result<BTreeSet<ContainerId>, DbError> {
    let containers: Vec<String> = dsl::operations
        .filter(dsl::host.eq(host.as_str()).and(dsl::outcome.is_null()))
        .filter(dsl::kind.eq(Kind::Rebuild.as_str()))
        .select(dsl::container)
        .load(conn)?;
    Ok(containers.iter().filter_map(|container| container.parse().ok()).collect())
}

/// Whether an operation is open that begins or ends a run of the container.
pub(crate) fn has_open_change_of_run(
    conn: &mut Conn,
    container: ContainerId,
) -> Result<bool, DbError> {
    let open = dsl::operations
        .filter(dsl::container.eq(container.to_string()))
        .filter(dsl::kind.ne(Kind::Update.as_str()))
        .filter(dsl::outcome.is_null());
    Ok(select(exists(open)).get_result(conn)?)
}

/// The operations of a container, newest first, at most a thousand.
pub(crate) fn of_container(
    conn: &mut Conn,
    container: ContainerId,
) -> Result<Vec<Record>, DbError> {
    let rows: Vec<Row> = dsl::operations
        .filter(dsl::container.eq(container.to_string()))
        .order(dsl::id.desc())
        .limit(MAX_LISTED)
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(Row::record).collect()
}

/// The operation of a request on a container.
pub(crate) fn of_request(
    conn: &mut Conn,
    container: ContainerId,
    request: &str,
) -> Result<Option<Record>, DbError> {
    let row: Option<Row> = dsl::operations
        .filter(dsl::container.eq(container.to_string()))
        .filter(dsl::request_id.eq(request))
        .order(dsl::id.desc())
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    row.map(Row::record).transpose()
}
