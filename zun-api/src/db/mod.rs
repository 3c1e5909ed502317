//! The database. Diesel lives here and nowhere else, and [`Db::run`] is the only way in.
//!
//! SQLite for now. [`Conn`] and [`transaction`] are the two places that know it, so that PostgreSQL can
//! join by a `MultiConnection`.

pub(crate) mod container;
mod error;
pub(crate) mod host;
mod schema;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::sqlite::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

pub(crate) use error::DbError;

use crate::settings::DatabaseSettings;

/// A connection.
pub(crate) type Conn = SqliteConnection;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations/sqlite");

/// How long work waits for its turn before it is given up.
const TURN: Duration = Duration::from_secs(10);

/// The database. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Db {
    pool: Pool<ConnectionManager<Conn>>,
    /// As many as connections, so that blocked work does not fill the blocking pool with threads.
    turns: Arc<Semaphore>,
    /// The service's runtime: actix's workers have one each, and each would have threads of its own.
    runtime: Handle,
}

impl Db {
    /// Opens the file, making it where it is missing, and brings it to the newest form.
    pub(crate) async fn open(settings: &DatabaseSettings) -> Result<Self, DbError> {
        make_private(&settings.path)?;
        let url = settings.path.display().to_string();
        let connections = settings.connections.max(1);
        let runtime = Handle::current();
        let opening = runtime.spawn_blocking(move || {
            Pool::builder()
                .max_size(connections)
                .min_idle(Some(1))
                .idle_timeout(Some(Duration::from_mins(1)))
                .connection_timeout(TURN)
                .connection_customizer(Box::new(Pragmas))
                .build(ConnectionManager::new(url))
                .map_err(|cause| DbError::Connection(cause.into()))
        });
        let pool = opening.await.map_err(DbError::GivenUp)??;
        let turns = Arc::new(Semaphore::new(
            usize::try_from(connections).unwrap_or(Semaphore::MAX_PERMITS),
        ));
        let db = Self { pool, turns, runtime };
        db.run(|conn| {
            conn.run_pending_migrations(MIGRATIONS).map(drop).map_err(DbError::Migration)
        })
        .await?;
        Ok(db)
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

/// A transaction that may write, from its beginning: of two that read and then write, the second waits
/// and sees what the first wrote, instead of failing half way.
pub(crate) fn transaction<T>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, DbError>,
) -> Result<T, DbError> {
    conn.immediate_transaction(work)
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

/// What each connection is told first. With WAL, `NORMAL` loses no row when a process dies; only a power
/// cut can lose the last ones, and the agents tell of their containers again then.
#[derive(Debug)]
struct Pragmas;

impl CustomizeConnection<Conn, diesel::r2d2::Error> for Pragmas {
    fn on_acquire(&self, conn: &mut Conn) -> Result<(), diesel::r2d2::Error> {
        conn.batch_execute(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
             PRAGMA foreign_keys = ON; PRAGMA cache_size = -512;",
        )
        .map_err(diesel::r2d2::Error::QueryError)
    }
}

/// Whether it answers.
pub(crate) fn alive(conn: &mut Conn) -> Result<(), DbError> {
    Ok(conn.batch_execute("SELECT 1")?)
}

#[cfg(test)]
mod tests {
    use diesel::Connection;

    use super::*;

    #[test]
    fn a_database_of_each_former_schema_opens_and_each_step_can_be_taken_back() {
        let mut conn = Conn::establish(":memory:").expect("a database");
        let steps = conn.run_pending_migrations(MIGRATIONS).expect("the newest form").len();
        for back in 1..=steps {
            for _ in 0..back {
                conn.revert_last_migration(MIGRATIONS).expect("one step back");
            }
            assert_eq!(conn.run_pending_migrations(MIGRATIONS).expect("forth again").len(), back);
            alive(&mut conn).expect("it answers");
            assert_eq!(host::all(&mut conn).expect("hosts are read").len(), 0);
        }
    }
}
