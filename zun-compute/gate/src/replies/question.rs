//! Which sequences are questions, and which are replies to them.

use std::collections::VecDeque;

use zun_common::terminal::{Csi, Piece, Scanner, Sequence};

/// The most questions that wait for their replies. Older ones are forgotten.
const MOST_OPEN: usize = 64;

/// What a question asks for, and what a reply contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The terminal's attributes: primary (no marker), secondary (`>`) or tertiary (`=`).
    Attributes(Option<u8>),
    /// Whether it works (DSR 5).
    Status,
    /// Where the cursor is (DSR 6); with `?` the extended form.
    Cursor(Option<u8>),
    /// Another status (DSR with `?`).
    Device,
    /// The state of a mode (DECRQM).
    Mode,
    /// The terminal's parameters (DECREQTPARM).
    Parameters,
    /// Its window, such as the size in pixels (XTWINOPS).
    Window,
    /// The keyboard's flags (kitty).
    Keyboard,
    /// What an OSC with this number sets, such as the background's colour (11).
    Osc(u16),
    /// Its name and version (XTVERSION).
    Version,
    /// A setting (DECRQSS).
    Setting,
    /// A capability (XTGETTCAP).
    Capability,
    /// Whether it shows pictures (kitty).
    Picture,
}

impl Question {
    /// What the program asks with this sequence.
    pub fn asked(sequence: &Sequence<'_>) -> Option<Self> {
        match sequence {
            Sequence::Csi(csi) => Self::asked_by_control(csi),
            Sequence::Escape { intermediates: [], last: b'Z' } => Some(Self::Attributes(None)),
            // A title may end with a question mark too.
            Sequence::Osc(content) if content.ends_with(b"?") && !is_title(content) => {
                Some(Self::Osc(number(content)))
            }
            Sequence::Dcs(content) if content.starts_with(b"$q") => Some(Self::Setting),
            Sequence::Dcs(content) if content.starts_with(b"+q") => Some(Self::Capability),
            Sequence::Other => Some(Self::Picture),
            Sequence::Escape { .. } | Sequence::Osc(_) | Sequence::Dcs(_) => None,
        }
    }

    fn asked_by_control(csi: &Csi<'_>) -> Option<Self> {
        let Csi { marker, intermediates, last, .. } = *csi;
        match (marker, intermediates, last, csi.first()) {
            (None | Some(b'>' | b'='), [], b'c', 0) => Some(Self::Attributes(marker)),
            (None, [], b'n', 5) => Some(Self::Status),
            (None | Some(b'?'), [], b'n', 6) => Some(Self::Cursor(marker)),
            (Some(b'?'), [], b'n', _) => Some(Self::Device),
            (None | Some(b'?'), [b'$'], b'p', _) => Some(Self::Mode),
            (None, [], b'x', _) => Some(Self::Parameters),
            (None, [], b't', 11 | 13..=16 | 18..=21) => Some(Self::Window),
            (Some(b'?'), [], b'u', _) => Some(Self::Keyboard),
            (Some(b'>'), [], b'q', 0) => Some(Self::Version),
            _ => None,
        }
    }

    /// What a terminal replies to with this sequence. `None` if it is a key.
    pub fn answered(sequence: &Sequence<'_>) -> Option<Self> {
        match sequence {
            Sequence::Csi(csi) => Self::answered_by_control(csi),
            Sequence::Escape { .. } => None,
            Sequence::Osc([b'l' | b'L', ..]) => Some(Self::Window),
            Sequence::Osc(content) => Some(Self::Osc(number(content))),
            Sequence::Dcs([b'>', ..]) => Some(Self::Version),
            Sequence::Dcs([b'!', ..]) => Some(Self::Attributes(Some(b'='))),
            Sequence::Dcs([_, b'+', ..]) => Some(Self::Capability),
            Sequence::Dcs(_) => Some(Self::Setting),
            Sequence::Other => Some(Self::Picture),
        }
    }

    fn answered_by_control(csi: &Csi<'_>) -> Option<Self> {
        let Csi { marker, intermediates, last, .. } = *csi;
        match (marker, intermediates, last) {
            (Some(b'?'), [], b'c') => Some(Self::Attributes(None)),
            (Some(b'>' | b'='), [], b'c') => Some(Self::Attributes(marker)),
            (None, [], b'n') => Some(Self::Status),
            (Some(b'?'), [], b'n') => Some(Self::Device),
            (None | Some(b'?'), [], b'R') if csi.numbers().count() > 1 => {
                Some(Self::Cursor(marker))
            }
            (None | Some(b'?'), [b'$'], b'y') => Some(Self::Mode),
            (None, [], b'x') => Some(Self::Parameters),
            (None, [], b't') => Some(Self::Window),
            (Some(b'?'), [], b'u') => Some(Self::Keyboard),
            _ => None,
        }
    }
}

/// Whether a title is set.
fn is_title(content: &[u8]) -> bool {
    [b"0;", b"1;", b"2;"].iter().any(|start| content.starts_with(*start))
}

/// The number at the beginning of an OSC.
fn number(content: &[u8]) -> u16 {
    let digits = content.split(|byte| !byte.is_ascii_digit()).next().unwrap_or_default();
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// The questions of a program that were not replied to.
#[derive(Debug, Default)]
pub struct OpenQuestions {
    scanner: Scanner,
    open: VecDeque<Question>,
    asks_for_cursor: bool,
}

impl OpenQuestions {
    /// Finds the questions in output.
    pub fn follow(&mut self, output: &[u8]) {
        let Self { scanner, open, asks_for_cursor } = self;
        scanner.feed(output, |piece| {
            let Piece::Sequence(bytes) = piece else { return };
            let Some(question) = Sequence::read(bytes).as_ref().and_then(Question::asked) else {
                return;
            };
            *asks_for_cursor |= question == Question::Cursor(None);
            if open.len() == MOST_OPEN {
                open.pop_front();
            }
            open.push_back(question);
        });
    }

    /// Whether a reply answers an open question, which it closes.
    pub fn close(&mut self, question: Question) -> bool {
        let found = self.open.iter().position(|open| *open == question);
        found.is_some_and(|at| self.open.remove(at).is_some())
    }

    /// Whether the program has ever asked where the cursor is.
    pub const fn asks_for_cursor(&self) -> bool {
        self.asks_for_cursor
    }
}
