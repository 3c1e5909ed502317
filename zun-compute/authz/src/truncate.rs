//! Truncates long strings in a stream of JSON.
//!
//! Docker sends whole response bodies to its plugins. zun-authz does not use them, and truncates them to limit the
//! memory for a request.

/// The longest string that is kept whole, in bytes: longer than any certificate or granted target.
const MAX_STRING: usize = 16 * 1024;
/// The longest escape sequence (`\uXXXX`). The truncator never splits one.
const ESCAPE: usize = 6;

/// Copies chunks of JSON and truncates every string to about 16 KiB. It leaves out only bytes between two quotes, so
/// the structure of the JSON stays the same.
#[derive(Debug, Default)]
pub struct JsonTruncator {
    /// Bytes of the current string so far; `None` outside a string.
    string: Option<usize>,
    /// Whether the last byte was a backslash that begins an escape.
    escaped: bool,
    /// The offset in the current string at which the last escape began.
    last_escape: usize,
    /// Whether the rest of the current string is left out.
    truncating: bool,
}

impl JsonTruncator {
    /// Appends the bytes of `chunk` that are kept to `kept`.
    pub fn feed(&mut self, chunk: &[u8], kept: &mut Vec<u8>) {
        kept.extend(chunk.iter().copied().filter(|byte| self.keeps(*byte)));
    }

    fn keeps(&mut self, byte: u8) -> bool {
        let Some(length) = self.string else {
            if byte == b'"' {
                *self = Self { string: Some(0), ..Self::default() };
            }
            return true;
        };
        if self.escaped {
            self.escaped = false;
        } else if byte == b'"' {
            *self = Self::default();
            return true;
        } else if byte == b'\\' {
            self.escaped = true;
            self.last_escape = length;
        }
        self.truncating |= length >= MAX_STRING && self.is_between_escapes(length);
        self.string = Some(length + 1);
        !self.truncating
    }

    /// Whether the string can be cut before this byte without splitting an escape.
    fn is_between_escapes(&self, length: usize) -> bool {
        self.last_escape == length || self.last_escape + ESCAPE <= length || self.last_escape == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn truncated(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut truncator, mut kept) = (JsonTruncator::default(), Vec::new());
        for chunk in chunks {
            truncator.feed(chunk, &mut kept);
        }
        kept
    }

    proptest! {
        #[test]
        fn input_without_long_strings_passes_unchanged(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(truncated(&[&bytes]), bytes);
        }

        #[test]
        fn the_result_does_not_depend_on_the_chunks(cut in 0_usize..40_000, seed in "[a\"\\\\é\\n]{1,40}") {
            let text = json!({ "k": seed.repeat(1000), "l": [seed] }).to_string().into_bytes();
            let cut = cut.min(text.len());
            prop_assert_eq!(truncated(&[&text[..cut], &text[cut..]]), truncated(&[&text]));
        }

        #[test]
        fn a_truncated_string_is_a_prefix_of_the_original(seed in "[a\"\\\\\\n\u{1}]{1,40}", more in 0_usize..9) {
            let long = seed.repeat(1000 + more) + &"x".repeat(20_000);
            let text = json!({ "long": long, "after": "kept" }).to_string();
            let value: Value = serde_json::from_slice(&truncated(&[text.as_bytes()])).expect("json");
            let kept = value["long"].as_str().expect("a string");
            prop_assert!(long.starts_with(kept) && kept.len() < long.len());
            prop_assert_eq!(&value["after"], "kept");
        }
    }

    #[test]
    fn a_long_body_needs_little_memory() {
        let body = "QUJD".repeat(1 << 20);
        let text = json!({ "RequestMethod": "GET", "ResponseBody": body, "z": 1 }).to_string();
        let kept = truncated(&[text.as_bytes()]);
        assert!(kept.len() < MAX_STRING + 100, "{}", kept.len());
        let value: Value = serde_json::from_slice(&kept).expect("json");
        assert_eq!((&value["RequestMethod"], &value["z"]), (&json!("GET"), &json!(1)));
    }
}
