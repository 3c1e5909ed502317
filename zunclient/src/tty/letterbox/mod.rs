//! Shows a terminal that has the size of another client's window: the process draws for that size, so its output cannot
//! be written to a window of another size as it is.
//!
//! ```text
//!              another client's size            own size, or the same
//!   as it is ─────────────────────────> boxed ────────────────────────> as it is
//!      │ the newest output is kept        │ a model of the terminal follows
//! ```

mod boxed;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt::Write as _;

use zun_common::pty::Size;
use zun_common::screen::{Care, DEFAULT_SIZE, Screen};

use boxed::Boxed;

/// How much output is kept to compute the screen from, in bytes.
const TAIL: usize = 256 << 10;
/// The largest drawing of the whole screen, in bytes.
const LARGEST: usize = 1 << 20;

/// Save the cursor with its attributes and character sets, and restore them.
const SAVE: &str = "\x1b7";
const RESTORE: &str = "\x1b8";
/// Default attributes and character sets.
const PLAIN: &str = "\x1b[m\x1b(B\x0f";

/// What to write to the user's terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drawing {
    /// The output as it is.
    Output,
    /// This, instead of the output.
    Instead(Vec<u8>),
    /// This, on a terminal that was cleared.
    Cleared(Vec<u8>),
}

/// The sizes of the terminal and of the window, and what was shown.
#[derive(Debug, Default)]
pub struct Letterbox {
    /// The newest output since the last whole screen.
    tail: VecDeque<u8>,
    /// The modes that earlier output has set, and which screen is shown.
    earlier: Option<Box<Screen>>,
    /// The terminal's size, if another client has set it.
    foreign: Option<Size>,
    /// The last size of the terminal that is known.
    size: Option<Size>,
    window: Option<Size>,
    /// Whether this client may type.
    types: bool,
    boxed: Option<Box<Boxed>>,
    /// Lines that are shown over the lower rows of a boxed terminal.
    cover: Vec<String>,
}

impl Letterbox {
    /// Creates it for a client that may type, or that only watches.
    pub fn new(types: bool) -> Self {
        Self { types, ..Self::default() }
    }

    /// Sets the size of the window.
    pub(crate) fn window_sized(&mut self, window: Option<Size>) -> Drawing {
        self.window = window;
        if let Some(boxed) = &mut self.boxed {
            boxed.drawn.clear();
        }
        self.decide(Drawing::Instead(Vec::new()))
    }

    /// Sets the size of the terminal: that of this client's window, or of another client's.
    pub(crate) fn terminal_sized(&mut self, size: Size, is_own: bool) -> Drawing {
        self.foreign = (!is_own).then_some(size);
        self.size = Some(size);
        if let Some(earlier) = &mut self.earlier {
            earlier.resize(size);
        }
        if let Some(boxed) = &mut self.boxed {
            boxed.screen.resize(size);
            boxed.drawn.clear();
        }
        self.decide(Drawing::Instead(Vec::new()))
    }

    /// Handles output of the process.
    pub(crate) fn printed(&mut self, output: &[u8]) -> Drawing {
        self.keep(output);
        let Some(boxed) = &mut self.boxed else { return Drawing::Output };
        boxed.screen.feed(output, Care::Whole);
        self.redraw()
    }

    /// Handles a drawing of the whole screen.
    pub(crate) fn snapshot(&mut self, draw: &[u8]) -> Drawing {
        self.tail.clear();
        self.earlier = None;
        self.keep(draw);
        if self.boxed.take().is_none() {
            return Drawing::Output;
        }
        self.decide(Drawing::Output)
    }

    /// Other text was written over it, so the next drawing is complete.
    pub(crate) fn overwritten(&mut self) {
        if let Some(boxed) = &mut self.boxed {
            boxed.drawn.clear();
        }
    }

    /// Draws what was overwritten.
    pub(crate) fn again(&mut self) -> Drawing {
        self.redraw()
    }

    /// Shows these lines over the lower rows while the terminal is boxed, or no longer shows any.
    pub(crate) fn cover(&mut self, lines: Vec<String>) -> Drawing {
        self.cover = lines;
        if self.is_boxed() { self.redraw() } else { Drawing::Output }
    }

    /// Whether the window has another size than the terminal.
    pub(crate) const fn is_boxed(&self) -> bool {
        self.boxed.is_some()
    }

    /// Returns what the process has drawn. `None` if not all of its output is known, if the terminal is boxed, or if
    /// the window has just got another size.
    pub(crate) fn known(&mut self) -> Option<Known> {
        let size = self.terminal_size();
        let is_known = self.earlier.is_none() && self.boxed.is_none();
        let fits = self.window.is_none_or(|window| window == size);
        (is_known && fits).then(|| Known { screen: self.screen(), size })
    }

    /// The row of the cursor, counted from 0. `None` if the process has hidden it.
    pub(crate) fn cursor_row(&mut self) -> Option<usize> {
        let cursor = self.screen().cursor();
        cursor.is_visible.then_some(cursor.row)
    }

    /// Returns what writes the cursor's line again, on an empty one, such as a prompt with a half-typed command.
    pub(crate) fn line_again(&mut self) -> Vec<u8> {
        let (screen, size) = (self.screen(), self.terminal_size());
        let cursor = screen.cursor();
        if self.boxed.is_some() || cursor.column == 0 {
            return Vec::new();
        }
        let columns = 0..usize::from(size.width);
        let line = screen.rows(cursor.row..cursor.row + 1, &columns).concat();
        format!("{line}\x1b[{}G", cursor.column + 1).into_bytes()
    }

    /// Returns what ends the cursor's line, if it is not empty, after this was written to the terminal.
    pub(crate) fn line_end_after(&mut self, written: &[u8]) -> &'static [u8] {
        let mut screen = self.screen();
        screen.feed(written, Care::Whole);
        if screen.cursor().column == 0 { b"" } else { b"\r\n" }
    }

    /// Returns what ends the drawing, so that other text can follow.
    pub(crate) fn end(&mut self) -> Vec<u8> {
        let (Some(_), Some(window)) = (self.boxed.take(), self.window) else { return Vec::new() };
        format!("\x1b[m\x1b[?25h\x1b[{};1H\r\n", window.height).into_bytes()
    }

    fn keep(&mut self, output: &[u8]) {
        let (early, output) = output.split_at(output.len().saturating_sub(TAIL));
        let excess = (self.tail.len() + output.len()).saturating_sub(TAIL);
        let leaves: Vec<u8> = self.tail.drain(..excess.min(self.tail.len())).collect();
        self.tail.extend(output);
        if leaves.is_empty() && early.is_empty() {
            return;
        }
        let size = self.terminal_size();
        let earlier = self.earlier.get_or_insert_with(|| Box::new(Screen::new(size)));
        for output in [&leaves, early] {
            earlier.feed(output, Care::Modes);
        }
    }

    fn terminal_size(&self) -> Size {
        self.size.or(self.window).unwrap_or(DEFAULT_SIZE)
    }

    /// The screen so far. Of what was printed before the tail, it has only the modes.
    fn screen(&mut self) -> Screen {
        let mut screen = Screen::new(self.terminal_size());
        if let Some(earlier) = &self.earlier {
            screen.feed(&earlier.snapshot(LARGEST).draw, Care::Whole);
        }
        screen.feed(self.tail.make_contiguous(), Care::Whole);
        screen
    }

    /// Begins or ends the box, or draws it again.
    fn decide(&mut self, otherwise: Drawing) -> Drawing {
        let is_boxed = match (self.foreign, self.window) {
            (Some(foreign), Some(window)) => foreign != window,
            (Some(_) | None, _) => false,
        };
        match (is_boxed, self.boxed.take()) {
            (false, None) => otherwise,
            (false, Some(boxed)) => Drawing::Cleared(boxed.screen.snapshot(LARGEST).draw),
            (true, None) => {
                let screen = self.screen();
                self.boxed = Some(Box::new(Boxed { screen, drawn: Vec::new() }));
                match self.redraw() {
                    Drawing::Instead(drawn) | Drawing::Cleared(drawn) => Drawing::Cleared(drawn),
                    Drawing::Output => Drawing::Output,
                }
            }
            (true, Some(boxed)) => {
                self.boxed = Some(boxed);
                self.redraw()
            }
        }
    }

    /// Draws what has changed since the last drawing.
    fn redraw(&mut self) -> Drawing {
        let (Some(boxed), Some(window)) = (&mut self.boxed, self.window) else {
            return Drawing::Output;
        };
        let size = self.size.unwrap_or(DEFAULT_SIZE);
        Drawing::Instead(boxed.draw(size, window, (self.types, &self.cover)).into_bytes())
    }
}

/// What a process has drawn.
pub(crate) struct Known {
    screen: Screen,
    size: Size,
}

impl Known {
    /// Whether the process uses more of the screen than a shell, which ends at its cursor.
    pub(crate) fn fills_screen(&self) -> bool {
        let cursor = self.screen.cursor();
        !cursor.is_visible || self.rows().skip(cursor.row + 1).any(|row| !row.is_empty())
    }

    /// Returns what draws every row again, in place. It changes neither the cursor nor any mode.
    pub(crate) fn repaint(&self) -> Vec<u8> {
        let mut out = format!("{SAVE}{PLAIN}");
        for (number, row) in self.rows().enumerate() {
            write!(out, "\x1b[{};1H\x1b[2K{row}", number + 1).unwrap_or_default();
        }
        out.push_str(RESTORE);
        out.into_bytes()
    }

    fn rows(&self) -> impl Iterator<Item = String> {
        let columns = 0..usize::from(self.size.width);
        self.screen.rows(0..usize::from(self.size.height), &columns).into_iter()
    }
}
