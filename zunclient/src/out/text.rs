//! Text on a terminal: its width in columns, and how it is shortened and cleaned.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

/// What stands for the part that does not fit.
const ELLIPSIS: char = '…';
/// The length of a shortened ID.
const SHORT_ID: usize = 12;

/// Returns the width of a clean text in columns of a terminal.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn columns(character: char) -> usize {
    character.width().unwrap_or(0)
}

/// Returns a clean text that is at most `room` columns wide. If it was longer, it ends with `…`.
pub(super) fn shorten(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut shortened = String::new();
    let mut left = room.saturating_sub(1);
    for character in text.chars() {
        let Some(rest) = left.checked_sub(columns(character)) else { break };
        left = rest;
        shortened.push(character);
    }
    shortened.truncate(shortened.trim_end().len());
    if room > 0 {
        shortened.push(ELLIPSIS);
    }
    shortened
}

/// Replaces what could control the terminal, break lines or change the direction of text. Text from the service or a
/// host must not do that.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            control if control.is_control() || is_hidden_control(control) => '\u{fffd}',
            other => other,
        })
        .collect()
}

/// Replaces control characters in JSON that a terminal could obey and JSON need not escape. They are in texts only.
pub(super) fn escape_controls(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if is_hidden_control(character) {
            // Writing to a string cannot fail.
            write!(escaped, "\\u{:04x}", u32::from(character)).unwrap_or_default();
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// DEL, the C1 controls, and what changes the direction of text.
const fn is_hidden_control(character: char) -> bool {
    matches!(character, '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the beginning of an ID as tables show it. The service and `zun` accept it in the place of the whole ID.
pub(crate) fn short_id(id: &impl ToString) -> String {
    id.to_string().chars().take(SHORT_ID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shortened_by_the_columns_that_it_takes() {
        for (text, room, shown) in [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("one two", 5, "one…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("x", 0, ""),
        ] {
            assert_eq!(shorten(text, room), shown, "{text} in {room}");
            assert!(width(&shorten(text, room)) <= room);
        }
    }

    #[test]
    fn json_stays_the_same_value_when_controls_are_escaped() {
        let value = "a\u{9b}31mb\u{202e}c\n\u{7f}é";
        let json = serde_json::to_string(value).expect("JSON");
        let escaped = escape_controls(&json);
        assert_eq!(escaped, r#""a\u009b31mb\u202ec\n\u007fé""#);
        assert_eq!(serde_json::from_str::<String>(&escaped).expect("JSON"), value);
    }

    #[test]
    fn no_text_controls_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\nc\u{9b}d\u{202e}e"), "a\u{fffd}[2Jb c\u{fffd}d\u{fffd}e");
    }
}
