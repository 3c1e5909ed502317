//! The database: SQLite or PostgreSQL. Diesel is used here and nowhere else, and all access goes through [`Db`].
//!
//! Queries are written once, for [`Conn`]. Only `connect`, `lock`, `writer` and [`Db`] know which database it is. PostgreSQL
//! has a pool of connections. SQLite has one writer, and a pool of readers that never wait for it.

pub(crate) mod cluster;
mod column;
mod connect;
pub(crate) mod container;
pub(crate) mod copy;
mod error;
pub(crate) mod event;
mod file;
pub(crate) mod host;
pub(crate) mod image;
pub(crate) mod lock;
pub(crate) mod operation;
mod pool;
pub(crate) mod port;
pub(crate) mod quota;
pub(crate) mod registry;
pub(crate) mod resource;
mod schema;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::NaiveDateTime;
use diesel::Connection;
use diesel::connection::{SimpleConnection, TransactionManager};
use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Timestamp};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use prometheus_client::metrics::histogram::Histogram;
use tokio::runtime::Handle;
use zun_common::environment;

pub(crate) use connect::{Backend, Conn};
pub(crate) use error::DbError;

use crate::settings::{DatabaseSettings, DatabaseUrl};
use connect::{Connector, Session};
use pool::Pool;
use writer::Writer;

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations/sqlite");
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations/postgres");

/// Key of the PostgreSQL advisory lock that a migrating zun-api holds, so that two that start together do not both
/// migrate.
const MIGRATING: i64 = 0x7a75_6e00;

/// The oldest PostgreSQL that is supported.
const OLDEST_POSTGRES: i32 = 15;

/// How long a caller waits for the database before it gets an error.
const TURN: Duration = Duration::from_secs(10);

/// Whether committed work survives a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Durability {
    /// A power failure may lose the last commits, but nothing else.
    Relaxed,
    /// It survives.
    Synced,
}

/// The database. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Db {
    /// Readers of SQLite, and all connections of PostgreSQL.
    pool: Pool,
    /// SQLite only.
    writer: Option<Writer>,
    /// How long each commit takes, with its work: one or several pieces that share it.
    writes: Histogram,
}

/// The limits of the histogram of commits, in seconds.
const WRITE_SECONDS: [f64; 8] = [0.000_2, 0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];

impl Db {
    /// Opens the database and migrates it to the newest schema. Creates the SQLite file if it is missing, and locks it.
    pub(crate) async fn open(settings: &DatabaseSettings) -> Result<Self, DbError> {
        let DatabaseSettings { url, connections } = settings.clone();
        let runtime = Handle::current();
        let opening = runtime.spawn_blocking(move || {
            Self::open_blocking(&url, connections.max(1), Handle::current())
        });
        opening.await.map_err(DbError::GivenUp)?
    }

    fn open_blocking(
        url: &DatabaseUrl,
        connections: u32,
        runtime: Handle,
    ) -> Result<Self, DbError> {
        let connector = |session| Connector::new(url.clone(), session);
        let lock = match url {
            DatabaseUrl::Sqlite(path) => Some(file::lock(path)?),
            DatabaseUrl::Postgres(_) => None,
        };
        let connected = connector(Session::Migration).open_session();
        let mut connected = connected.map_err(|cause| DbError::Connection(cause.into()))?;
        migrate(&mut connected)?;
        event::forget_foreign_transactions(&mut connected)?;
        drop(connected);
        let writes = Histogram::new(WRITE_SECONDS);
        let start = |lock| Writer::start(connector(Session::Ordinary), lock, writes.clone());
        let writer = lock.map(start).transpose()?;
        let session = if writer.is_some() { Session::ReadOnly } else { Session::Ordinary };
        let pool = Pool::open(connector(session), connections, runtime)?;
        Ok(Self { pool, writer, writes })
    }

    /// How long each commit took, with its work.
    pub(crate) const fn writes(&self) -> &Histogram {
        &self.writes
    }

    /// Creates a database on one connection. Its work runs immediately on the thread of the caller.
    pub(crate) fn inline(conn: Arc<Mutex<Conn>>) -> Self {
        Self { pool: Pool::Inline(conn), writer: None, writes: Histogram::new(WRITE_SECONDS) }
    }

    /// Runs work that only reads.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
    {
        self.pool.run(work).await
    }

    /// Runs a write that must survive a power failure, such as one that is confirmed to a client.
    pub(crate) async fn write_durable<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
    {
        match &self.writer {
            Some(writer) => writer.run(Durability::Synced, work).await,
            None => self.write_in_pool(work).await,
        }
    }

    /// Runs a write that a power failure may lose, because the host repeats its report.
    pub(crate) async fn write_relaxed<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
    {
        if let Some(writer) = &self.writer {
            return writer.run(Durability::Relaxed, work).await;
        }
        self.write_in_pool(|conn| transaction_of(conn, Durability::Relaxed, work)).await
    }

    async fn write_in_pool<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
    {
        let writes = self.writes.clone();
        let timed = move |conn: &mut Conn| {
            let begun = Instant::now();
            let done = work(conn);
            writes.observe(begun.elapsed().as_secs_f64());
            done
        };
        self.pool.run(timed).await
    }

    /// Checks that the database answers, to readers and to the writer.
    pub(crate) async fn check(&self) -> Result<(), DbError> {
        self.read(alive).await?;
        match &self.writer {
            Some(_) => self.write_relaxed(alive).await,
            None => Ok(()),
        }
    }

    /// Finishes the accepted work, and unlocks the SQLite file. Later work is refused.
    pub(crate) async fn close(&self) {
        if let Some(writer) = &self.writer {
            writer.close().await;
        }
    }
}

/// Runs work in a transaction, or in a savepoint if one is open. On SQLite it excludes other writers from its beginning:
/// of two that read and then write, the second waits and sees what the first wrote. On PostgreSQL it does not (READ
/// COMMITTED): see `lock`.
pub(crate) fn transaction<T>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, DbError>,
) -> Result<T, DbError> {
    transaction_of(conn, Durability::Synced, work)
}

/// Like [`transaction`], and runs the work once more if PostgreSQL has rolled it back because of a concurrent transaction.
pub(crate) fn transaction_with_retry<T>(
    conn: &mut Conn,
    mut work: impl FnMut(&mut Conn) -> Result<T, DbError>,
) -> Result<T, DbError> {
    match transaction(conn, &mut work) {
        Err(error) if error.is_conflict() && writer::depth(conn)? == 0 => {
            tracing::info!(error = %zun_common::chain(&error), "a transaction is repeated");
            transaction(conn, work)
        }
        done => done,
    }
}

/// Like [`transaction`], with this durability if it is not a savepoint.
fn transaction_of<T>(
    conn: &mut Conn,
    durability: Durability,
    work: impl FnOnce(&mut Conn) -> Result<T, DbError>,
) -> Result<T, DbError> {
    type Manager = <Conn as Connection>::TransactionManager;
    if writer::depth(conn)? > 0 {
        return conn.transaction(work);
    }
    writer::begin(conn, durability)?;
    match work(conn) {
        Ok(value) => {
            Manager::commit_transaction(conn)?;
            Ok(value)
        }
        Err(failure) => match Manager::rollback_transaction(conn) {
            Ok(()) | Err(diesel::result::Error::BrokenTransactionManager) => Err(failure),
            Err(rollback) => Err(rollback.into()),
        },
    }
}

/// Migrates the database to the newest schema.
fn migrate(conn: &mut Conn) -> Result<(), DbError> {
    let done = match conn {
        Conn::Sqlite(conn) => conn.run_pending_migrations(SQLITE_MIGRATIONS).map(drop),
        Conn::Postgres(conn) => {
            require_version(conn)?;
            conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATING})"))?;
            let done = conn.run_pending_migrations(POSTGRES_MIGRATIONS).map(drop);
            conn.batch_execute(&format!("SELECT pg_advisory_unlock({MIGRATING})"))?;
            done
        }
    };
    done.map_err(DbError::Migration)
}

fn require_version(conn: &mut PgConnection) -> Result<(), DbError> {
    let number = sql::<Integer>("current_setting('server_version_num')::INTEGER / 10000");
    let version: i32 = diesel::select(number).get_result(conn)?;
    if version < OLDEST_POSTGRES {
        return Err(DbError::TooOld { version, oldest: OLDEST_POSTGRES });
    }
    Ok(())
}

/// The time in PostgreSQL's SQL, in UTC.
const POSTGRES_CLOCK: &str = "clock_timestamp() AT TIME ZONE 'UTC'";

/// The database's time, by which operations expire.
pub(crate) fn now(conn: &mut Conn) -> Result<NaiveDateTime, DbError> {
    match conn {
        Conn::Sqlite(_) => Ok(environment::now().naive_utc()),
        Conn::Postgres(conn) => {
            Ok(diesel::select(sql::<Timestamp>(POSTGRES_CLOCK)).get_result(conn)?)
        }
    }
}

/// Whether it answers.
fn alive(conn: &mut Conn) -> Result<(), DbError> {
    Ok(conn.batch_execute("SELECT 1")?)
}
