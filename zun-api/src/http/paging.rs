//! The paging fields that all lists share.

use super::field::{Field, Kind, field, whole_field};
use super::fields::Fields;

/// Maximum and default size of a page.
pub(super) const MAX_PAGE: usize = 1000;

/// The field `limit`.
pub(super) const LIMIT: Field = whole_field(
    "limit",
    (1, u64::MAX, ""),
    "The size of the page; 1000 if it is larger, or absent",
);
/// The field `sort_dir`.
pub(super) const SORT_DIR: Field =
    field("sort_dir", Kind::Word(&["asc", "desc"]), "The direction of the order");

/// Reads the field `limit`.
pub(super) fn limit(fields: &mut Fields) -> Option<usize> {
    let limit: Option<u64> = fields.whole("limit");
    limit.map(|limit| usize::try_from(limit).unwrap_or(MAX_PAGE).min(MAX_PAGE))
}

/// Reads the field `sort_dir`.
pub(super) fn descending(fields: &mut Fields) -> bool {
    fields.word("sort_dir") == Some("desc")
}
