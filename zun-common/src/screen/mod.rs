//! A model of a session's terminal: its cells, cursor and modes. A client that joins later gets a snapshot of it. No
//! I/O.
//!
//! ```text
//!  output ── Scanner ──┬─ text, sequences ──> model (avt): both screens, cursor, margins
//!                      └─ sequences ────────> modes: mouse, paste, keypad, cursor, title
//!                                                │
//!                                 snapshot: draw ┴ restore ┴ what is unfinished
//! ```

mod draw;
mod part;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use avt::Terminal;

pub use part::CursorPlace;

use crate::pty::Size;
use crate::terminal::{Csi, Piece, Scanner, Sequence, TerminalModes};

/// The largest screen that is modelled, in cells.
const MOST_CELLS: usize = 64 << 10;
/// The size that a program without a known terminal size is assumed to use.
pub const DEFAULT_SIZE: Size = Size { width: 80, height: 24 };
/// How many cells cost as much as one byte of text, if a sequence changes them all.
const CELLS_PER_UNIT: usize = 2;
/// The additional cost of a line feed and of a control sequence, in bytes of text.
const LINE_COST: usize = 40;
const SEQUENCE_COST: usize = 20;

/// A model of a terminal.
pub struct Screen {
    model: Model,
    scanner: Scanner,
    modes: TerminalModes,
    size: Size,
    /// Whether the model was given all output. Otherwise cells may be wrong until the program draws them again.
    is_exact: bool,
}

/// The cells.
struct Model {
    terminal: Terminal,
    /// The work since [`Screen::take_work`], as the number of bytes of text that cost the same.
    work: usize,
}

/// How output is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Cells and modes.
    Whole,
    /// Only modes, and which screen is shown. This is cheap, for when there is too much output.
    Modes,
}

/// A drawing of the screen for a cleared terminal of this size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The screen's size.
    pub size: Size,
    /// The bytes to write. They contain no query that the terminal would answer.
    pub draw: Vec<u8>,
    /// Whether the drawing is exact. Otherwise the program should redraw its screen.
    pub is_exact: bool,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { size: Size { width, height }, is_exact, .. } = self;
        write!(out, "Screen({width}x{height}, exact {is_exact})")
    }
}

impl Screen {
    /// Creates the screen of a terminal to which nothing was written.
    pub fn new(size: Size) -> Self {
        let model = Model { terminal: terminal(size), work: 0 };
        let (scanner, modes) = (Scanner::default(), TerminalModes::default());
        Self { model, scanner, modes, size, is_exact: is_modelled(size) }
    }

    /// Records that the model was not given the output so far.
    pub const fn mark_inexact(&mut self) {
        self.is_exact = false;
    }

    /// Changes the terminal's size.
    pub fn resize(&mut self, size: Size) {
        self.size = size;
        if is_modelled(size) {
            self.model.terminal.resize(size.width.into(), size.height.into());
            self.model.work += cells(size);
        } else {
            self.is_exact = false;
        }
    }

    /// Follows output.
    pub fn feed(&mut self, bytes: &[u8], care: Care) {
        let Self { model, scanner, modes, is_exact, .. } = self;
        *is_exact &= care == Care::Whole;
        scanner.feed(bytes, |piece| match (piece, care) {
            (Piece::Text(text), Care::Whole) => {
                model.text(text);
                modes.shifted(text);
            }
            (Piece::Text(_), Care::Modes) => {}
            (Piece::Sequence(bytes), care) => {
                let Some(sequence) = Sequence::read(bytes) else { return };
                modes.follow(&sequence);
                if care == Care::Whole || selects_screen(&sequence) {
                    model.sequence(bytes, &sequence);
                }
            }
        });
    }

    /// Returns the work since the last call, as the number of bytes of text that cost the same.
    pub const fn take_work(&mut self) -> usize {
        std::mem::replace(&mut self.model.work, 0)
    }

    /// Draws the screen in at most `limit` bytes.
    pub fn snapshot(&self, limit: usize) -> Snapshot {
        let end = [self.modes.restore(), self.scanner.continuation()].concat();
        let room = limit.saturating_sub(end.len());
        let (mut drawn, is_whole) = draw::within(&self.model.terminal, &self.modes, room);
        drawn.extend(end);
        Snapshot { size: self.size, draw: drawn, is_exact: self.is_exact && is_whole }
    }
}

impl Model {
    fn text(&mut self, text: &[u8]) {
        let lines = text.split(|byte| *byte == b'\n').count() - 1;
        self.work += text.len() + lines * LINE_COST;
        match without_c1(String::from_utf8_lossy(text)) {
            Cow::Borrowed(text) => self.terminal.feed(text),
            Cow::Owned(text) => self.terminal.feed(text.as_str()),
        }
    }

    /// Executes a whole sequence, so that the model never has an unfinished one.
    fn sequence(&mut self, bytes: &[u8], sequence: &Sequence<'_>) {
        self.work += bytes.len() + SEQUENCE_COST;
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        match sequence {
            Sequence::Csi(csi) => self.control(text, csi),
            Sequence::Escape { intermediates, .. } => {
                // The selection of a character set changes no cell.
                if !matches!(intermediates, [b'(' | b')' | b'*' | b'+']) {
                    self.work += self.all_cells();
                }
                self.terminal.feed(text);
            }
            Sequence::Osc(_) | Sequence::Dcs(_) | Sequence::Other => {}
        }
    }

    fn control(&mut self, text: &str, csi: &Csi<'_>) {
        let (columns, _) = self.terminal.size();
        let whole_screen = matches!(csi.last, b'J' | b'L' | b'M' | b'S' | b'T' | b'h' | b'l');
        self.work += if whole_screen { self.all_cells() } else { 0 };
        if csi.is(None, b'b') {
            // A repetition is short to send, but expensive to carry out.
            let times = usize::from(csi.first().max(1)).min(columns);
            self.work += times;
            self.terminal.feed(format!("\x1b[{times}b").as_str());
        } else if csi.marker == Some(b'?') && csi.numbers().any(|mode| mode == 47) {
            self.terminal.feed(format!("\x1b[?1047{}", char::from(csi.last)).as_str());
        } else {
            self.terminal.feed(text);
        }
    }

    fn all_cells(&self) -> usize {
        let (columns, rows) = self.terminal.size();
        columns * rows / CELLS_PER_UNIT
    }
}

/// Whether a sequence must be executed although the cells are not followed: it selects the screen or a part of it.
fn selects_screen(sequence: &Sequence<'_>) -> bool {
    match sequence {
        Sequence::Csi(csi) => {
            (csi.marker == Some(b'?') && matches!(csi.last, b'h' | b'l')) || csi.is(None, b'r')
        }
        Sequence::Escape { intermediates, last } => !intermediates.is_empty() || *last == b'c',
        Sequence::Osc(_) | Sequence::Dcs(_) | Sequence::Other => false,
    }
}

/// Control characters beyond ASCII are shown by some terminals, obeyed by others, and ignored by most.
fn without_c1(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_c1 = |character: char| matches!(character, '\u{80}'..='\u{9f}');
    if text.is_ascii() || !text.contains(is_c1) {
        return text;
    }
    Cow::Owned(text.replace(is_c1, ""))
}

fn terminal(size: Size) -> Terminal {
    let size = if is_modelled(size) { size } else { DEFAULT_SIZE };
    Terminal::new(size.width.into(), size.height.into()).expect("neither is 0")
}

fn cells(size: Size) -> usize {
    usize::from(size.width) * usize::from(size.height)
}

fn is_modelled(size: Size) -> bool {
    (1..=MOST_CELLS).contains(&cells(size))
}
