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

/// Writes a size with up to three significant digits, as Docker does: `1.27kB`, `17MB`. The units are powers of 1000.
pub(crate) fn size_words(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (mut unit, mut factor) = (0, 1_u128);
    while u128::from(bytes) >= factor * 1000 {
        factor *= 1000;
        unit += 1;
    }
    let rounded = |parts: u128| (u128::from(bytes) * parts + factor / 2) / factor;
    let number = match u128::from(bytes) / factor {
        _ if unit == 0 => bytes.to_string(),
        ..10 => decimal(rounded(100), 100),
        10..100 => decimal(rounded(10), 10),
        100.. => rounded(1).to_string(),
    };
    format!("{number}{}", UNITS.get(unit).copied().unwrap_or_default())
}

/// Writes a number of hundredths or tenths, without zeros at its end.
fn decimal(number: u128, parts: u128) -> String {
    let digits = if parts == 100 { 2 } else { 1 };
    let text = format!("{}.{:0digits$}", number / parts, number % parts);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
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

    #[test]
    fn sizes_are_written_as_docker_writes_them() {
        for (bytes, words) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1268, "1.27kB"),
            (1_980_000, "1.98MB"),
            (9_999_999, "10MB"),
            (16_984_230, "17MB"),
            (16_440_000, "16.4MB"),
            (512_400_000, "512MB"),
            (512_000_000_000, "512GB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(size_words(bytes), words);
        }
    }
}
