//! Which part of a list: what all lists have in common.

use super::fields::Fields;
use super::rules::SHORT_TEXT;
use crate::app::{AppError, InvalidField};

/// As many as a page can have, and has where nothing is said.
pub(super) const MAX_PAGE: usize = 1000;

/// `limit`
pub(super) fn limit(fields: &mut Fields) -> Result<Option<usize>, AppError> {
    let limit = fields
        .whole("limit", 1..=u64::MAX)
        .map_err(|_invalid| AppError::Malformed("Limit must be positive integer".to_owned()))?;
    Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(MAX_PAGE).min(MAX_PAGE)))
}

/// `sort_dir`
pub(super) fn descending(fields: &mut Fields) -> Result<bool, InvalidField> {
    match fields.text("sort_dir", &SHORT_TEXT)?.as_deref() {
        None | Some("asc") => Ok(false),
        Some("desc") => Ok(true),
        Some(other) => Err(InvalidField::new("sort_dir", other, "`asc` or `desc`")),
    }
}
