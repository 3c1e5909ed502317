//! An empty database per test.

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;
use zun_common::secret::Secret;

use crate::db::connect::{Conn, Connector, Session};
use crate::settings::{DatabaseSettings, DatabaseUrl};

/// Declares tests that run once on each database, as `sqlite::NAME` and `postgres::NAME`.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(&$crate::db::tests::Fixture::sqlite()); })*
        }
        mod postgres {
            $(#[test] fn $name() { super::$name(&$crate::db::tests::Fixture::postgres()); })*
        }
    };
}
pub(super) use on_both;

/// An empty database, without a schema. It is removed when this is dropped.
pub(crate) struct Fixture {
    pub(crate) settings: DatabaseSettings,
    kept: Kept,
}

enum Kept {
    Directory(#[expect(dead_code, reason = "removed when dropped")] TempDir),
    Database { server: String, name: String },
}

impl Fixture {
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = DatabaseUrl::Sqlite(directory.path().join("zun.sqlite"));
        Self {
            settings: DatabaseSettings { url, ..DatabaseSettings::default() },
            kept: Kept::Directory(directory),
        }
    }

    pub(crate) fn postgres() -> Self {
        let server = std::env::var_os("ZUN_TEST_POSTGRES").and_then(|url| url.into_string().ok());
        let server = server.expect(
            "ZUN_TEST_POSTGRES is not set: run the tests with `make test`, or with `tests/services/postgres.sh cargo test …`",
        );
        let name = format!("test_{}", Uuid::new_v4().simple());
        execute(&server, &format!("CREATE DATABASE {name}"));
        let (start, _) = server.rsplit_once('/').expect("a URL with a database");
        let url = DatabaseUrl::Postgres(Secret::new(format!("{start}/{name}")));
        Self {
            settings: DatabaseSettings { url, ..DatabaseSettings::default() },
            kept: Kept::Database { server, name },
        }
    }

    /// Opens a connection, also before the migrations.
    pub(crate) fn connect(&self) -> Conn {
        Connector::new(self.settings.url.clone(), Session::Migration)
            .open_session()
            .expect("a connection")
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Kept::Database { server, name } = &self.kept {
            execute(server, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

fn execute(server: &str, statement: &str) {
    let mut conn = PgConnection::establish(server).expect("the server answers");
    conn.batch_execute(statement).expect("the statement succeeds");
}
