//! Tracks a terminal's output, so that zun can draw between its bytes: whether it is inside a sequence or a character,
//! which screen is active, and which modes are set.

use zun_common::terminal::{Piece, Scanner, Sequence, TerminalModes};

/// Cancels a sequence.
const CANCEL: &[u8] = b"\x18";

/// Follows the output of a process, in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct OutputState {
    scanner: Scanner,
    modes: TerminalModes,
}

impl OutputState {
    /// Follows output.
    pub(crate) fn follow(&mut self, output: &[u8]) {
        let Self { scanner, modes } = self;
        scanner.feed(output, |piece| match piece {
            Piece::Text(text) => modes.shifted(text),
            Piece::Sequence(sequence) => {
                if let Some(sequence) = Sequence::read(sequence) {
                    modes.follow(&sequence);
                }
            }
        });
    }

    /// Returns `true` outside of a sequence or a character.
    pub(crate) fn is_whole(&self) -> bool {
        self.scanner.is_whole()
    }

    /// Returns `true` on the alternate screen, which editors and pagers use.
    pub(crate) const fn is_alternate(&self) -> bool {
        self.modes.alternate().is_some()
    }

    /// Returns the sequences that reset the modes that the process has set. Empty if there are none.
    pub(crate) fn reset(&self) -> Vec<u8> {
        let cancel = if self.is_whole() { &b""[..] } else { CANCEL };
        [cancel, &self.modes.reset()].concat()
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
            assert_eq!(followed(&[half]).reset(), CANCEL);
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

    #[test]
    fn what_an_editor_has_set_is_undone() {
        let editor = followed(&[b"$ vim\r\n\x1b[?1049h\x1b[?2004h\x1b[?1000h\x1b[?25l\x1b[1;3"]);
        let reset = editor.reset();
        let after = followed(&[b"\x1b[?1049h\x1b[?2004h\x1b[?1000h\x1b[?25l\x1b[1;3", &reset]);
        assert!(after.is_whole() && !after.is_alternate() && after.reset().is_empty());
        assert!(followed(&[b"$ ls\r\n\x1b[1mx\x1b[m"]).reset().is_empty());
    }
}
