//! Locks that a transaction holds until it ends. SQLite needs none: its transactions here exclude all other writers from
//! their start. PostgreSQL's do not, so what is read and then written must be locked.
//!
//! Order: container, then placing, then operation, then host.

use diesel::prelude::*;
use zun_common::id::ContainerId;

use super::schema::{containers, hosts};
use super::{Conn, DbError};

/// Key of the advisory lock of [`placing`].
const PLACING: i64 = 0x7a75_6e01;

/// Locks a container's row, if it exists.
pub(crate) fn container(conn: &mut Conn, id: ContainerId) -> Result<(), DbError> {
    match conn {
        Conn::Sqlite(_) => {}
        Conn::Postgres(conn) => {
            containers::table
                .filter(containers::uuid.eq(id.to_string()))
                .select(containers::id)
                .for_no_key_update()
                .execute(conn)?;
        }
    }
    Ok(())
}

/// Locks a host's row, if it exists.
pub(crate) fn host(conn: &mut Conn, name: &str) -> Result<(), DbError> {
    match conn {
        Conn::Sqlite(_) => {}
        Conn::Postgres(conn) => {
            hosts::table
                .filter(hosts::name.eq(name))
                .select(hosts::id)
                .for_no_key_update()
                .execute(conn)?;
        }
    }
    Ok(())
}

/// Makes this transaction the only one that claims resources. What it reads afterwards includes all earlier claims.
pub(crate) fn placing(conn: &mut Conn) -> Result<(), DbError> {
    match conn {
        Conn::Sqlite(_) => {}
        Conn::Postgres(conn) => {
            diesel::sql_query(format!("SELECT pg_advisory_xact_lock({PLACING})")).execute(conn)?;
        }
    }
    Ok(())
}
