//! Queries of hosts' rows.

use std::collections::HashMap;

use chrono::NaiveDateTime;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Timestamp;
use zun_common::chain;
use zun_common::id::{Epoch, HostName};

use super::row::{Heartbeats, Liveness, Record, Row};
use crate::db::schema::hosts::dsl;
use crate::db::{Conn, DbError, POSTGRES_CLOCK, now};

/// All hosts that were not removed, in the order of their names, except those whose rows cannot be read.
pub(crate) fn all(conn: &mut Conn) -> Result<Vec<Record>, DbError> {
    let rows: Vec<Row> = dsl::hosts
        .filter(dsl::removed_at.is_null())
        .order(dsl::name.asc())
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_iter().filter_map(readable).collect())
}

fn readable(row: Row) -> Option<Record> {
    match row.parse() {
        Ok(record) => Some(record),
        Err(error) => {
            tracing::error!(error = %chain(&error), "left out a host");
            None
        }
    }
}

/// The epochs of the hosts whose agents are alive at this time. Reads no column that this build may not understand.
pub(crate) fn alive_epochs(
    conn: &mut Conn,
    at: NaiveDateTime,
) -> Result<HashMap<String, Epoch>, DbError> {
    let rows: Vec<(String, i64, bool, i32, NaiveDateTime)> = dsl::hosts
        .filter(dsl::removed_at.is_null().and(dsl::forced_down.eq(false)))
        .select((dsl::name, dsl::epoch, dsl::leaving, dsl::interval_seconds, dsl::last_seen))
        .load(conn)?;
    let alive = rows.into_iter().filter_map(|(name, epoch, leaving, interval, last_seen)| {
        let heartbeats = Heartbeats { leaving, interval: i64::from(interval), last_seen };
        (heartbeats.liveness(at) == Liveness::Up).then_some((name, Epoch(epoch)))
    });
    Ok(alive.collect())
}

/// The number of hosts whose agents have not announced their shutdown.
pub(crate) fn beating(conn: &mut Conn) -> Result<i64, DbError> {
    let beating = dsl::hosts.filter(dsl::removed_at.is_null().and(dsl::leaving.eq(false)));
    Ok(beating.count().get_result(conn)?)
}

/// One host, also a removed one, and the database's time; one query on PostgreSQL.
pub(crate) fn by_name_now(
    conn: &mut Conn,
    name: &HostName,
) -> Result<Option<(Record, NaiveDateTime)>, DbError> {
    if matches!(conn, Conn::Sqlite(_)) {
        let at = now(conn)?;
        return Ok(by_name(conn, name)?.map(|record| (record, at)));
    }
    let found: Option<(Row, NaiveDateTime)> = dsl::hosts
        .filter(dsl::name.eq(name.as_str()))
        .select((Row::as_select(), sql::<Timestamp>(POSTGRES_CLOCK)))
        .first(conn)
        .optional()?;
    found.map(|(row, at)| Ok((row.parse()?, at))).transpose()
}

/// One host, also a removed one.
pub(crate) fn by_name(conn: &mut Conn, name: &HostName) -> Result<Option<Record>, DbError> {
    let row: Option<Row> = dsl::hosts
        .filter(dsl::name.eq(name.as_str()))
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    row.map(Row::parse).transpose()
}
