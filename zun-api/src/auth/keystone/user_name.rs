//! Names of users, as Keystone's database may compare them.

/// Returns the name without spaces around it, in lower case.
pub(super) fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Whether Keystone may take one name for the other. Its database may ignore case, spaces at the end, accents and the width
/// of letters. So a letter with an accent counts as any letter here.
pub(super) fn may_match(one: &str, other: &str) -> bool {
    let letters = |name: &str| -> Vec<char> {
        folded(name).chars().filter(|letter| !is_ignored(*letter)).collect()
    };
    let (one, other) = (letters(one), letters(other));
    one.len() == other.len()
        && one
            .iter()
            .zip(&other)
            .all(|(one, other)| one == other || has_variants(*one) || has_variants(*other))
}

/// Combining accents, and characters without a width.
const fn is_ignored(letter: char) -> bool {
    matches!(letter, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Latin letters with accents, and wide letters.
const fn has_variants(letter: char) -> bool {
    matches!(letter, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{ff00}'..='\u{ff5e}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_matches_in_every_spelling_that_a_database_takes_for_the_same() {
        for same in
            ["zun", "Zun", " ZUN\t", "z\u{fc}n", "zu\u{308}n", "\u{ff5a}un", "zu\u{200b}n", "\0zun"]
        {
            assert!(may_match(same, "zun"), "{same:?}");
        }
        for other in ["", "z", "zu n", "zuns", "ann", "\u{e4}nn", "\u{738b}\u{5c0f}\u{660e}"] {
            assert!(!may_match(other, "zun"), "{other:?}");
        }
    }
}
