//! Positions in the order of events.

use std::fmt;
use std::str::FromStr;

use diesel::dsl::{exists, max, select, sql};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::db::schema::events::dsl;
use crate::db::{Conn, DbError};

/// The place of an event in the order of all events. Clients get it as the ID of a server-sent event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// The transaction on PostgreSQL, 0 on SQLite.
    pub(super) txid: i64,
    pub(super) id: i64,
}

/// The text is not a position that zun-api has issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the ID of an event")]
pub(crate) struct InvalidPosition;

impl Position {
    /// Before all events.
    pub(crate) const FIRST: Self = Self { txid: 0, id: 0 };
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.txid, self.id)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { text.parse::<i64>().ok() } else { None }
        };
        let parsed = text
            .split_once('.')
            .and_then(|(txid, id)| Some(Self { txid: number(txid)?, id: number(id)? }));
        parsed.ok_or(InvalidPosition)
    }
}

/// The transactions of PostgreSQL at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transactions {
    /// All before this one have ended.
    pub(super) running_from: i64,
    /// No transaction from this one on has begun.
    next: i64,
}

pub(super) fn transactions(conn: &mut PgConnection) -> Result<Transactions, DbError> {
    let bound = |end: &str| {
        sql::<BigInt>(&format!("pg_snapshot_{end}(pg_current_snapshot())::TEXT::BIGINT"))
    };
    let (running_from, next) = select((bound("xmin"), bound("xmax"))).get_result(conn)?;
    Ok(Transactions { running_from, next })
}

/// After all events that can be read now.
pub(super) fn end(conn: &mut Conn) -> Result<Position, DbError> {
    match conn {
        Conn::Sqlite(conn) => {
            let last: Option<i64> = dsl::events.select(max(dsl::id)).first(conn)?;
            Ok(Position { txid: 0, id: last.unwrap_or(0) })
        }
        Conn::Postgres(conn) => {
            let Transactions { running_from, next: _ } = transactions(conn)?;
            Ok(Position { txid: running_from - 1, id: i64::MAX })
        }
    }
}

/// Where to continue after a position that a client has got, perhaps before the database was restored or copied.
pub(super) fn resume(conn: &mut Conn, after: Position) -> Result<Position, DbError> {
    if let Conn::Sqlite(_) = conn {
        let Position { txid: _, id } = end(conn)?;
        return Ok(Position { txid: 0, id: after.id.min(id) });
    }
    let Conn::Postgres(conn) = conn else { return Ok(after) };
    let copied = Position { txid: 0, id: after.id };
    let is_copied = dsl::events.filter(dsl::txid.eq(0).and(dsl::id.eq(after.id)));
    let is_foreign = after.txid >= transactions(conn)?.next;
    let is_copied: bool = select(exists(is_copied)).get_result(conn)?;
    Ok(if is_foreign || is_copied { copied } else { after })
}

/// The IDs of transactions have no meaning in a PostgreSQL server to which the database was restored from another one.
/// If there are such IDs, all existing events come first, in the order of their IDs.
pub(in crate::db) fn forget_foreign_transactions(conn: &mut Conn) -> Result<(), DbError> {
    let Conn::Postgres(conn) = conn else { return Ok(()) };
    let Transactions { running_from: _, next } = transactions(conn)?;
    let is_foreign: bool =
        select(exists(dsl::events.filter(dsl::txid.ge(next)))).get_result(conn)?;
    if is_foreign {
        diesel::update(dsl::events).set(dsl::txid.eq(0)).execute(conn)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_round_trips_as_text() {
        let position = Position { txid: 812, id: 57 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in ["", ".", "1", "1.", ".1", "+1.2", "-1.2", "1.2.3", "1.99999999999999999999"] {
            assert_eq!(bad.parse::<Position>(), Err(InvalidPosition), "{bad}");
        }
    }
}
