//! Restarts unhealthy containers that were created with `auto_heal`.
//!
//! ```text
//!  report: unhealthy ──> restart accepted ──2 min──> check: still unhealthy? ──> restart, and check again
//!              │                                        └── healthy, ended or deleted ──> nothing
//!              └── another operation is open ──30 s──> check
//! ```

use chrono::{NaiveDateTime, TimeDelta};
use zun_common::id::ContainerId;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::operation::Change;
use zun_common::status::{Health, Status};

use super::BEGIN_LIMIT;
use crate::db::container::{self, Record, Scope};
use crate::db::host::{self, Liveness};
use crate::db::operation::{self, Accepted, NewOperation};
use crate::db::{Conn, DbError, lock, now};

/// The time from an accepted restart to the next check. It is longer than a restart takes, unless its outcome is unknown.
const CHECKED_AFTER: TimeDelta = TimeDelta::minutes(2);
/// How long the check waits if it finds another operation open, or the host down.
const POSTPONED_BY: TimeDelta = TimeDelta::seconds(30);

/// Whether the container is to be restarted in its present state.
pub(crate) fn is_to_be_healed(record: &Record) -> bool {
    let is_unhealthy =
        record.status == Status::Running && record.live.health == Some(Health::Unhealthy);
    record.spec.auto_heal && is_unhealthy
}

/// Accepts the restart of an unhealthy container, unless somebody else stops or restarts it just now. In both cases, the
/// container is checked again later. Must run in a transaction that has locked the container.
pub(crate) fn heal(conn: &mut Conn, record: &Record) -> Result<Option<Accepted>, DbError> {
    let Some(host) = &record.host else { return Ok(None) };
    let at = now(conn)?;
    if operation::has_open_change_of_run(conn, record.id)? {
        container::set_heal_at(conn, record.id, Some(at + POSTPONED_BY))?;
        return Ok(None);
    }
    container::set_heal_at(conn, record.id, Some(at + CHECKED_AFTER))?;
    let change = Change::Reboot { grace: record.spec.options.stop_timeout };
    let (user, request) = (&record.user, &CallContext::internal().request);
    let limit = Some(BEGIN_LIMIT);
    let new = NewOperation { subject: record.into(), user, request, key: None, change, limit };
    operation::accept(conn, host, new).map(Some)
}

/// Checks a container whose time has come: restarts it if it is still unhealthy. Must run in a transaction.
pub(crate) fn check(
    conn: &mut Conn,
    id: ContainerId,
    at: NaiveDateTime,
) -> Result<Option<Accepted>, DbError> {
    lock::container(conn, id)?;
    let read = container::by_id(conn, &Scope::All, id);
    let record = container::or_stand_in(conn, id, read)?;
    let Some(record) = record.filter(is_to_be_healed) else {
        container::set_heal_at(conn, id, None)?;
        return Ok(None);
    };
    let host = match &record.host {
        Some(host) => host::by_name(conn, host)?,
        None => None,
    };
    if host.is_some_and(|host| host.liveness(at) == Liveness::Up) {
        return heal(conn, &record);
    }
    container::set_heal_at(conn, id, Some(at + POSTPONED_BY))?;
    Ok(None)
}
