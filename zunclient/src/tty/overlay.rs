//! Text about the session that is shown for a while over a full-screen program, such as who joined: in reverse video, on
//! the lower rows, or on the upper ones if the cursor is below.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;
use zun_common::units::TerminalSize;

/// How long a notice is shown, and a text that the user has asked for.
const NOTICE: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_mins(1);
/// How often the text is drawn again, because the program may draw over it.
const TICK: Duration = Duration::from_secs(1);
/// The size of a terminal that does not report it.
const SIZE: TerminalSize = TerminalSize { rows: 24, columns: 80 };

/// Text that is shown for a while.
#[derive(Debug)]
pub(crate) struct Overlay {
    lines: Vec<String>,
    until: Instant,
    next: Instant,
    /// Whether the next key removes it.
    is_answer: bool,
    /// Whether it is drawn over the process's output. Otherwise it was printed between the output.
    pub(crate) is_over: bool,
}

impl Overlay {
    /// A notice about an event.
    pub(crate) fn notice(words: &str, is_over: bool, now: Instant) -> Self {
        let lines = vec![format!("zun: {words}")];
        Self { lines, until: now + NOTICE, next: now + TICK, is_answer: false, is_over }
    }

    /// A text that the user has asked for, which stays until the next key.
    pub(crate) fn answer(text: &str, now: Instant) -> Self {
        let lines = text.lines().map(str::to_owned).collect();
        Self { lines, until: now + ANSWER, next: now + TICK, is_answer: true, is_over: true }
    }

    /// When it is to be drawn again, or removed.
    pub(crate) const fn next(&self) -> Instant {
        self.next
    }

    /// Returns `false` if it is to be removed.
    pub(crate) fn continues(&mut self, now: Instant) -> bool {
        self.next = now + TICK;
        now < self.until
    }

    /// Whether the next key removes it.
    pub(crate) const fn is_answer(&self) -> bool {
        self.is_answer
    }

    /// Returns its lines for a window with this many columns.
    pub(crate) fn rows(&self, columns: usize) -> Vec<String> {
        let row = |line: &String| {
            let words: String = line.chars().take(columns).collect();
            format!("\x1b[7m{words}\x1b[m")
        };
        self.lines.iter().map(row).collect()
    }

    /// Returns what draws it. `cursor` is the row of the program's cursor, counted from 0. `kept` is the number of rows
    /// at the end of the window that have another use.
    pub(crate) fn draw(
        &self,
        size: Option<TerminalSize>,
        (cursor, kept): (Option<usize>, usize),
    ) -> Vec<u8> {
        let size = size.unwrap_or(SIZE);
        let height = usize::from(size.rows).saturating_sub(kept);
        let rows = self.rows(size.columns.into());
        let below = height.saturating_sub(rows.len());
        let first = if cursor.is_some_and(|cursor| cursor >= below) { 0 } else { below };
        let mut out = "\x1b7".to_owned();
        for (number, row) in rows.iter().take(height).enumerate() {
            let number = first + number + 1;
            write!(out, "\x1b[{number};1H\x1b[m\x1b(B\x0f\x1b[2K{row}").unwrap_or_default();
        }
        out.push_str("\x1b8");
        out.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_on_the_lower_rows_and_leaves_the_row_of_the_cursor_and_of_the_status_free() {
        let now = Instant::now();
        let size = Some(TerminalSize { rows: 10, columns: 8 });
        let shown = |cursor, kept| {
            let mut window = vt100::Parser::new(10, 8, 0);
            window.process(b"\x1b[5;3H");
            let overlay = Overlay::answer("one line\r\nand two too\r\n", now);
            window.process(&overlay.draw(size, (cursor, kept)));
            assert_eq!(window.screen().cursor_position(), (4, 2));
            let rows: Vec<String> = window.screen().rows(0, 8).collect();
            rows.iter().position(|row| row == "one line").filter(|at| rows[at + 1] == "and two ")
        };
        assert_eq!(shown(Some(7), 0), Some(8));
        assert_eq!(shown(Some(9), 0), Some(0));
        assert_eq!(shown(None, 1), Some(7));
        assert_eq!(shown(Some(7), 1), Some(0));
    }

    #[test]
    fn a_notice_goes_by_itself_and_an_answer_with_the_next_key() {
        let now = Instant::now();
        let mut notice = Overlay::notice("words", true, now);
        assert_eq!(notice.rows(8), ["\x1b[7mzun: wor\x1b[m"]);
        assert!(!notice.is_answer() && notice.continues(now + TICK));
        assert_eq!(notice.next(), now + 2 * TICK);
        assert!(!notice.continues(now + NOTICE));
        let mut answer = Overlay::answer("words", now);
        assert!(answer.is_answer() && answer.continues(now + NOTICE));
    }
}
