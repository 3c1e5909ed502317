//! Bounds of a command and its environment. Linux refuses to start a program beyond them, with a message that names
//! neither the argument nor the limit.

use std::collections::BTreeMap;

use crate::app::InvalidField;

/// The most bytes of an argument, or of a variable as `NAME=VALUE`: `MAX_ARG_STRLEN` of Linux without the final NUL.
const ONE: usize = (128 << 10) - 1;
/// The most bytes of all arguments, and of all variables.
const ALL: usize = 1 << 20;

/// Refuses words that are too long, or too long together.
pub(super) fn check_words<'a>(
    field: &str,
    words: impl IntoIterator<Item = &'a String>,
) -> Result<(), InvalidField> {
    let lengths = words.into_iter().enumerate().map(|(place, word)| {
        let name = if field == "environment" {
            word.split('=').next().unwrap_or_default().to_owned()
        } else {
            format!("word {}", place + 1)
        };
        (name, word.len())
    });
    check(field, lengths)
}

/// Refuses variables that are too long, or too long together.
pub(super) fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), InvalidField> {
    let lengths =
        variables.iter().map(|(name, value)| (name.clone(), name.len() + 1 + value.len()));
    check("environment", lengths)
}

fn check(field: &str, lengths: impl Iterator<Item = (String, usize)>) -> Result<(), InvalidField> {
    let mut all = 0;
    for (name, length) in lengths {
        if length > ONE {
            let value = format!("{name} with {length} bytes");
            let rule =
                format!("at most {ONE} bytes for each, because Linux starts no program with more");
            return Err(InvalidField::new(field, &value, rule));
        }
        all += length;
    }
    if all > ALL {
        let rule = format!("at most {ALL} bytes (1 MiB) together");
        return Err(InvalidField::new(field, &format!("{all} bytes"), rule));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_and_many_of_them_are_refused_with_their_length() {
        let words = |lengths: &[usize]| {
            lengths.iter().map(|length| "x".repeat(*length)).collect::<Vec<_>>()
        };
        assert!(check_words("command", &words(&[ONE; 8])).is_ok());
        let long = check_words("command", &words(&[2, ONE + 1])).expect_err("too long").to_string();
        assert!(long.contains("'command'. Value: 'word 2 with 131072 bytes'"), "{long}");
        let many = check_words("command", &words(&[ONE; 9])).expect_err("too many").to_string();
        assert!(
            many.contains("'1179639 bytes'. It must be at most 1048576 bytes (1 MiB)"),
            "{many}"
        );
        let variables = BTreeMap::from([("A".to_owned(), "x".repeat(ONE))]);
        let long = check_variables(&variables).expect_err("too long").to_string();
        assert!(long.contains("'environment'. Value: 'A with 131073 bytes'"), "{long}");
    }
}
