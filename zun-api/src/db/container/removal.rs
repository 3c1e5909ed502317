//! Removes containers: the tombstone, its confirmation by the host, and its end.

use chrono::NaiveDateTime;
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use zun_common::api::v1::event::{EventAction, EventType};
use zun_common::id::ContainerId;
use zun_common::status::{Status, TaskState};

use super::query::with_tombstone;
use super::row::Record;
use super::unreadable::or_stand_in;
use crate::db::event::{self, About, NewEvent};
use crate::db::quota::{self, Amounts};
use crate::db::schema::containers::dsl;
use crate::db::schema::{operations, runs};
use crate::db::{Conn, DbError, host, now, port, resource};

/// Writes the tombstone: lists no longer show the container, and its name is free. It keeps its resources until
/// [`confirm_removal`]. Returns the container as it was last, or `None` if it had a tombstone.
pub(crate) fn write_tombstone(conn: &mut Conn, id: ContainerId) -> Result<Option<Record>, DbError> {
    let at = now(conn)?;
    let changed = diesel::update(
        dsl::containers.filter(dsl::uuid.eq(id.to_string())).filter(dsl::deleted_at.is_null()),
    )
    .set((
        dsl::deleted_at.eq(at),
        dsl::status.eq(Status::Deleting.as_str()),
        dsl::task_state.eq(TaskState::Deleting.as_str()),
        dsl::updated_at.eq(at),
    ))
    .execute(conn)?;
    if changed == 0 {
        return Ok(None);
    }
    let read = with_tombstone(conn, id);
    or_stand_in(conn, id, read)
}

/// The host has confirmed that a deleted container is gone, so its resources are free. The claim is released once.
/// Must run in a transaction.
pub(crate) fn confirm_removal(conn: &mut Conn, id: ContainerId) -> Result<(), DbError> {
    let at = now(conn)?;
    let gone = diesel::update(
        dsl::containers
            .filter(dsl::uuid.eq(id.to_string()))
            .filter(dsl::deleted_at.is_not_null())
            .filter(dsl::gone_at.is_null()),
    )
    .set((
        dsl::gone_at.eq(at),
        dsl::status.eq(Status::Deleted.as_str()),
        dsl::task_state.eq(None::<String>),
        dsl::updated_at.eq(at),
    ))
    .execute(conn)?;
    if gone == 0 { Ok(()) } else { release(conn, id) }
}

/// Records that a container is gone, and releases what it has: its part of the quota, and its claim if it holds one.
fn release(conn: &mut Conn, id: ContainerId) -> Result<(), DbError> {
    let row = || dsl::containers.filter(dsl::uuid.eq(id.to_string()));
    let released = diesel::update(row())
        .filter(dsl::claim_held.eq(true))
        .set(dsl::claim_held.eq(false))
        .execute(conn)?;
    let (project, host, name, image): (String, Option<String>, String, String) =
        row().select((dsl::project_id, dsl::host, dsl::name, dsl::image)).first(conn)?;
    let (cpu_millis, memory_mib, disk_gib): (i64, i64, i64) =
        row().select((dsl::cpu_millis, dsl::memory_mib, dsl::disk_gib)).first(conn)?;
    let counted = Amounts { containers: 1, ..Amounts::default() };
    let amounts = if released == 0 {
        counted
    } else {
        Amounts { cpu_millis, memory_mib, disk_gib, ..counted }
    };
    let about = About {
        kind: EventType::Container,
        project: &project,
        id: id.to_string(),
        name: &name,
        image: Some(&image),
        host: host.as_deref(),
    };
    event::write(conn, &about, vec![NewEvent::of(EventAction::Destroy)])?;
    resource::release(conn, id)?;
    quota::release(conn, &project, amounts)?;
    match host {
        Some(host) if released > 0 => {
            port::release(conn, id)?;
            host::release(conn, &host, (cpu_millis, memory_mib, disk_gib))
        }
        Some(_) | None => Ok(()),
    }
}

/// Purges containers whose removal was confirmed before this time, their operations and their runs. At most a thousand.
/// Those on a host that was removed stay until it has carried out their removal.
pub(crate) fn purge(conn: &mut Conn, before: NaiveDateTime) -> Result<usize, DbError> {
    let open = operations::table
        .filter(operations::container.eq(dsl::uuid))
        .filter(operations::outcome.is_null());
    let old: Vec<String> = dsl::containers
        .filter(dsl::gone_at.lt(before))
        .filter(not(exists(open)))
        .limit(1000)
        .select(dsl::uuid)
        .load(conn)?;
    if old.is_empty() {
        return Ok(0);
    }
    diesel::delete(operations::table.filter(operations::container.eq_any(&old))).execute(conn)?;
    diesel::delete(runs::table.filter(runs::container.eq_any(&old))).execute(conn)?;
    Ok(diesel::delete(dsl::containers.filter(dsl::uuid.eq_any(&old))).execute(conn)?)
}
