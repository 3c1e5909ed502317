//! What must be known of a terminal's output before something else is drawn between its bytes: whether it is within a
//! sequence or a character, and which of the two screens it shows.

/// The longest parameters of a sequence that are kept, in bytes.
const MAXIMUM_PARAMETERS: usize = 32;

/// Follows the output of a process, in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct OutputState {
    at: At,
    parameters: Vec<u8>,
    is_alternate: bool,
}

/// Where in its output the process is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Between two characters or sequences.
    #[default]
    Ground,
    /// Within a character of UTF-8: this many bytes follow.
    Character(u8),
    /// After ESC, and perhaps intermediate bytes.
    Escape,
    /// After ESC [.
    Control,
    /// Within a string that BEL or ESC \ ends.
    Text,
    /// After ESC within a string.
    TextEscape,
}

impl OutputState {
    /// Follows output.
    pub(super) fn follow(&mut self, output: &[u8]) {
        for byte in output {
            self.at = self.after(*byte);
        }
    }

    /// Returns `true` if nothing is half printed.
    pub(super) fn is_whole(&self) -> bool {
        self.at == At::Ground
    }

    /// Returns `true` on the alternate screen, which editors and pagers use.
    pub(super) const fn is_alternate(&self) -> bool {
        self.is_alternate
    }

    fn after(&mut self, byte: u8) -> At {
        // CAN and SUB end any sequence.
        if matches!(byte, 0x18 | 0x1a) {
            return At::Ground;
        }
        match (self.at, byte) {
            (At::Text, 0x1b) => At::TextEscape,
            (At::Text, 0x07) | (At::TextEscape, b'\\') => At::Ground,
            (At::Text, _) => At::Text,
            (At::Ground | At::Character(_) | At::Escape | At::TextEscape | At::Control, 0x1b) => {
                At::Escape
            }
            (At::Character(left), 0x80..=0xbf) if left > 1 => At::Character(left - 1),
            (At::Ground | At::Character(_), _) => begin_character(byte),
            (At::Escape | At::TextEscape, _) => self.after_escape(byte),
            (At::Control, _) => self.within_control(byte),
        }
    }

    fn after_escape(&mut self, byte: u8) -> At {
        match byte {
            b'[' => {
                self.parameters.clear();
                At::Control
            }
            b']' | b'P' | b'X' | b'^' | b'_' => At::Text,
            0x20..=0x2f => At::Escape,
            b'c' => {
                self.is_alternate = false;
                At::Ground
            }
            _ => At::Ground,
        }
    }

    fn within_control(&mut self, byte: u8) -> At {
        if matches!(byte, 0x40..=0x7e) {
            self.control(byte);
            return At::Ground;
        }
        if self.parameters.len() < MAXIMUM_PARAMETERS {
            self.parameters.push(byte);
        }
        At::Control
    }

    /// Follows the sequence that ends with this byte.
    fn control(&mut self, last: u8) {
        let Some(modes) = self.parameters.strip_prefix(b"?") else { return };
        let mut modes = modes.split(|byte| *byte == b';');
        if matches!(last, b'h' | b'l')
            && modes.any(|mode| matches!(mode, b"1049" | b"1047" | b"47"))
        {
            self.is_alternate = last == b'h';
        }
    }
}

/// Reads the first byte of a character of UTF-8.
const fn begin_character(byte: u8) -> At {
    match byte {
        0xc2..=0xdf => At::Character(1),
        0xe0..=0xef => At::Character(2),
        0xf0..=0xf4 => At::Character(3),
        _ => At::Ground,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(pieces: &[&[u8]]) -> OutputState {
        let mut state = OutputState::default();
        for piece in pieces {
            state.follow(piece);
        }
        state
    }

    #[test]
    fn the_alternate_screen_is_noticed_in_any_pieces() {
        assert!(followed(&[b"\x1b[?1049h"]).is_alternate());
        assert!(followed(&[b"text\x1b", b"[?25;10", b"49", b"h\x1b[H"]).is_alternate());
        assert!(!followed(&[b"\x1b[?1049h", b"\x1b[?1049l"]).is_alternate());
        assert!(!followed(&[b"\x1b[?1049h", b"\x1bc"]).is_alternate());
        assert!(!followed(&[b"\x1b[1049h\x1b[?2004h"]).is_alternate());
    }

    #[test]
    fn nothing_is_drawn_within_a_sequence_or_a_character() {
        for half in [
            &b"\x1b"[..],
            b"\x1b[3",
            b"\x1b(",
            b"\x1b]0;title",
            b"\x1b]0;title\x1b",
            b"\xe2\x82",
            b"\xf0\x9f\x98",
        ] {
            assert!(!followed(&[half]).is_whole(), "{half:?}");
        }
        for whole in [
            &b"text\r\n"[..],
            b"\x1b[31m",
            b"\x1b(B",
            b"\x1b]0;title\x07",
            b"\x1b]0;title\x1b\\",
            "\u{20ac}\u{1f600}".as_bytes(),
            b"\xff\x80",
        ] {
            assert!(followed(&[whole]).is_whole(), "{whole:?}");
        }
    }
}
