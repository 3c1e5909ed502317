//! All rows at one moment, with the columns that a test of the whole system compares.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use zun_common::id::ContainerId;
use zun_common::status::Status;

use super::schema::{containers, hosts, operations, projects};
use super::{Backend, Conn, DbError, migrate};

/// The rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// All hosts.
    pub hosts: Vec<HostRow>,
    /// All containers, also deleted ones.
    pub containers: Vec<ContainerRow>,
    /// All projects.
    pub projects: Vec<ProjectRow>,
    /// All operations.
    pub operations: Vec<OperationRow>,
}

/// A host. The columns have the names and units of the table.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = hosts, check_for_backend(Backend))]
#[expect(missing_docs, reason = "the fields are the table's columns")]
pub struct HostRow {
    pub name: String,
    pub epoch: i64,
    pub last_sequence: i64,
    pub agent_sequence: Option<i64>,
    pub used_cpu_millis: i64,
    pub used_memory_mib: i64,
    pub used_containers: i64,
}

/// What a project uses. The columns have the names and units of the table.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = projects, check_for_backend(Backend))]
#[expect(missing_docs, reason = "the fields are the table's columns")]
pub struct ProjectRow {
    pub project_id: String,
    pub used_containers: i64,
    pub used_cpu_millis: i64,
    pub used_memory_mib: i64,
    pub used_disk_gib: i64,
}

/// A container. The columns have the names and units of the table.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = containers, check_for_backend(Backend))]
#[expect(missing_docs, reason = "the fields are the table's columns")]
pub struct ContainerRow {
    pub uuid: String,
    pub project_id: String,
    pub name: String,
    pub image: String,
    pub host: Option<String>,
    pub status: String,
    pub status_reason: Option<String>,
    pub task_state: Option<String>,
    pub exit_code: Option<i64>,
    pub cpu_millis: i64,
    pub memory_mib: i64,
    pub disk_gib: i64,
    pub auto_remove: bool,
    pub claim_held: bool,
    pub deleted_at: Option<chrono::NaiveDateTime>,
    pub gone_at: Option<chrono::NaiveDateTime>,
}

/// An operation. The columns have the names of the table.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = operations, check_for_backend(Backend))]
#[expect(missing_docs, reason = "the fields are the table's columns")]
pub struct OperationRow {
    pub uuid: String,
    pub container: String,
    pub host: Option<String>,
    pub sequence: i64,
    pub kind: String,
    pub arguments: Option<String>,
    pub epoch: Option<i64>,
    pub outcome: Option<String>,
    pub problem: Option<String>,
    pub idempotency_key: Option<String>,
}

/// Reads all rows.
pub(crate) fn snapshot(conn: &mut Conn) -> Result<Snapshot, DbError> {
    Ok(Snapshot {
        hosts: hosts::table.select(HostRow::as_select()).order(hosts::id).load(conn)?,
        projects: projects::table.select(ProjectRow::as_select()).order(projects::id).load(conn)?,
        containers: containers::table
            .select(ContainerRow::as_select())
            .order(containers::id)
            .load(conn)?,
        operations: operations::table
            .select(OperationRow::as_select())
            .order(operations::id)
            .load(conn)?,
    })
}

/// The tables, and the counters of their IDs.
fn tables(conn: &mut Conn) -> Result<Vec<String>, DbError> {
    let own = "SELECT name AS table_name FROM main.sqlite_schema WHERE type = 'table' \
               AND (name = 'sqlite_sequence' OR name NOT LIKE 'sqlite%')";
    let found: Vec<Table> = diesel::sql_query(own).load(conn)?;
    Ok(found.into_iter().map(|table| table.table_name).collect())
}

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = diesel::sql_types::Text)]
    table_name: String,
}

/// Keeps a copy of all rows in the same database.
pub(crate) fn save(conn: &mut Conn) -> Result<(), DbError> {
    conn.batch_execute("ATTACH ':memory:' AS saved")?;
    for table in tables(conn)? {
        conn.batch_execute(&format!(
            "CREATE TABLE saved.copy_of_{table} AS SELECT * FROM main.{table}"
        ))?;
    }
    Ok(())
}

/// Restores the copy of all rows.
pub(crate) fn restore(conn: &mut Conn) -> Result<(), DbError> {
    conn.batch_execute("PRAGMA foreign_keys = OFF")?;
    for table in tables(conn)? {
        conn.batch_execute(&format!(
            "DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM saved.copy_of_{table}"
        ))?;
    }
    conn.batch_execute("PRAGMA foreign_keys = ON")?;
    Ok(())
}

/// Changes the status in the row of a container that is not deleted, and nothing else.
pub(crate) fn set_status(
    conn: &mut Conn,
    container: ContainerId,
    status: Status,
) -> Result<(), DbError> {
    let row = containers::table.filter(containers::uuid.eq(container.to_string()));
    diesel::update(row.filter(containers::deleted_at.is_null()))
        .set(containers::status.eq(status.as_str()))
        .execute(conn)?;
    Ok(())
}

/// Opens an empty SQLite database in memory.
pub(crate) fn in_memory() -> Result<Conn, DbError> {
    let connecting = SqliteConnection::establish(":memory:");
    let mut conn = connecting.map_err(|refusal| DbError::Connection(refusal.into()))?;
    conn.batch_execute("PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF;")?;
    let mut conn = Conn::Sqlite(conn);
    migrate(&mut conn)?;
    Ok(conn)
}
