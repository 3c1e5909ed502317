//! Tracks a terminal's output, so that zun can draw between its bytes: whether it is inside a sequence or a character,
//! which screen is active, and which modes are set.

use zun_common::terminal::{Csi, Piece, Scanner, Sequence, TerminalModes};

/// Cancels a sequence.
const CANCEL: &[u8] = b"\x18";

/// Follows the output of a process, in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct OutputState {
    scanner: Scanner,
    modes: TerminalModes,
    rows: Rows,
}

/// Whether the rows of the process's terminal are the rows of the window. At first they are not: the session begins
/// below what the window showed before.
#[derive(Debug, Default)]
struct Rows {
    cursor: Cursor,
    /// The process has cleared the whole screen.
    is_cleared: bool,
}

/// What is known of the cursor's row.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Cursor {
    #[default]
    Unknown,
    /// The process has moved the cursor to a row by its number.
    Known,
    /// It has just moved the cursor to the first column of the first row.
    Home,
}

impl OutputState {
    /// Follows output.
    pub(crate) fn follow(&mut self, output: &[u8]) {
        let Self { scanner, modes, rows } = self;
        scanner.feed(output, |piece| match piece {
            Piece::Text(text) => {
                modes.shifted(text);
                if !text.is_empty() {
                    rows.cursor = rows.cursor.left();
                }
            }
            Piece::Sequence(sequence) => {
                let Some(sequence) = Sequence::read(sequence) else { return };
                // On the alternate screen, the rows of the normal one stay as they are.
                if modes.alternate().is_none() {
                    rows.follow(&sequence);
                }
                modes.follow(&sequence);
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

    /// Returns `true` if row n of the process's terminal is row n of the window. A window whose size changes moves its
    /// rows, so this is for windows that kept their size.
    pub(crate) fn knows_rows(&self) -> bool {
        self.is_alternate() || self.rows.cursor != Cursor::Unknown && self.rows.is_cleared
    }

    /// Other text has moved the rows of the normal screen.
    pub(crate) fn moved_rows(&mut self) {
        self.rows = Rows::default();
    }

    /// Returns the sequences that reset the modes that the process has set. Empty if there are none.
    pub(crate) fn reset(&self) -> Vec<u8> {
        let cancel = if self.is_whole() { &b""[..] } else { CANCEL };
        [cancel, &self.modes.reset()].concat()
    }
}

impl Cursor {
    /// It may have left the first column of the first row.
    const fn left(self) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Known | Self::Home => Self::Known,
        }
    }
}

impl Rows {
    fn follow(&mut self, sequence: &Sequence<'_>) {
        match sequence {
            Sequence::Csi(csi) => self.control(csi),
            Sequence::Escape { intermediates: [], last: b'c' } => {
                *self = Self { cursor: Cursor::Home, is_cleared: true };
            }
            Sequence::Escape { .. } => self.cursor = self.cursor.left(),
            Sequence::Osc(_) | Sequence::Dcs(_) | Sequence::Other => {}
        }
    }

    fn control(&mut self, csi: &Csi<'_>) {
        if csi.is(None, b'J') {
            let clears = csi.first() == 2 || csi.first() == 0 && self.cursor == Cursor::Home;
            self.is_cleared |= clears;
        } else if csi.is(None, b'H') || csi.is(None, b'f') {
            let is_home = csi.numbers().all(|number| number <= 1);
            self.cursor = if is_home { Cursor::Home } else { Cursor::Known };
        } else if csi.is(None, b'd') {
            self.cursor = Cursor::Known;
        } else if !csi.is(None, b'm') {
            self.cursor = self.cursor.left();
        }
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
    fn the_rows_are_known_once_the_screen_was_cleared_and_the_cursor_placed() {
        for known in [
            &b"\x1b[H\x1b[2J"[..],
            b"$ top\r\n\x1b[2J\x1b[3;1H",
            b"\x1b[1;1H\x1b[m\x1b[J",
            b"\x1bc",
            b"\x1b[?1049h",
        ] {
            assert!(followed(&[known]).knows_rows(), "{known:?}");
        }
        for unknown in [
            &b"$ ls\r\n"[..],
            b"\x1b[2J",
            b"\x1b[Hx\x1b[J",
            b"\x1b[5;1H\x1b[J",
            b"\x1b[?1049h\x1b[H\x1b[2J\x1b[?1049l",
        ] {
            assert!(!followed(&[unknown]).knows_rows(), "{unknown:?}");
        }
        let mut moved = followed(&[b"\x1b[H\x1b[2J"]);
        moved.moved_rows();
        assert!(!moved.knows_rows());
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
