//! What happens to the open operations of a host when an epoch begins.

use diesel::prelude::*;
use zun_common::id::{Epoch, HostName};
use zun_common::rpc::operation::Outcome;
use zun_common::rpc::{Code, Problem};

use super::change::lock_rows;
use super::effect::settle;
use super::row::{Kind, OutcomeKind, Row};
use crate::db::schema::operations::dsl;
use crate::db::{Conn, DbError, now};

/// An operation fails after this many agents of its host have exited while they may have been carrying it out.
const MAX_DEATHS: i32 = 5;

/// Locks what [`end_epoch`] and [`mark_non_idempotent_unknown`] change, because the caller locks the host's row in
/// between. Operations that are accepted until then are new: no other transaction holds them for long, and they have no
/// deaths.
pub(crate) fn lock_epoch(
    conn: &mut Conn,
    host: &HostName,
    (epoch, known): (Epoch, i64),
) -> Result<(), DbError> {
    let may_have_been_received =
        dsl::kind.eq_any(Kind::NON_IDEMPOTENT).and(dsl::sequence.le(known));
    let rows: Vec<Row> = dsl::operations
        .filter(dsl::host.eq(host.as_str()).and(dsl::outcome.is_null()))
        .filter(dsl::epoch.eq(epoch.0).or(may_have_been_received))
        .select(Row::as_select())
        .load(conn)?;
    lock_rows(conn, &rows)
}

/// Ends the epoch of an agent that is replaced by the next one. Of the operations that it received, those that may only
/// be done once get the outcome unknown. If it did not shut down cleanly, each of the others counts one more death, and
/// fails after too many of them. A removal is postponed for an hour instead.
pub(crate) fn end_epoch(
    conn: &mut Conn,
    host: &HostName,
    (epoch, in_order): (Epoch, bool),
) -> Result<(), DbError> {
    let at = now(conn)?;
    let received = dsl::operations
        .filter(dsl::host.eq(host.as_str()).and(dsl::outcome.is_null()))
        .filter(dsl::epoch.eq(epoch.0));
    diesel::update(received)
        .filter(dsl::kind.eq_any(Kind::NON_IDEMPOTENT))
        .set((dsl::outcome.eq(OutcomeKind::Unknown.as_str()), dsl::finished_at.eq(at)))
        .execute(conn)?;
    if in_order {
        return Ok(());
    }
    diesel::update(received).set(dsl::deaths.eq(dsl::deaths + 1)).execute(conn)?;
    diesel::update(received)
        .filter(dsl::deaths.ge(MAX_DEATHS).and(dsl::kind.eq_any(Kind::LASTING)))
        .set(dsl::given_up_at.eq(at))
        .execute(conn)?;
    let exhausted: Vec<Row> = received
        .filter(dsl::deaths.ge(MAX_DEATHS).and(dsl::kind.ne_all(Kind::LASTING)))
        .select(Row::as_select())
        .load(conn)?;
    let words = format!(
        "The agent of the host exited {MAX_DEATHS} times while it carried out this operation."
    );
    let outcome = Outcome::Failed(Problem::new(Code::Internal, words));
    for row in exhausted {
        settle(conn, row.id()?, &outcome)?;
    }
    Ok(())
}

/// Ends the open operations that may only be done once, up to a number that an agent of the host knows. A database that
/// was restored may not have which of them were received, so their outcomes are unknown.
pub(crate) fn mark_non_idempotent_unknown(
    conn: &mut Conn,
    host: &HostName,
    known: i64,
) -> Result<(), DbError> {
    let at = now(conn)?;
    diesel::update(dsl::operations)
        .filter(dsl::host.eq(host.as_str()).and(dsl::outcome.is_null()))
        .filter(dsl::kind.eq_any(Kind::NON_IDEMPOTENT).and(dsl::sequence.le(known)))
        .set((dsl::outcome.eq(OutcomeKind::Unknown.as_str()), dsl::finished_at.eq(at)))
        .execute(conn)?;
    Ok(())
}
