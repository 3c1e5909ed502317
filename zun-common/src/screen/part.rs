//! Parts of a screen as text, for clients whose window has another size.

use std::fmt::Write as _;
use std::ops::Range;

use avt::{Cell, Color, Pen};

use super::Screen;

/// Where the cursor is, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorPlace {
    /// Its row.
    pub row: usize,
    /// Its column.
    pub column: usize,
    /// Whether it is shown.
    pub is_visible: bool,
}

impl Screen {
    /// Where the cursor is.
    pub fn cursor(&self) -> CursorPlace {
        let cursor = self.model.terminal.cursor();
        CursorPlace { row: cursor.row, column: cursor.col, is_visible: cursor.visible }
    }

    /// These rows between these columns, as text with colours. Each begins and ends with default attributes, and is
    /// shorter than the columns if only blanks follow.
    pub fn rows(&self, rows: Range<usize>, columns: &Range<usize>) -> Vec<String> {
        let lines = self.model.terminal.screen().visible_lines();
        let lines = lines.skip(rows.start).take(rows.len());
        lines.map(|line| row(line.cells(), columns)).collect()
    }
}

fn row(cells: &[Cell], columns: &Range<usize>) -> String {
    let part = cells.iter().enumerate().take(columns.end).skip(columns.start);
    let (mut out, mut blanks, mut pen) = (String::new(), 0, Pen::default());
    for (column, cell) in part {
        let is_cut = cell.width() == 2 && column + 1 == columns.end;
        let character = match cell.width() {
            // The left half of the wide character is outside the part.
            0 if column == columns.start => ' ',
            0 => continue,
            _ if is_cut => ' ',
            _ => cell.char(),
        };
        if character == ' ' && cell.pen().is_default() {
            blanks += 1;
            continue;
        }
        if blanks > 0 && !pen.is_default() {
            out.push_str("\x1b[m");
            pen = Pen::default();
        }
        out.extend(std::iter::repeat_n(' ', std::mem::take(&mut blanks)));
        if *cell.pen() != pen {
            pen = *cell.pen();
            attributes(&pen, &mut out);
        }
        out.push(character);
    }
    if !pen.is_default() {
        out.push_str("\x1b[m");
    }
    out
}

fn attributes(pen: &Pen, out: &mut String) {
    out.push_str("\x1b[0");
    for (is_set, code) in [
        (pen.is_bold(), 1),
        (pen.is_faint(), 2),
        (pen.is_italic(), 3),
        (pen.is_underline(), 4),
        (pen.is_blink(), 5),
        (pen.is_inverse(), 7),
        (pen.is_strikethrough(), 9),
    ] {
        if is_set {
            write!(out, ";{code}").unwrap_or_default();
        }
    }
    for (color, base) in [(pen.foreground(), 30), (pen.background(), 40)] {
        match color {
            None => Ok(()),
            Some(Color::Indexed(index @ 0..8)) => write!(out, ";{}", base + u16::from(index)),
            Some(Color::Indexed(index @ 8..16)) => write!(out, ";{}", base + 52 + u16::from(index)),
            Some(Color::Indexed(index)) => write!(out, ";{};5;{index}", base + 8),
            Some(Color::RGB(rgb)) => write!(out, ";{};2;{};{};{}", base + 8, rgb.r, rgb.g, rgb.b),
        }
        .unwrap_or_default();
    }
    out.push('m');
}

#[cfg(test)]
mod tests {
    use super::super::Care;
    use super::*;
    use crate::pty::Size;

    #[test]
    fn a_part_has_its_characters_and_colours_and_no_half_of_a_wide_one() {
        let mut screen = Screen::new(Size { width: 10, height: 3 });
        screen
            .feed("plain \x1b[1;31mred\x1b[m\r\na漢b  \x1b[92;44mx\x1b[m".as_bytes(), Care::Whole);
        let rows = |columns| screen.rows(0..3, &columns);
        assert_eq!(rows(0..10), ["plain \x1b[0;1;31mred\x1b[m", "a漢b  \x1b[0;92;44mx\x1b[m", "",]);
        assert_eq!(rows(0..2), ["pl", "a", ""]);
        assert_eq!(rows(2..5), ["ain", " b", ""]);
        assert_eq!(screen.rows(1..9, &(3..4)), ["b", ""]);
        let place = CursorPlace { row: 1, column: 7, is_visible: true };
        assert_eq!(screen.cursor(), place);
    }
}
