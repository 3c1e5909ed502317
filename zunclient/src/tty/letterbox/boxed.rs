//! The drawing of a terminal in a window of another size.

use std::fmt::Write as _;

use zun_common::pty::Size;
use zun_common::screen::Screen;

/// A terminal that is shown in a window of another size.
#[derive(Debug)]
pub(super) struct Boxed {
    pub(super) screen: Screen,
    /// The rows of the window, as they were drawn last.
    pub(super) drawn: Vec<String>,
}

impl Boxed {
    /// Draws what has changed in the window. `types` if this client may type.
    pub(super) fn draw(
        &mut self,
        size: Size,
        window: Size,
        (types, cover): (bool, &[String]),
    ) -> String {
        let (width, height) = (usize::from(window.width), usize::from(window.height));
        let (columns, rows) = (usize::from(size.width), usize::from(size.height));
        // The last row shows the reason.
        let shown_rows = rows.min(height.saturating_sub(1));
        let shown_columns = columns.min(width);
        let cursor = self.screen.cursor();
        // The part with the cursor, if not all fits.
        let first_row = (cursor.row + 1).saturating_sub(shown_rows).min(rows - shown_rows);
        let first_column =
            (cursor.column + 1).saturating_sub(shown_columns).min(columns - shown_columns);
        let part = first_column..first_column + shown_columns;
        let mut wanted = self.screen.rows(first_row..first_row + shown_rows, &part);
        if shown_columns < width {
            for row in &mut wanted {
                write!(row, "\x1b[{}G\x1b[2m│\x1b[m", shown_columns + 1).unwrap_or_default();
            }
        }
        wanted.push(label(size, types, width));
        wanted.resize(height, String::new());
        // The last row is the label's if the terminal is not smaller.
        let free = if shown_rows + 1 == height { shown_rows } else { height };
        for (row, line) in wanted.iter_mut().take(free).rev().zip(cover.iter().rev()) {
            row.clear();
            row.push_str(line);
        }
        let mut out = "\x1b[?25l".to_owned();
        let is_whole = self.drawn.len() != wanted.len();
        for (number, row) in wanted.iter().enumerate() {
            if is_whole || self.drawn.get(number) != Some(row) {
                write!(out, "\x1b[{};1H\x1b[2K{row}", number + 1).unwrap_or_default();
            }
        }
        self.drawn = wanted;
        let (row, column) = (
            cursor.row - first_row.min(cursor.row),
            cursor.column - first_column.min(cursor.column),
        );
        write!(out, "\x1b[{};{}H", row + 1, column + 1).unwrap_or_default();
        if cursor.is_visible && row < shown_rows && column < shown_columns {
            out.push_str("\x1b[?25h");
        }
        out
    }
}

/// The label that explains why the terminal is smaller or larger than the window.
fn label(Size { width, height }: Size, types: bool, most: usize) -> String {
    let hint = if types { "; type to use yours" } else { "" };
    let words = format!(" {width}x{height}: the size of another client{hint} ");
    let words: String = words.chars().take(most).collect();
    format!("\x1b[7m{words}\x1b[m")
}
