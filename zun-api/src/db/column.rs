//! Reads columns that hold texts of a format. The errors name the column and the row.

use std::str::FromStr;

use serde::de::DeserializeOwned;

use super::DbError;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Parses a text column.
pub(super) fn parse<T>(column: &'static str, row: &str, text: &str) -> Result<T, DbError>
where
    T: FromStr,
    T::Err: Into<Cause>,
{
    text.parse().map_err(|cause| unreadable(column, row, cause))
}

/// Parses a text column that may be empty.
pub(super) fn parse_optional<T>(
    column: &'static str,
    row: &str,
    text: Option<&str>,
) -> Result<Option<T>, DbError>
where
    T: FromStr,
    T::Err: Into<Cause>,
{
    text.map(|text| parse(column, row, text)).transpose()
}

/// Parses a column with JSON.
pub(super) fn json<T: DeserializeOwned>(
    column: &'static str,
    row: &str,
    text: &str,
) -> Result<T, DbError> {
    serde_json::from_str(text).map_err(|cause| unreadable(column, row, cause))
}

/// Parses a column with JSON that may be empty.
pub(super) fn json_optional<T: DeserializeOwned>(
    column: &'static str,
    row: &str,
    text: Option<&str>,
) -> Result<Option<T>, DbError> {
    text.map(|text| json(column, row, text)).transpose()
}

/// A column holds what this build cannot read.
pub(super) fn unreadable(column: &'static str, row: &str, cause: impl Into<Cause>) -> DbError {
    DbError::Unreadable { column, row: row.to_owned(), cause: cause.into() }
}
