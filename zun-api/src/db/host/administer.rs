//! Changes that administrators make to a host.

use diesel::prelude::*;
use zun_common::id::{ContainerId, HostName};

use super::images::forget_images;
use super::query::by_name;
use super::row::{Liveness, Record};
use crate::db::schema::containers;
use crate::db::schema::hosts::dsl;
use crate::db::{Conn, DbError, container, lock, now, transaction};

/// The result of a removal of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It is in no list.
    Done,
    /// There is no such host.
    Missing,
    /// Its agent sends heartbeats.
    Running,
    /// It has this many containers that were not deleted.
    HasContainers(i64),
}

/// Sets whether the host takes no new containers, and why. Returns the host, if there is one.
pub(crate) fn set_disabled(
    conn: &mut Conn,
    host: &HostName,
    (disabled, reason): (bool, Option<&str>),
) -> Result<Option<Record>, DbError> {
    let at = now(conn)?;
    diesel::update(dsl::hosts.filter(dsl::name.eq(host.as_str())))
        .set((dsl::disabled.eq(disabled), dsl::disabled_reason.eq(reason), dsl::updated_at.eq(at)))
        .execute(conn)?;
    known(conn, host)
}

/// Sets whether the host counts as down, even if it reports. Returns the host, if there is one.
pub(crate) fn set_forced_down(
    conn: &mut Conn,
    host: &HostName,
    forced_down: bool,
) -> Result<Option<Record>, DbError> {
    let at = now(conn)?;
    diesel::update(dsl::hosts.filter(dsl::name.eq(host.as_str())))
        .set((dsl::forced_down.eq(forced_down), dsl::updated_at.eq(at)))
        .execute(conn)?;
    known(conn, host)
}

/// Returns a host that was not removed.
pub(crate) fn known(conn: &mut Conn, host: &HostName) -> Result<Option<Record>, DbError> {
    Ok(by_name(conn, host)?.filter(|record| record.removed_at.is_none()))
}

/// Removes a host that does not return. Its deleted containers count as removed, so that their projects and ports are
/// free again. Their tombstones stay: if the host returns, it removes what it still has.
pub(crate) fn remove(conn: &mut Conn, host: &HostName) -> Result<Removed, DbError> {
    transaction(conn, |conn| {
        let on_host = || {
            containers::table
                .filter(containers::host.eq(host.as_str()))
                .filter(containers::gone_at.is_null())
        };
        let ids: Vec<String> = on_host().select(containers::uuid).load(conn)?;
        let ids: Vec<ContainerId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        lock::containers(conn, &ids)?;
        let projects: Vec<String> =
            on_host().select(containers::project_id).distinct().load(conn)?;
        lock::projects(conn, &projects.iter().map(String::as_str).collect::<Vec<_>>())?;
        lock::host(conn, host.as_str())?;
        let Some(record) = known(conn, host)? else { return Ok(Removed::Missing) };
        if record.heartbeats(now(conn)?) == Liveness::Up {
            return Ok(Removed::Running);
        }
        let kept = on_host().filter(containers::deleted_at.is_null());
        let kept: i64 = kept.count().get_result(conn)?;
        if kept > 0 {
            return Ok(Removed::HasContainers(kept));
        }
        for id in ids {
            container::confirm_removal(conn, id)?;
        }
        forget_images(conn, host)?;
        let at = now(conn)?;
        diesel::update(dsl::hosts.filter(dsl::name.eq(host.as_str())))
            .set((dsl::removed_at.eq(at), dsl::updated_at.eq(at)))
            .execute(conn)?;
        Ok(Removed::Done)
    })
}
