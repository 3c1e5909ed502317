//! Errors of the database.

use std::path::PathBuf;
use std::sync::Arc;

use super::quota::OverQuota;

/// A failure of the database. Its words name no value of any row.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The file cannot be made or opened.
    #[error("cannot open the database file `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Another zun-api uses the SQLite file.
    #[error(
        "another zun-api uses the database file `{path}`: stop it first, or use PostgreSQL for several"
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// No connection can be made.
    #[error("no database connection became available in time")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The work did not get its turn in time.
    #[error("the database is too busy")]
    Busy(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The transaction that the work was a part of was not committed.
    #[error("the database did not commit a transaction")]
    Batch(#[source] Arc<diesel::result::Error>),
    /// The work panicked.
    #[error("a database operation panicked")]
    Panicked,
    /// The migrations do not run.
    #[error("cannot migrate the database to the newest schema")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server is older than what zun-api supports.
    #[error("PostgreSQL {version} is too old: zun-api needs PostgreSQL {oldest} or newer")]
    TooOld {
        /// The server's major version.
        version: i32,
        /// The oldest supported major version.
        oldest: i32,
    },
    /// A query failed.
    #[error("the database refused a query")]
    Query(#[from] diesel::result::Error),
    /// A row holds what this build cannot read.
    #[error("cannot read column {column} of row {row}")]
    Unreadable {
        /// The column.
        column: &'static str,
        /// Which row.
        row: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A host has less free than a claim needs: another transaction has claimed it since it was read.
    #[error("another request has claimed the resources of the host meanwhile")]
    NoCapacity,
    /// A project has less left of its quota than a request needs.
    #[error("a request exceeds the quota of its project")]
    OverQuota(OverQuota),
    /// A value cannot be written.
    #[error("cannot encode a value for the database")]
    Encoding(#[from] serde_json::Error),
    /// The work on the blocking pool was given up.
    #[error("a database operation was aborted")]
    GivenUp(#[source] tokio::task::JoinError),
}

impl DbError {
    /// Whether a unique constraint was violated.
    pub(crate) const fn is_duplicate(&self) -> bool {
        use diesel::result::{DatabaseErrorKind, Error};
        matches!(self, Self::Query(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)))
    }

    /// Whether PostgreSQL has rolled the transaction back because of a concurrent one (SQLSTATE 40001 or 40P01), so that
    /// the same work succeeds if it runs again. Diesel does not pass on the code of a deadlock: only a server with English
    /// messages has it recognized.
    pub(crate) fn is_conflict(&self) -> bool {
        use diesel::result::{DatabaseErrorKind, Error};
        match self {
            Self::Query(Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => true,
            Self::Query(Error::DatabaseError(DatabaseErrorKind::Unknown, words)) => {
                words.message() == "deadlock detected"
            }
            Self::Query(_)
            | Self::File { .. }
            | Self::Locked { .. }
            | Self::Connection(_)
            | Self::Busy(_)
            | Self::Batch(_)
            | Self::Panicked
            | Self::Migration(_)
            | Self::TooOld { .. }
            | Self::Unreadable { .. }
            | Self::NoCapacity
            | Self::OverQuota(_)
            | Self::Encoding(_)
            | Self::GivenUp(_) => false,
        }
    }

    /// Whether the same work may succeed later: the database is locked, full, restarting or not to be
    /// reached, and neither the work nor the row is at fault.
    pub(crate) fn is_transient(&self) -> bool {
        use diesel::result::{DatabaseErrorKind, Error};
        match self {
            Self::Connection(_)
            | Self::Busy(_)
            | Self::Batch(_)
            | Self::NoCapacity
            | Self::Query(Error::BrokenTransactionManager) => true,
            Self::GivenUp(cause) => cause.is_cancelled(),
            Self::Query(Error::DatabaseError(kind, _)) => !matches!(
                kind,
                DatabaseErrorKind::UniqueViolation
                    | DatabaseErrorKind::ForeignKeyViolation
                    | DatabaseErrorKind::NotNullViolation
                    | DatabaseErrorKind::CheckViolation
            ),
            Self::File { .. }
            | Self::Locked { .. }
            | Self::Panicked
            | Self::Migration(_)
            | Self::TooOld { .. }
            | Self::Query(_)
            | Self::Unreadable { .. }
            | Self::OverQuota(_)
            | Self::Encoding(_) => false,
        }
    }
}
