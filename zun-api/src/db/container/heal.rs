//! When unhealthy containers are checked again that are to be restarted.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use zun_common::id::ContainerId;

use crate::db::schema::containers::dsl;
use crate::db::{Conn, DbError};

/// Maximum number of containers in one round.
const MAX_CHECKED: i64 = 100;

/// Sets when the container is checked again; `None` if it need not be.
pub(crate) fn set_heal_at(
    conn: &mut Conn,
    id: ContainerId,
    at: Option<NaiveDateTime>,
) -> Result<(), DbError> {
    diesel::update(dsl::containers.filter(dsl::uuid.eq(id.to_string())))
        .set(dsl::heal_at.eq(at))
        .execute(conn)?;
    Ok(())
}

/// The containers that are to be checked at this time, at most a hundred.
pub(crate) fn to_heal(conn: &mut Conn, at: NaiveDateTime) -> Result<Vec<ContainerId>, DbError> {
    let due: Vec<String> = dsl::containers
        .filter(dsl::heal_at.le(at))
        .order(dsl::heal_at.asc())
        .limit(MAX_CHECKED)
        .select(dsl::uuid)
        .load(conn)?;
    Ok(due.iter().filter_map(|id| id.parse().ok()).collect())
}
