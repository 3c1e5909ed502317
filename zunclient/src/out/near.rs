//! Finds what a person probably meant.

/// Returns the name most similar to the wrong one, if it is similar enough.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let distances = names.map(|name| (edits(&wrong, &name.to_lowercase()), name));
    let (edits, name) = distances.min_by_key(|(edits, _)| *edits)?;
    let bound = (wrong.chars().count().max(name.chars().count()) / 3).max(1);
    (edits <= bound && edits < wrong.chars().count()).then_some(name)
}

/// The number of edits that turn one text into the other: characters added, removed, replaced, or swapped with their
/// neighbours.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let mut previous = None;
    for (row, character) in one.chars().enumerate() {
        let mut next = vec![row + 1];
        for (column, other_character) in other.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX);
            let replaced = at(&last, column) + usize::from(character != *other_character);
            let added = at(&next, column) + 1;
            let removed = at(&last, column + 1) + 1;
            let mut least = replaced.min(added).min(removed);
            let before_it = column.checked_sub(1).and_then(|index| other.get(index));
            if previous == Some(*other_character) && before_it == Some(&character) {
                least = least.min(at(&before, column - 1) + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
        previous = Some(character);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_if_it_is_near_enough() {
        let names = ["table", "wide", "json", "yaml", "csv", "name", "value"];
        for (wrong, near) in [
            ("jsn", Some("json")),
            ("JSON ", Some("json")),
            ("tabel", Some("table")),
            ("ymal", Some("yaml")),
            ("xml", None),
            ("q", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, names.into_iter()), near, "{wrong}");
        }
    }

    #[test]
    fn a_swap_is_one_edit() {
        assert_eq!(edits("nmae", "name"), 1);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", "abc"), 0);
    }
}
