//! Shows a terminal that has the size of another client's window: the process draws for that size, so its output cannot
//! be written to a window of another size as it is.
//!
//! ```text
//!              another client's size            own size, or the same
//!   as it is ─────────────────────────> boxed ────────────────────────> as it is
//!      │ the newest output is kept        │ a model of the terminal follows
//! ```

use std::collections::VecDeque;
use std::fmt::Write as _;

use zun_common::pty::Size;
use zun_common::screen::{Care, DEFAULT_SIZE, Screen};

/// How much output is kept to compute the screen from, in bytes.
const TAIL: usize = 256 << 10;
/// The largest drawing of the whole screen, in bytes.
const LARGEST: usize = 1 << 20;

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
    boxed: Option<Boxed>,
}

/// A terminal that is shown in a window of another size.
#[derive(Debug)]
struct Boxed {
    screen: Screen,
    /// The rows of the window, as they were drawn last.
    drawn: Vec<String>,
}

impl Letterbox {
    /// Creates it for a client that may type, or that only watches.
    pub(crate) fn new(types: bool) -> Self {
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
        let size = self.size.or(self.window).unwrap_or(DEFAULT_SIZE);
        let earlier = self.earlier.get_or_insert_with(|| Box::new(Screen::new(size)));
        for output in [&leaves, early] {
            earlier.feed(output, Care::Modes);
        }
    }

    /// The screen so far. Of what was printed before the tail, it has only the modes.
    fn screen(&mut self) -> Screen {
        let mut screen = Screen::new(self.size.unwrap_or(DEFAULT_SIZE));
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
                self.boxed = Some(Boxed { screen, drawn: Vec::new() });
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
        Drawing::Instead(boxed.draw(size, window, self.types).into_bytes())
    }
}

impl Boxed {
    fn draw(&mut self, size: Size, window: Size, types: bool) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Size = Size { width: 20, height: 4 };

    /// A window, and what is written to it.
    struct Window {
        shown: vt100::Parser,
        letterbox: Letterbox,
    }

    impl Window {
        fn new(width: u16, height: u16) -> Self {
            let mut letterbox = Letterbox::new(true);
            letterbox.window_sized(Some(Size { width, height }));
            Self { shown: vt100::Parser::new(height, width, 0), letterbox }
        }

        fn write(&mut self, drawing: Drawing, output: &[u8]) {
            match drawing {
                Drawing::Output => self.shown.process(output),
                Drawing::Instead(drawn) => self.shown.process(&drawn),
                Drawing::Cleared(drawn) => {
                    self.shown.process(b"\x1b[m\x1b[H\x1b[2J");
                    self.shown.process(&drawn);
                }
            }
        }

        fn prints(&mut self, output: &[u8]) {
            let drawing = self.letterbox.printed(output);
            self.write(drawing, output);
        }

        fn sized(&mut self, is_own: bool) {
            let size = if is_own { self.letterbox.window.expect("one") } else { TERMINAL };
            let drawing = self.letterbox.terminal_sized(size, is_own);
            self.write(drawing, b"");
        }

        fn rows(&self) -> Vec<String> {
            let (_, width) = self.shown.screen().size();
            self.shown.screen().rows(0, width).collect()
        }
    }

    #[test]
    fn a_larger_window_shows_the_terminal_in_its_corner_and_scrolls_only_there() {
        let mut window = Window::new(30, 8);
        window.prints(b"before\r\n");
        window.sized(false);
        window.prints(b"a line that is longer than it\r\n1\r\n2");
        let rows = window.rows();
        assert_eq!(rows[0], "a line that is longe│");
        assert_eq!(rows[1], "r than it           │");
        assert_eq!(
            (rows[2].as_str(), rows[3].as_str()),
            ("1                   │", "2                   │")
        );
        assert!(rows[4].starts_with(" 20x4: the size of another"), "{rows:?}");
        assert_eq!(window.shown.screen().cursor_position(), (3, 1));
        window.sized(true);
        // The wrapped line fits now.
        assert_eq!(window.rows()[..3], ["a line that is longer than it", "1", "2"]);
        window.prints(b"\r\n3");
        assert_eq!(window.rows()[3], "3");
    }

    #[test]
    fn a_smaller_window_shows_the_part_with_the_cursor() {
        let mut window = Window::new(10, 3);
        window.sized(false);
        window.prints(b"first\r\nsecond\r\nthird\r\nabcdefghijklmn");
        assert_eq!(window.rows()[..2], ["", "fghijklmn"]);
        window.prints(b"\x1b[H");
        assert_eq!(window.rows()[..2], ["first", "second"]);
        assert_eq!(window.shown.screen().cursor_position(), (0, 0));
        assert_eq!(window.rows()[2], " 20x4: the");
    }

    #[test]
    fn only_what_changes_is_drawn_and_nothing_if_the_sizes_are_the_same() {
        let mut window = Window::new(30, 8);
        window.sized(false);
        let Drawing::Instead(drawn) = window.letterbox.printed(b"x") else { panic!("it is boxed") };
        let drawn = String::from_utf8(drawn).expect("text");
        assert!(drawn.matches("\x1b[2K").count() == 1 && drawn.contains('x'), "{drawn:?}");
        let mut same = Window::new(TERMINAL.width, TERMINAL.height);
        same.sized(false);
        assert_eq!(same.letterbox.printed(b"x"), Drawing::Output);
        assert_eq!(same.letterbox.end(), b"");
        assert!(window.letterbox.end().ends_with(b"\x1b[?25h\x1b[8;1H\r\n"));
    }

    #[test]
    fn a_program_that_has_printed_much_keeps_its_modes() {
        const MODES: [&str; 5] =
            ["\x1b[?1049h", "\x1b[?1002h", "\x1b[?2004h", "\x1b[?1h", "\x1b[2;3r"];
        let mut window = Window::new(TERMINAL.width + 10, TERMINAL.height);
        // The last sequence is split where the tail begins.
        window.prints(&[MODES.concat().into_bytes(), vec![b'x'; TAIL - 2]].concat());
        for _ in 0..3 {
            window.prints(&vec![b'y'; TAIL / 2]);
        }
        window.prints(b"\x1b[H\x1b[2Jat last");
        window.sized(false);
        assert_eq!(window.rows()[0], "at last             │");
        let own = window.letterbox.window.expect("one");
        let Drawing::Cleared(drawn) = window.letterbox.terminal_sized(own, true) else {
            panic!("it fills the window again")
        };
        let drawn = String::from_utf8(drawn).expect("text");
        for mode in ["?1049h", "?1002h", "?2004h", "?1h", "2;3r"] {
            assert!(drawn.contains(mode), "{mode} in {drawn:?}");
        }
        assert!(drawn.contains("at last"), "{drawn:?}");
        // A whole screen brings its own modes.
        window.letterbox.snapshot(b"$ ");
        window.sized(false);
        let Drawing::Cleared(drawn) = window.letterbox.terminal_sized(own, true) else {
            panic!("it fills the window again")
        };
        assert!(!String::from_utf8_lossy(&drawn).contains("?1002h"));
    }

    #[test]
    fn a_window_of_any_size_is_never_drawn_beyond() {
        for (width, height) in [(1, 1), (2, 9), (200, 2), (20, 1)] {
            let mut window = Window::new(width, height);
            window.sized(false);
            window.prints(b"\x1b[4;20Hx\r\n\xe6\xbc\xa2\r\n");
            let drawing = window.letterbox.window_sized(Some(Size { width: 7, height: 2 }));
            assert!(matches!(drawing, Drawing::Instead(_)), "{drawing:?}");
        }
    }
}
