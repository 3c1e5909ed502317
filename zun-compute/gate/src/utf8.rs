//! Converts any bytes to UTF-8.

use std::char::REPLACEMENT_CHARACTER;

/// Decodes a stream of bytes. An incomplete character is kept back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Utf8Stream {
    /// The beginning of a character: at most three bytes.
    incomplete: Vec<u8>,
}

impl Utf8Stream {
    /// Returns the text of these bytes and those that were kept back. What is not UTF-8 becomes U+FFFD.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.incomplete);
        all.extend_from_slice(bytes);
        let mut text = String::with_capacity(all.len());
        let mut rest = all.as_slice();
        while let Err(error) = str::from_utf8(rest) {
            let (valid, invalid) = rest.split_at(error.valid_up_to());
            text.push_str(&String::from_utf8_lossy(valid));
            let Some(length) = error.error_len() else {
                self.incomplete = invalid.to_vec();
                return text;
            };
            text.push(REPLACEMENT_CHARACTER);
            rest = invalid.get(length..).unwrap_or_default();
        }
        text.push_str(&String::from_utf8_lossy(rest));
        text
    }

    /// How many bytes are kept back.
    pub(crate) const fn held(&self) -> usize {
        self.incomplete.len()
    }

    /// The stream has ended. Returns U+FFFD for an incomplete character that was kept back.
    pub(crate) fn finish(&mut self) -> String {
        let incomplete = std::mem::take(&mut self.incomplete);
        String::from_utf8_lossy(&incomplete).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(parts: &[&[u8]]) -> Vec<String> {
        let mut stream = Utf8Stream::default();
        let mut texts: Vec<_> = parts.iter().map(|part| stream.feed(part)).collect();
        texts.push(stream.finish());
        texts
    }

    #[test]
    fn a_character_in_parts_is_kept_until_it_is_complete() {
        assert_eq!(all(&["a€".as_bytes(), b"b"]), ["a€", "b", ""]);
        assert_eq!(all(&[b"a\xE2", b"\x82", b"\xACb"]), ["a", "", "€b", ""]);
        assert_eq!(all(&[b"a\xE2\x82"]), ["a", "\u{FFFD}"]);
        assert_eq!(all(&[b"\xE2", b"x\xFF\xFEy"]), ["", "\u{FFFD}x\u{FFFD}\u{FFFD}y", ""]);
    }

    proptest! {
        #[test]
        fn the_parts_do_not_matter_and_text_is_unchanged(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            text in "\\PC{0,50}",
            cut in 0_usize..200,
        ) {
            let at = |whole: &[u8]| {
                let (one, two) = whole.split_at(cut.min(whole.len()));
                all(&[one, two]).concat()
            };
            prop_assert_eq!(at(&bytes), String::from_utf8_lossy(&bytes));
            prop_assert_eq!(at(text.as_bytes()), text);
        }
    }
}
