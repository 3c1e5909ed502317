//! Locks that a transaction holds until it ends. SQLite needs none: its transactions here exclude all other writers from
//! their start. PostgreSQL's do not, so what is read and then written must be locked.
//!
//! Order: containers, then operations, then projects, then volumes and networks, then hosts. A new container's project is
//! locked before its row is inserted: nobody else knows that row, but an insertion waits for others with the same name.
//! Several of one kind are locked together, in the order of their IDs.

use diesel::prelude::*;
use zun_common::id::{ContainerId, OperationId};

use super::schema::{cluster, containers, hosts, operations, projects};
use super::{Conn, DbError};

/// Locks the cluster's row, before all others.
pub(crate) fn cluster(conn: &mut Conn) -> Result<(), DbError> {
    match conn {
        Conn::Sqlite(_) => {}
        Conn::Postgres(conn) => {
            cluster::table.select(cluster::id).for_no_key_update().execute(conn)?;
        }
    }
    Ok(())
}

/// Locks a container's row, if it exists.
pub(crate) fn container(conn: &mut Conn, id: ContainerId) -> Result<(), DbError> {
    containers(conn, &[id])
}

/// Locks the rows of containers.
pub(crate) fn containers(conn: &mut Conn, ids: &[ContainerId]) -> Result<(), DbError> {
    match conn {
        Conn::Sqlite(_) => {}
        Conn::Postgres(conn) => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            containers::table
                .filter(containers::uuid.eq_any(ids))
                .order(containers::id)
                .select(containers::id)
                .for_no_key_update()
                .execute(conn)?;
        }
    }
    Ok(())
}

/// Locks the rows of operations. Their containers are locked before.
pub(crate) fn operations(conn: &mut Conn, ids: &[OperationId]) -> Result<(), DbError> {
    match conn {
        Conn::Sqlite(_) => {}
        Conn::Postgres(conn) => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            operations::table
                .filter(operations::uuid.eq_any(ids))
                .order(operations::id)
                .select(operations::id)
                .for_no_key_update()
                .execute(conn)?;
        }
    }
    Ok(())
}

/// Locks the rows of projects.
pub(crate) fn projects(conn: &mut Conn, ids: &[&str]) -> Result<(), DbError> {
    match conn {
        Conn::Sqlite(_) => {}
        Conn::Postgres(conn) => {
            projects::table
                .filter(projects::project_id.eq_any(ids))
                .order(projects::id)
                .select(projects::id)
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
