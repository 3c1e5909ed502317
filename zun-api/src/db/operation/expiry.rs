//! Ends operations whose time limit has passed, and deletes old ones.

use std::collections::HashMap;

use chrono::NaiveDateTime;
use diesel::prelude::*;
use zun_common::chain;
use zun_common::id::Epoch;
use zun_common::rpc::operation::Outcome;

use super::change::lock_rows;
use super::effect::{Settled, settle};
use super::row::{Kind, OutcomeKind, Row};
use crate::db::host::alive_epochs;
use crate::db::schema::operations::{self, dsl};
use crate::db::{Backend, Conn, DbError, now, transaction};

/// Rows that one query reads. Tests read several pages of few rows.
const PAGE: i64 = if cfg!(test) { 4 } else { 1000 };
/// Maximum number of operations that one transaction ends.
const MAX_EXPIRED: usize = 1000;
/// Maximum number of operations that one transaction deletes.
const MAX_PRUNED: i64 = 1000;

/// An open operation whose time limit has passed.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = operations, check_for_backend(Backend))]
struct Due {
    id: i64,
    uuid: String,
    host: Option<String>,
    kind: String,
    epoch: Option<i64>,
    not_after: Option<NaiveDateTime>,
}

impl Due {
    /// Whether it ends now. While the agent that may have received it sends heartbeats, that agent is at work on it, and
    /// will report the outcome.
    fn expires(&self, alive: &HashMap<String, Epoch>) -> bool {
        let current = self.host.as_ref().and_then(|host| alive.get(host));
        if self.epoch.is_some() && self.epoch == current.map(|epoch| epoch.0) {
            return false;
        }
        // A newer zun-api may know what it is.
        let Ok(kind) = self.kind.parse::<Kind>() else { return false };
        // The engine may have changed in part. The next agent finishes that, and reports how it ended.
        self.epoch.is_none() || !Kind::FINISHED.contains(&kind)
    }
}

/// The operations that end at this time, at most `limit`, the longest overdue first.
fn due(conn: &mut Conn, at: NaiveDateTime, limit: usize) -> Result<Vec<Due>, DbError> {
    let open = || dsl::operations.filter(dsl::outcome.is_null().and(dsl::not_after.le(at)));
    let (mut found, mut alive, mut last) = (Vec::new(), None, None::<(NaiveDateTime, i64)>);
    loop {
        let page = open().order((dsl::not_after.asc(), dsl::id.asc())).limit(PAGE);
        let page = page.select(Due::as_select());
        let page: Vec<Due> = match last {
            None => page.load(conn)?,
            Some((limit, id)) => {
                let further = dsl::not_after.gt(limit);
                let same = dsl::not_after.eq(limit).and(dsl::id.gt(id));
                page.filter(further.or(same)).load(conn)?
            }
        };
        let Some(end) = page.last() else { return Ok(found) };
        last = Some((end.not_after.unwrap_or(at), end.id));
        let alive = match &mut alive {
            Some(alive) => alive,
            alive @ None => alive.insert(alive_epochs(conn, at)?),
        };
        found.extend(page.into_iter().filter(|one| one.expires(alive)));
        if found.len() >= limit {
            found.truncate(limit);
            return Ok(found);
        }
    }
}

/// Whether an operation ends at this time.
pub(crate) fn is_any_due(conn: &mut Conn, at: NaiveDateTime) -> Result<bool, DbError> {
    Ok(!due(conn, at, 1)?.is_empty())
}

/// Ends the operations whose time limit has passed at this time, and returns what this changed. What an agent may have
/// received is unknown.
pub(crate) fn expire(conn: &mut Conn, at: NaiveDateTime) -> Result<Vec<Settled>, DbError> {
    let due = due(conn, at, MAX_EXPIRED)?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = due.into_iter().map(|one| one.uuid).collect();
    let open = || dsl::operations.filter(dsl::uuid.eq_any(&ids)).filter(dsl::outcome.is_null());
    let rows: Vec<Row> = open().select(Row::as_select()).load(conn)?;
    lock_rows(conn, &rows)?;
    // Until the rows were locked, an agent may have received operations or reported outcomes.
    let rows: Vec<(Row, Due)> = open()
        .order((dsl::not_after.asc(), dsl::id.asc()))
        .select((Row::as_select(), Due::as_select()))
        .load(conn)?;
    let alive = alive_epochs(conn, at)?;
    let mut settled = Vec::new();
    for (row, due) in rows {
        if due.expires(&alive) {
            settled.push(expire_one(conn, &row)?);
        }
    }
    Ok(settled)
}

/// Ends one operation. It has no effect if that depends on a row that cannot be read.
fn expire_one(conn: &mut Conn, row: &Row) -> Result<Settled, DbError> {
    let outcome = if row.epoch.is_some() { Outcome::Unknown } else { Outcome::Expired };
    let settled = transaction(conn, |conn| settle(conn, row.id()?, &outcome));
    let Err(cause @ DbError::Unreadable { .. }) = settled else { return settled };
    tracing::error!(operation.id = %row.uuid, error = %chain(&cause), "an operation has expired without an effect");
    let at = now(conn)?;
    diesel::update(dsl::operations.filter(dsl::uuid.eq(&row.uuid).and(dsl::outcome.is_null())))
        .set((dsl::outcome.eq(OutcomeKind::of(&outcome).as_str()), dsl::finished_at.eq(at)))
        .execute(conn)?;
    Ok(Settled::default())
}

/// Deletes operations that ended before this time, at most a thousand. The newest one of each container stays, because the
/// next one names it, and so does the one that created it. Returns whether there may be more.
pub(crate) fn prune(conn: &mut Conn, before: NaiveDateTime) -> Result<bool, DbError> {
    let later = diesel::alias!(operations as later);
    let has_later = later
        .filter(later.field(operations::container).eq(operations::container))
        .filter(later.field(operations::sequence).gt(operations::sequence));
    let old: Vec<i64> = dsl::operations
        .filter(dsl::outcome.is_not_null().and(dsl::finished_at.lt(before)))
        .filter(dsl::kind.ne(Kind::Create.as_str()))
        .filter(diesel::dsl::exists(has_later))
        .order(dsl::id.asc())
        .limit(MAX_PRUNED)
        .select(dsl::id)
        .load(conn)?;
    diesel::delete(dsl::operations.filter(dsl::id.eq_any(&old))).execute(conn)?;
    Ok(i64::try_from(old.len()).is_ok_and(|count| count >= MAX_PRUNED))
}
