//! Connections: which database, and the settings of each session.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::r2d2::{ManageConnection, R2D2Connection};
use diesel::sqlite::SqliteConnection;
use diesel::{Connection, ConnectionError};

use crate::settings::DatabaseUrl;

/// A connection to either database. The scheme of the URL chooses the variant: diesel's own `Conn::establish` would
/// try one database after the other, and so open a file when PostgreSQL is down.
#[derive(diesel::MultiConnection)]
pub(crate) enum Conn {
    /// A connection to an SQLite file.
    Sqlite(SqliteConnection),
    /// A connection to PostgreSQL.
    Postgres(PgConnection),
}

/// The SQL dialect of [`Conn`].
pub(crate) type Backend = <Conn as Connection>::Backend;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    /// Ordinary work.
    Ordinary,
    /// Only reading. In SQLite, a write fails: only the writer writes.
    ReadOnly,
    /// Migrations, which may take minutes.
    Migration,
}

impl Session {
    /// Settings in SQLite. With WAL, readers see the last commit and wait for nobody. The writer sets `synchronous` for
    /// each commit.
    const fn in_sqlite(self) -> &'static str {
        match self {
            Self::Ordinary | Self::Migration => {
                "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                 PRAGMA foreign_keys = ON; PRAGMA cache_size = -512;"
            }
            Self::ReadOnly => {
                "PRAGMA busy_timeout = 5000; PRAGMA cache_size = -512; PRAGMA query_only = ON;"
            }
        }
    }

    /// Settings in PostgreSQL: no statement, lock or forgotten transaction lasts forever.
    const fn in_postgres(self) -> &'static str {
        match self {
            Self::Ordinary | Self::ReadOnly => {
                "SET statement_timeout = '20s'; SET lock_timeout = '5s'; \
                 SET idle_in_transaction_session_timeout = '20s';"
            }
            Self::Migration => "SET lock_timeout = '60s';",
        }
    }
}

/// Deadlines of libpq: for connecting, in seconds, and for unacknowledged data, in milliseconds.
const POSTGRES_DEADLINES: [(&str, &str); 3] =
    [("connect_timeout", "5"), ("tcp_user_timeout", "10000"), ("application_name", "zun-api")];

/// How long a pool waits for a connection.
pub(super) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The message of SQLite or libpq, without the password.
    #[error("cannot connect to the database: {0}")]
    Refused(String),
    /// The session could not be set up.
    #[error("cannot set up a database session")]
    Session(#[from] diesel::result::Error),
}

/// Opens connections to one database.
#[derive(Debug)]
pub(super) struct Connector {
    url: DatabaseUrl,
    session: Session,
}

impl Connector {
    pub(super) const fn new(url: DatabaseUrl, session: Session) -> Self {
        Self { url, session }
    }

    /// Opens a connection.
    pub(super) fn open_session(&self) -> Result<Conn, ConnectError> {
        match &self.url {
            DatabaseUrl::Sqlite(path) => {
                let mut conn = SqliteConnection::establish(&path.display().to_string())
                    .map_err(|refusal| ConnectError::Refused(refusal.to_string()))?;
                conn.batch_execute(self.session.in_sqlite())?;
                Ok(Conn::Sqlite(conn))
            }
            DatabaseUrl::Postgres(url) => {
                let url = url.expose();
                let mut conn = PgConnection::establish(&with_deadlines(url))
                    .map_err(|refusal| ConnectError::Refused(without_password(&refusal, url)))?;
                conn.batch_execute(self.session.in_postgres())?;
                Ok(Conn::Postgres(conn))
            }
        }
    }
}

impl ManageConnection for Connector {
    type Connection = Conn;
    type Error = ConnectError;

    fn connect(&self) -> Result<Conn, ConnectError> {
        self.open_session()
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<(), ConnectError> {
        Ok(conn.ping()?)
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        std::thread::panicking() || conn.is_broken()
    }
}

/// Returns the part of the URL after user and password.
fn after_credentials(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.split_once('@') {
        Some((credentials, rest)) if !credentials.contains('/') => rest,
        Some(_) | None => rest,
    }
}

/// Adds the deadlines that the URL does not set.
fn with_deadlines(url: &str) -> String {
    let parameters = after_credentials(url).split_once('?').map(|(_, parameters)| parameters);
    let given: Vec<&str> = parameters
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
        .collect();
    let mut full = url.to_owned();
    let mut separator = if parameters.is_some() { '&' } else { '?' };
    for (name, value) in POSTGRES_DEADLINES.iter().filter(|(name, _)| !given.contains(name)) {
        full.push(separator);
        full.extend([*name, "=", *value]);
        separator = '&';
    }
    full
}

/// Returns libpq's message, unless it contains a part of the password: libpq repeats what it cannot parse.
fn without_password(refusal: &ConnectionError, url: &str) -> String {
    let text = refusal.to_string();
    let repeats_url = text.contains("postgres://") || text.contains("postgresql://");
    if repeats_url || secrets(url).any(|secret| text.contains(secret)) {
        return "its message is hidden, because it contains a part of the password; check database.url, \
                and percent-encode special characters in its user and password"
            .to_owned();
    }
    text.trim_end().to_owned()
}

/// Returns the parts of all passwords in the URL, as they are written there. If in doubt, a part is secret.
fn secrets(url: &str) -> impl Iterator<Item = &str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let credentials = rest.rsplit_once('@').map_or("", |(credentials, _)| credentials);
    let password = credentials.split_once(':').map_or("", |(_, password)| password);
    let parameters = rest.split(['?', '&']).filter_map(|pair| pair.split_once('='));
    let parameters = parameters.filter(|(name, _)| name.contains("password"));
    std::iter::once(password)
        .chain(parameters.map(|(_, password)| password))
        .flat_map(|secret| secret.split(['/', ':', '@', '?', '&', '=', '%']))
        .filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_added_unless_the_url_sets_them() {
        let all = "connect_timeout=5&tcp_user_timeout=10000&application_name=zun-api";
        for (url, expected) in [
            ("postgres://db/zun", format!("postgres://db/zun?{all}")),
            ("postgres://u:a?b@db/zun", format!("postgres://u:a?b@db/zun?{all}")),
            ("postgres:///zun?host=/run", format!("postgres:///zun?host=/run&{all}")),
            (
                "postgres://db/zun?connect_timeout=9&application_name=x",
                "postgres://db/zun?connect_timeout=9&application_name=x&tcp_user_timeout=10000"
                    .to_owned(),
            ),
        ] {
            assert_eq!(with_deadlines(url), expected);
        }
    }

    #[test]
    fn a_refused_connection_never_shows_the_password() {
        for url in [
            "postgres://zun:hunter2@127.0.0.1:1/zun",
            "postgres://zun:hunter2@127.0.0.1:port/zun",
            "postgres://zun:hunter2%zz@127.0.0.1:1/zun",
            "postgres://zun:hunter2/x@127.0.0.1:1/zun",
            "postgres://zun:hunter2@[::1/zun",
            "postgres://127.0.0.1:1/zun?user=zun&password=hunter2",
            "postgres://127.0.0.1:1/zun?user=zun&password=hunter2%zz",
            "postgres://127.0.0.1:1/zun?sslmode=hunter2&password=hunter2",
            "postgres://zun@127.0.0.1:1/zun?sslpassword=hunter2&sslmode=require",
        ] {
            let connector = Connector::new(url.parse().expect("a URL"), Session::Ordinary);
            let Err(refusal) = connector.connect() else { panic!("{url} is a database") };
            let shown = format!("{} {refusal:?}", zun_common::chain(&refusal));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_database_that_is_down_is_not_replaced_by_a_file() {
        let connector =
            Connector::new("postgres://127.0.0.1:1/zun".parse().expect("a URL"), Session::Ordinary);
        let Err(refusal) = connector.connect() else { panic!("there is no PostgreSQL") };
        assert!(zun_common::chain(&refusal).contains("refused"), "{refusal}");
    }
}
