//! The paging fields that all lists share.

use super::fields::Fields;
use super::rules::SHORT_TEXT;
use crate::app::InvalidField;

/// Maximum and default size of a page.
pub(super) const MAX_PAGE: usize = 1000;

/// Reads the field `limit`.
pub(super) fn limit(fields: &mut Fields) -> Result<Option<usize>, InvalidField> {
    let limit = fields.whole_number("limit", 1..=u64::MAX, "a positive whole number")?;
    Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(MAX_PAGE).min(MAX_PAGE)))
}

/// Reads the field `sort_dir`.
pub(super) fn descending(fields: &mut Fields) -> Result<bool, InvalidField> {
    match fields.text("sort_dir", &SHORT_TEXT)?.as_deref() {
        None | Some("asc") => Ok(false),
        Some("desc") => Ok(true),
        Some(other) => Err(InvalidField::new("sort_dir", other, "`asc` or `desc`")),
    }
}
