//! A screen that is redrawn in place. The terminal is as before when it ends.

use super::{PrintError, Printer};
use crate::tty::size::size_of;

/// Switches to the other screen of the terminal and hides the cursor.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l";
/// Undoes [`BEGIN`].
const END: &str = "\x1b[?25h\x1b[?1049l";
/// Moves the cursor to the upper left corner.
const HOME: &str = "\x1b[H";
/// Clears the rest of the line.
const CLEAR_LINE: &str = "\x1b[K";
/// Clears everything below the cursor.
const CLEAR_BELOW: &str = "\x1b[J";

/// What is drawn again and again. Dropping it restores the terminal, and leaves the last text there.
pub struct Live<'a> {
    printer: &'a Printer,
    shown: Option<String>,
    /// The whole last text.
    last: String,
}

impl<'a> Live<'a> {
    /// Starts; changes nothing yet.
    pub const fn new(printer: &'a Printer) -> Self {
        Self { printer, shown: None, last: String::new() }
    }

    /// Draws a text of whole lines, as far as the terminal has rows, if it differs from the last one.
    pub fn draw(&mut self, text: &str) -> Result<(), PrintError> {
        text.clone_into(&mut self.last);
        let rows = size_of(std::io::stdout()).map_or(usize::MAX, |size| usize::from(size.rows));
        let end = [CLEAR_LINE, "\r\n"];
        let lines = text.lines().take(rows.saturating_sub(1));
        let text: String = lines.flat_map(|line| [&[line], &end[..]].concat()).collect();
        if self.shown.as_ref() == Some(&text) {
            return Ok(());
        }
        let begin = if self.shown.is_none() { BEGIN } else { "" };
        self.shown = Some(String::new());
        self.printer.bytes(format!("{begin}{HOME}{text}{CLEAR_BELOW}").as_bytes())?;
        self.shown = Some(text);
        Ok(())
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        if self.shown.is_some() {
            // If the terminal is gone, there is nothing to restore.
            let last = std::mem::take(&mut self.last);
            drop(self.printer.bytes(format!("{END}{last}\n").as_bytes()));
        }
    }
}
