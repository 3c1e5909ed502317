//! The paging fields that all lists share.

use super::field::{Field, Kind, field, text_field, whole_field};
use super::fields::Fields;
use super::rules::SHORT_TEXT;

/// Maximum and default size of a page.
pub(super) const MAX_PAGE: usize = 1000;

/// The field `limit`.
pub(super) const LIMIT: Field = whole_field(
    "limit",
    (1, u64::MAX, ""),
    "Number of items on a page; default and maximum 1000 (a larger number counts as 1000)",
);
/// The field `sort_dir`.
pub(super) const SORT_DIR: Field =
    field("sort_dir", Kind::Word(&["asc", "desc"]), "The direction of the order");

/// The field `marker` of lists that are read as a whole.
pub(super) const MARKER: Field =
    text_field("marker", SHORT_TEXT, "The UUID of the last item of the previous page");
/// The field `sort_key` of lists that are read as a whole: they are in the order of creation.
pub(super) const SORT_KEY: Field =
    field("sort_key", Kind::Word(&["id", "created_at"]), "What to sort by");

/// Reads the field `limit`.
pub(super) fn limit(fields: &mut Fields) -> Option<usize> {
    let limit: Option<u64> = fields.whole("limit");
    limit.map(|limit| usize::try_from(limit).unwrap_or(MAX_PAGE).min(MAX_PAGE))
}

/// Reads the field `sort_dir`.
pub(super) fn descending(fields: &mut Fields) -> bool {
    fields.word("sort_dir") == Some("desc")
}

/// Selects a part of a list that is read as a whole.
#[derive(Debug, Clone)]
pub(super) struct ItemPage {
    pub(super) limit: usize,
    marker: Option<String>,
    descending: bool,
}

impl ItemPage {
    /// Reads [`LIMIT`], [`MARKER`], [`SORT_DIR`] and [`SORT_KEY`].
    pub(super) fn read(fields: &mut Fields) -> Self {
        fields.word("sort_key");
        Self {
            limit: limit(fields).unwrap_or(MAX_PAGE),
            marker: fields.text("marker"),
            descending: descending(fields),
        }
    }

    /// Returns the items of the page, and the ID of the last one if the page is full. `Err` is a marker that is the ID
    /// of none.
    pub(super) fn select<T>(
        &self,
        mut items: Vec<T>,
        id: impl Fn(&T) -> String,
    ) -> Result<(Vec<T>, Option<String>), String> {
        if self.descending {
            items.reverse();
        }
        let begin = match &self.marker {
            Some(marker) => {
                let found = items.iter().position(|item| id(item) == *marker);
                found.ok_or_else(|| marker.clone())? + 1
            }
            None => 0,
        };
        let page: Vec<T> = items.into_iter().skip(begin).take(self.limit).collect();
        let last = page.last().filter(|_| page.len() == self.limit).map(id);
        Ok((page, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_after_its_marker_and_a_full_one_names_its_last_item() {
        let page = |limit, marker: Option<&str>, descending| {
            let marker = marker.map(str::to_owned);
            ItemPage { limit, marker, descending }.select(vec![1, 2, 3], i32::to_string)
        };
        assert_eq!(page(9, None, false), Ok((vec![1, 2, 3], None)));
        assert_eq!(page(2, None, false), Ok((vec![1, 2], Some("2".to_owned()))));
        assert_eq!(page(2, Some("2"), false), Ok((vec![3], None)));
        assert_eq!(page(1, Some("3"), true), Ok((vec![2], Some("2".to_owned()))));
        assert_eq!(page(1, Some("7"), false), Err("7".to_owned()));
    }
}
