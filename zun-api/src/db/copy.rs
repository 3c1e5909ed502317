//! Copies a database into another, empty one, and compares both.
//!
//! Tables and columns are read from the databases, so a new table is copied too. Rows travel as JSON, which both
//! databases read and write. Times are truncated to microseconds, which is what PostgreSQL stores.

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, Timelike};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::connect::{Connector, Session};
use super::{Conn, DbError, file, migrate};
use crate::settings::DatabaseUrl;

/// Rows that are copied by one statement.
const BATCH: usize = 500;

/// Why a database was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Source and target are the same.
    #[error("source and target are the same database")]
    Same,
    /// The target has rows.
    #[error("the target is not empty: it has rows in the table `{0}`; use a new database")]
    NotEmpty(String),
    /// The databases have different tables or columns.
    #[error("source and target have different tables or columns")]
    Schemas,
    /// A row cannot be read as JSON.
    #[error("cannot read a row of the table `{0}`")]
    Row(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The copy differs from the source.
    #[error("the copy of the table `{table}` differs: {from} rows in the source, {to} in the copy")]
    Differs {
        /// The table.
        table: String,
        /// Rows in the source.
        from: u64,
        /// Rows in the target.
        to: u64,
    },
    /// A database failed.
    #[error("cannot copy the database")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<diesel::result::Error> for CopyError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<DbError> for CopyError {
    fn from(error: DbError) -> Self {
        Self::Database(error.into())
    }
}

/// What was copied of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTable {
    /// Its name.
    pub table: String,
    /// The number of its rows.
    pub rows: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Time,
    Plain,
}

/// The columns of a table, by name.
type Columns = BTreeMap<String, Kind>;
type Table<'a> = (&'a str, &'a Columns);
type Row = BTreeMap<String, Value>;

/// Number and sum of rows, in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    rows: u64,
    hashes: u64,
}

/// Copies all rows. Migrates both databases to the newest schema first. If anything fails, the target stays empty.
pub fn copy(from: &DatabaseUrl, to: &DatabaseUrl) -> Result<Vec<CopiedTable>, CopyError> {
    if from == to {
        return Err(CopyError::Same);
    }
    let (_source_lock, _target_lock) = (locked(from)?, locked(to)?);
    let (mut source, mut target) = (open(from)?, open(to)?);
    if let Conn::Postgres(source) = &mut source {
        source.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    }
    let tables = tables(&mut source)?;
    target.transaction(|target| {
        if self::tables(target)? != tables {
            return Err(CopyError::Schemas);
        }
        for (table, columns) in &tables {
            if !batch(target, (table.as_str(), columns), 0)?.is_empty() {
                return Err(CopyError::NotEmpty(table.clone()));
            }
        }
        tables
            .iter()
            .map(|(table, columns)| copy_table(&mut source, target, (table.as_str(), columns)))
            .collect()
    })
}

fn locked(url: &DatabaseUrl) -> Result<Option<file::FileLock>, CopyError> {
    Ok(match url {
        DatabaseUrl::Sqlite(path) => Some(file::lock(path)?),
        DatabaseUrl::Postgres(_) => None,
    })
}

fn open(url: &DatabaseUrl) -> Result<Conn, CopyError> {
    let connector = Connector::new(url.clone(), Session::Migration);
    let mut conn = connector.open_session().map_err(|cause| CopyError::Database(cause.into()))?;
    migrate(&mut conn)?;
    Ok(conn)
}

#[derive(QueryableByName)]
struct Described {
    #[diesel(sql_type = Text)]
    relation: String,
    #[diesel(sql_type = Text)]
    field: String,
    #[diesel(sql_type = Text)]
    kind: String,
}

/// Returns the tables. The one that others refer to is the first.
fn tables(conn: &mut Conn) -> Result<Vec<(String, Columns)>, CopyError> {
    let query = match conn {
        Conn::Sqlite(_) => {
            "SELECT t.name AS relation, c.name AS field, lower(c.type) AS kind \
             FROM sqlite_master t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        }
        Conn::Postgres(_) => {
            "SELECT table_name::TEXT AS relation, column_name::TEXT AS field, data_type::TEXT AS kind \
             FROM information_schema.columns WHERE table_schema = current_schema()"
        }
    };
    let described: Vec<Described> = diesel::sql_query(query).load(conn)?;
    let mut tables: BTreeMap<(bool, String), Columns> = BTreeMap::new();
    for Described { relation, field, kind } in described {
        let kind = match kind.as_str() {
            "boolean" => Kind::Bool,
            "timestamp" | "timestamp without time zone" => Kind::Time,
            _ => Kind::Plain,
        };
        if !relation.starts_with("__diesel") {
            tables.entry((relation != "hosts", relation)).or_default().insert(field, kind);
        }
    }
    Ok(tables.into_iter().map(|((_, table), columns)| (table, columns)).collect())
}

fn copy_table(
    source: &mut Conn,
    target: &mut Conn,
    (table, columns): Table<'_>,
) -> Result<CopiedTable, CopyError> {
    let mut from = Sum::default();
    let mut last = 0;
    loop {
        let rows = batch(source, (table, columns), last)?;
        let Some((id, _)) = rows.last() else { break };
        last = *id;
        for (_, row) in &rows {
            from.add(row);
        }
        insert(target, (table, columns), rows)?;
    }
    if let Conn::Postgres(target) = target {
        // The next ID is greater than those of the copied rows.
        diesel::sql_query(format!(
            "SELECT setval(pg_get_serial_sequence('{table}', 'id'), {}, {})",
            last.max(1),
            last > 0
        ))
        .execute(target)?;
    }
    let to = sum(target, (table, columns))?;
    if from != to {
        return Err(CopyError::Differs { table: table.to_owned(), from: from.rows, to: to.rows });
    }
    Ok(CopiedTable { table: table.to_owned(), rows: to.rows })
}

fn sum(conn: &mut Conn, table: Table<'_>) -> Result<Sum, CopyError> {
    let mut sum = Sum::default();
    let mut last = 0;
    loop {
        let rows = batch(conn, table, last)?;
        let Some((id, _)) = rows.last() else { return Ok(sum) };
        last = *id;
        for (_, row) in &rows {
            sum.add(row);
        }
    }
}

impl Sum {
    fn add(&mut self, row: &Row) {
        // A map of values always has a JSON form.
        let text = serde_json::to_vec(row).unwrap_or_default();
        let hash = Sha256::digest(&text);
        let start = hash.first_chunk::<8>().copied().unwrap_or_default();
        self.rows += 1;
        self.hashes = self.hashes.wrapping_add(u64::from_be_bytes(start));
    }
}

#[derive(QueryableByName)]
struct Body {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Text)]
    body: String,
}

/// Returns the next rows by ID.
fn batch(
    conn: &mut Conn,
    (table, columns): Table<'_>,
    last: i64,
) -> Result<Vec<(i64, Row)>, CopyError> {
    let body = match conn {
        Conn::Sqlite(_) => {
            let pairs: Vec<_> = columns.keys().map(|name| format!("'{name}', {name}")).collect();
            format!("json_object({})", pairs.join(", "))
        }
        Conn::Postgres(_) => "row_to_json(t)::TEXT".to_owned(),
    };
    let query = format!(
        "SELECT CAST(id AS BIGINT) AS number, {body} AS body FROM {table} t WHERE id > {last} ORDER BY id LIMIT {BATCH}"
    );
    let found: Vec<Body> = diesel::sql_query(query).load(conn)?;
    found
        .into_iter()
        .map(|Body { number, body }| {
            let row: Row = serde_json::from_str(&body)
                .map_err(|cause| CopyError::Row(table.to_owned(), cause.into()))?;
            Ok((number, normal(row, columns)))
        })
        .collect()
}

/// Gives values the form that both databases share.
fn normal(row: Row, columns: &Columns) -> Row {
    row.into_iter()
        .map(|(name, value)| {
            let value = match (columns.get(&name), value) {
                (Some(Kind::Bool), Value::Number(number)) => {
                    Value::Bool(number.as_i64() != Some(0))
                }
                (Some(Kind::Time), Value::String(text)) => Value::String(truncated(text)),
                (_, value) => value,
            };
            (name, value)
        })
        .collect()
}

/// Truncates a time to microseconds, and writes it as Diesel does in SQLite.
fn truncated(text: String) -> String {
    let parsed = NaiveDateTime::parse_from_str(&text.replace('T', " "), "%Y-%m-%d %H:%M:%S%.f");
    match parsed.map(|time| time.with_nanosecond(time.nanosecond() / 1000 * 1000)) {
        Ok(Some(time)) => time.format("%F %T%.f").to_string(),
        Ok(None) | Err(_) => text,
    }
}

fn insert(
    conn: &mut Conn,
    (table, columns): Table<'_>,
    rows: Vec<(i64, Row)>,
) -> Result<(), CopyError> {
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    let rows = serde_json::to_string(&rows)
        .map_err(|cause| CopyError::Row(table.to_owned(), cause.into()))?;
    let names: Vec<&str> = columns.keys().map(String::as_str).collect();
    match conn {
        Conn::Sqlite(conn) => {
            let values: Vec<_> =
                names.iter().map(|name| format!("json_extract(value, '$.{name}')")).collect();
            let statement = format!(
                "INSERT INTO {table} ({}) SELECT {} FROM json_each(?)",
                names.join(", "),
                values.join(", ")
            );
            diesel::sql_query(statement).bind::<Text, _>(rows).execute(conn)?;
        }
        Conn::Postgres(conn) => {
            let statement = format!(
                "INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $1::JSON)"
            );
            diesel::sql_query(statement).bind::<Text, _>(rows).execute(conn)?;
        }
    }
    Ok(())
}
