//! Deletes old events.

use chrono::NaiveDateTime;
use diesel::dsl::max;
use diesel::prelude::*;

use crate::db::schema::events::dsl;
use crate::db::{Conn, DbError};

/// How many events one transaction deletes.
const BATCH: i64 = 5_000;

/// Deletes events that were recorded before this time, and those beyond the newest `kept`: the oldest, at most as many as
/// one transaction should. Returns whether there are more.
pub(crate) fn prune(
    conn: &mut Conn,
    (before, kept): (NaiveDateTime, i64),
) -> Result<bool, DbError> {
    let expired: Option<i64> =
        dsl::events.filter(dsl::at.lt(before)).select(max(dsl::id)).first(conn)?;
    let beyond: Option<i64> = dsl::events
        .order(dsl::id.desc())
        .offset(kept)
        .limit(1)
        .select(dsl::id)
        .first(conn)
        .optional()?;
    let Some(last) = expired.max(beyond) else { return Ok(false) };
    let oldest: Vec<i64> = dsl::events
        .filter(dsl::id.le(last))
        .order(dsl::id.asc())
        .limit(BATCH)
        .select(dsl::id)
        .load(conn)?;
    let Some(end) = oldest.last() else { return Ok(false) };
    diesel::delete(dsl::events.filter(dsl::id.le(end))).execute(conn)?;
    Ok(*end < last)
}
