//! The database: SQLite or PostgreSQL. Diesel is used here and nowhere else, and all access goes through [`Db::run`].
//!
//! Queries are written once, for [`Conn`]. Only `connect`, `lock` and [`transaction`] know which database it is.

mod connect;
pub(crate) mod container;
mod error;
pub(crate) mod host;
pub(crate) mod lock;
mod schema;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel::Connection;
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::r2d2::Pool;
use diesel::sql_types::Integer;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

pub(crate) use connect::{Backend, Conn};
pub(crate) use error::DbError;

use crate::settings::{DatabaseSettings, DatabaseUrl};
use connect::{CONNECTION_TIMEOUT, Connector};

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations/sqlite");
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations/postgres");

/// Key of the PostgreSQL advisory lock that a migrating zun-api holds, so that two that start together do not both
/// migrate.
const MIGRATING: i64 = 0x7a75_6e00;

/// The oldest PostgreSQL that is supported.
const OLDEST_POSTGRES: i32 = 15;

/// How long work waits for its turn before it is given up.
const TURN: Duration = Duration::from_secs(10);

/// The database. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Db {
    pool: Pool<Connector>,
    /// As many as connections, so that blocked work does not fill the blocking pool with threads.
    turns: Arc<Semaphore>,
    /// The service's runtime: actix's workers have one each, and each would have threads of its own.
    runtime: Handle,
}

impl Db {
    /// Opens the database and migrates it to the newest schema. Creates the SQLite file if it is missing.
    pub(crate) async fn open(settings: &DatabaseSettings) -> Result<Self, DbError> {
        let url = settings.url.clone();
        let connections = settings.connections.max(1);
        let runtime = Handle::current();
        let opening = runtime.spawn_blocking(move || {
            if let DatabaseUrl::Sqlite(path) = &url {
                make_private(path)?;
            }
            let connector = Connector::new(url);
            let connected = connector.connect_to_migrate();
            migrate(&mut connected.map_err(|cause| DbError::Connection(cause.into()))?)?;
            Pool::builder()
                .max_size(connections)
                .min_idle(Some(1))
                .idle_timeout(Some(Duration::from_mins(1)))
                .connection_timeout(CONNECTION_TIMEOUT)
                .build(connector)
                .map_err(|cause| DbError::Connection(cause.into()))
        });
        let pool = opening.await.map_err(DbError::GivenUp)??;
        let turns = Arc::new(Semaphore::new(
            usize::try_from(connections).unwrap_or(Semaphore::MAX_PERMITS),
        ));
        Ok(Self { pool, turns, runtime })
    }

    /// Runs work on a connection, on the blocking pool. It is not interrupted when the caller goes away.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
    {
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|late| DbError::Connection(late.into()))?
            .map_err(|closed| DbError::Connection(closed.into()))?;
        let pool = self.pool.clone();
        let working = self.runtime.spawn_blocking(move || {
            let _turn = turn;
            let mut conn = pool.get().map_err(|cause| DbError::Connection(cause.into()))?;
            work(&mut conn)
        });
        working.await.map_err(DbError::GivenUp)?
    }
}

/// Runs work in a transaction. On SQLite it excludes other writers from its beginning: of two that read and then write,
/// the second waits and sees what the first wrote. On PostgreSQL it does not (READ COMMITTED): see `lock`.
pub(crate) fn transaction<T>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, DbError>,
) -> Result<T, DbError> {
    type Manager = <Conn as Connection>::TransactionManager;
    match conn {
        Conn::Sqlite(sqlite) => {
            AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN IMMEDIATE")?;
        }
        Conn::Postgres(postgres) => AnsiTransactionManager::begin_transaction(postgres)?,
    }
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

/// The rows hold environments of tenants, so the file is for its owner alone; SQLite gives the files
/// beside it the same mode.
fn make_private(path: &Path) -> Result<(), DbError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|cause| DbError::File { path: path.to_owned(), cause })
}

/// Whether it answers.
pub(crate) fn alive(conn: &mut Conn) -> Result<(), DbError> {
    Ok(conn.batch_execute("SELECT 1")?)
}
