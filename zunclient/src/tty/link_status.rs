//! Shows the user that the link is lost: in a line of the terminal, or in messages on stderr if there is none.

use std::time::Duration;

use tokio::time::Instant;
use zun_common::units::TerminalSize;

use super::output_state::OutputState;
use crate::out;

/// zun does not report a link that is restored within this time.
const UNNOTICED: Duration = Duration::from_millis(500);

/// How often the line is redrawn.
const TICK: Duration = Duration::from_secs(1);

/// The columns of a terminal of unknown size.
const COLUMNS: u16 = 80;

/// Save the cursor and its attributes, and restore them.
const SAVE: &str = "\x1b7";
const RESTORE: &str = "\x1b8";
/// Reset the cursor, margins and character sets, wrap long lines, and clear the screen.
const CLEAR_SCREEN: &[u8] = b"\x1b[!p\x1b[?7h\x1b[m\x1b[H\x1b[2J";
/// Clear the line.
const CLEAR: &str = "\x1b[2K";
/// Make room for a line below the cursor, without moving the cursor away from its text.
const MAKE_ROOM: &str = "\x1bD\x1b[A";
/// Go to the beginning of the line below.
const LINE_BELOW: &str = "\x1bE";

/// What the user sees of the link.
#[derive(Debug)]
pub struct LinkStatus {
    display: Display,
    reconnection: Option<Reconnection>,
}

#[derive(Debug)]
enum Display {
    /// A line of the terminal.
    Line {
        output: Box<OutputState>,
        /// What the user types to leave.
        leave: Option<String>,
    },
    /// Messages on stderr. `true` if the terminal is in raw mode.
    Messages { raw: bool },
}

#[derive(Debug)]
struct Reconnection {
    host: String,
    since: Instant,
    next: Option<Instant>,
    /// Where the line is, if it is shown.
    shown: Option<Place>,
}

/// Where a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    BelowCursor,
    /// The last row, over content of the process.
    LastRow,
    /// A message, which is not removed.
    Message,
}

impl LinkStatus {
    /// For a terminal that shows the output. `escape` is the escape character for disconnecting.
    pub fn in_line(escape: Option<u8>) -> Self {
        let leave = escape
            .map(|escape| format!("press Enter, then {}., to disconnect", char::from(escape)));
        Self { display: Display::Line { output: Box::default(), leave }, reconnection: None }
    }

    /// For everything else. `raw` if a terminal is in raw mode.
    pub const fn by_messages(raw: bool) -> Self {
        Self { display: Display::Messages { raw }, reconnection: None }
    }

    /// Follows the output on the terminal.
    pub fn printed(&mut self, output: &[u8]) {
        if let Display::Line { output: state, .. } = &mut self.display {
            state.follow(output);
        }
    }

    /// Returns what clears the terminal before a whole screen is drawn, with the modes of a fresh one. Empty without a
    /// terminal.
    pub fn clear(&self) -> Vec<u8> {
        match &self.display {
            Display::Line { output, .. } => [&output.reset(), CLEAR_SCREEN].concat(),
            Display::Messages { .. } => Vec::new(),
        }
    }

    /// Returns the sequences that reset what the process has set: modes and the alternate screen.
    pub fn reset(&self) -> Vec<u8> {
        match &self.display {
            Display::Line { output, .. } => output.reset(),
            Display::Messages { .. } => Vec::new(),
        }
    }

    /// What is known of the terminal that shows the output; `None` without one.
    pub(crate) fn output(&self) -> Option<&OutputState> {
        match &self.display {
            Display::Line { output, .. } => Some(output),
            Display::Messages { .. } => None,
        }
    }

    /// Text that the process did not print has moved the rows of the normal screen.
    pub(crate) fn moved_rows(&mut self) {
        if let Display::Line { output, .. } = &mut self.display {
            output.moved_rows();
        }
    }

    /// Returns what removes the line until it is drawn again, so that other text can be written.
    pub(crate) fn hide(&mut self, size: Option<TerminalSize>) -> Vec<u8> {
        let Some(Reconnection { shown, .. }) = &mut self.reconnection else { return Vec::new() };
        match shown {
            Some(place @ (Place::BelowCursor | Place::LastRow)) => {
                let removed = place.removed(size);
                *shown = None;
                removed
            }
            Some(Place::Message) | None => Vec::new(),
        }
    }

    /// Whether the line is in the last row of the window.
    pub(crate) fn uses_last_row(&self) -> bool {
        let shown = self.reconnection.as_ref().and_then(|state| state.shown);
        shown == Some(Place::LastRow)
    }

    /// The link is lost.
    pub fn reconnecting(&mut self, host: String, now: Instant) {
        let next = Some(now + UNNOTICED);
        self.reconnection.get_or_insert(Reconnection { host, since: now, next, shown: None });
    }

    /// Returns when `LinkStatus::tick` is due.
    pub fn next_tick(&self) -> Option<Instant> {
        self.reconnection.as_ref()?.next
    }

    /// Returns what to write to the terminal now. If the program uses the whole screen, that is over its last row.
    pub(crate) fn tick(
        &mut self,
        (size, is_full_screen): (Option<TerminalSize>, bool),
        now: Instant,
    ) -> Vec<u8> {
        let Self { display, reconnection: Some(state) } = self else { return Vec::new() };
        match display {
            Display::Messages { raw } => {
                state.next = None;
                state.shown = Some(Place::Message);
                message(&format!("connection to {} lost, reconnecting", state.host), *raw);
                Vec::new()
            }
            Display::Line { output, leave } => {
                state.next = Some(now + TICK);
                if output.is_whole() {
                    state.line(is_full_screen, leave.as_ref(), (size, now))
                } else {
                    Vec::new()
                }
            }
        }
    }

    /// The link is restored, or the session ends. Returns what removes the line from the terminal, and whether content
    /// of the process was under it.
    pub fn over(&mut self, size: Option<TerminalSize>) -> (Vec<u8>, bool) {
        let Some(Reconnection { shown: Some(place), .. }) = self.reconnection.take() else {
            return (Vec::new(), false);
        };
        (place.removed(size), place == Place::LastRow)
    }

    /// The link is restored. Like [`LinkStatus::over`], but also prints a message if one about the lost link was
    /// printed.
    pub fn reconnected(&mut self, size: Option<TerminalSize>, now: Instant) -> (Vec<u8>, bool) {
        if let (Display::Messages { raw }, Some(state)) = (&self.display, &self.reconnection)
            && state.shown.is_some()
        {
            let seconds = state.seconds(now);
            message(&format!("connected to {} again after {seconds} s", state.host), *raw);
        }
        self.over(size)
    }

    /// Prints a notice about the session. Returns what to write to the terminal.
    pub fn notice(&self, words: &str) -> Vec<u8> {
        match &self.display {
            Display::Line { .. } => format!("\r\n\x1b[7mzun: {words}\x1b[m\r\n").into_bytes(),
            Display::Messages { raw } => {
                message(words, *raw);
                Vec::new()
            }
        }
    }
}

impl Reconnection {
    fn seconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs()
    }

    fn line(
        &mut self,
        is_full_screen: bool,
        leave: Option<&String>,
        (size, now): (Option<TerminalSize>, Instant),
    ) -> Vec<u8> {
        let mut words = format!(
            "zun: connection to {} lost, reconnecting ({} s)",
            self.host,
            self.seconds(now)
        );
        if let Some(leave) = leave {
            words.push_str(" … ");
            words.push_str(leave);
        }
        let columns = size.map_or(COLUMNS, |size| size.columns);
        let words: String = words.chars().take(usize::from(columns.saturating_sub(1))).collect();
        let begin = if self.shown.is_none() && !is_full_screen { MAKE_ROOM } else { "" };
        let place = if is_full_screen { Place::LastRow } else { Place::BelowCursor };
        let place = *self.shown.get_or_insert(place);
        let go = place.go(size);
        format!("{begin}{SAVE}{go}{CLEAR}\x1b[7m{words}\x1b[m{RESTORE}").into_bytes()
    }
}

impl Place {
    /// Returns what removes a line there. A message stays.
    fn removed(self, size: Option<TerminalSize>) -> Vec<u8> {
        match self {
            Self::Message => Vec::new(),
            Self::BelowCursor | Self::LastRow => {
                format!("{SAVE}{}{CLEAR}{RESTORE}", self.go(size)).into_bytes()
            }
        }
    }

    /// Returns the sequence that moves the cursor there.
    fn go(self, size: Option<TerminalSize>) -> String {
        match self {
            Self::BelowCursor | Self::Message => LINE_BELOW.to_owned(),
            // The last row if the size is not known: terminals stop there.
            Self::LastRow => format!("\x1b[{};1H", size.map_or(999, |size| size.rows)),
        }
    }
}

/// Prints a message. In raw mode, a line feed alone would leave the cursor where it is in its row.
fn message(words: &str, raw: bool) {
    if raw {
        out::error_bytes(b"\r");
    }
    out::notice(words);
    if raw {
        out::error_bytes(b"\r");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Option<TerminalSize> = Some(TerminalSize { rows: 24, columns: 40 });

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).replace('\x1b', "^")
    }

    #[test]
    fn a_short_interruption_is_not_shown() {
        let now = Instant::now();
        let mut status = LinkStatus::in_line(Some(b'~'));
        assert_eq!(status.next_tick(), None);
        status.reconnecting("h:1".to_owned(), now);
        assert_eq!(status.next_tick(), Some(now + UNNOTICED));
        assert_eq!(status.reconnected(SIZE, now), (Vec::new(), false));
        assert_eq!(status.next_tick(), None);
    }

    #[test]
    fn the_line_below_the_cursor_is_drawn_each_second_and_removed() {
        let start = Instant::now();
        let mut status = LinkStatus::in_line(Some(b'~'));
        status.reconnecting("h:1".to_owned(), start);
        let first = text(&status.tick((SIZE, false), start + UNNOTICED));
        assert_eq!(first, "^D^[A^7^E^[2K^[7mzun: connection to h:1 lost, reconnecti^[m^8");
        assert_eq!(status.next_tick(), Some(start + UNNOTICED + TICK));
        let wide = Some(TerminalSize { rows: 24, columns: 100 });
        let second = text(&status.tick((wide, false), start + UNNOTICED + 12 * TICK));
        let words = "zun: connection to h:1 lost, reconnecting (12 s) … press Enter, then ~., to disconnect";
        assert_eq!(second, format!("^7^E^[2K^[7m{words}^[m^8"));
        let (removed, redraws) = status.reconnected(SIZE, start);
        assert_eq!((text(&removed).as_str(), redraws), ("^7^E^[2K^8", false));
    }

    #[test]
    fn over_a_full_screen_program_the_last_row_is_used_and_drawn_again_later() {
        let start = Instant::now();
        let mut status = LinkStatus::in_line(None);
        status.reconnecting("h:1".to_owned(), start);
        assert!(text(&status.tick((SIZE, true), start)).starts_with("^7^[24;1H^[2K^[7mzun: "));
        let (removed, redraws) = status.over(SIZE);
        assert_eq!((text(&removed).as_str(), redraws), ("^7^[24;1H^[2K^8", true));
    }

    #[test]
    fn the_line_is_hidden_for_other_text_and_drawn_again_with_the_next_second() {
        let start = Instant::now();
        let mut status = LinkStatus::in_line(None);
        assert_eq!(text(&status.notice("words")), "\r\n^[7mzun: words^[m\r\n");
        status.reconnecting("h:1".to_owned(), start);
        assert!(status.hide(SIZE).is_empty());
        status.tick((SIZE, false), start + UNNOTICED);
        assert_eq!(text(&status.hide(SIZE)), "^7^E^[2K^8");
        assert!(status.hide(SIZE).is_empty());
        let again = text(&status.tick((SIZE, false), start + UNNOTICED + TICK));
        assert!(again.starts_with("^D^[A^7^E^[2K^[7mzun: "), "{again}");
    }

    #[test]
    fn nothing_is_drawn_into_a_half_printed_sequence() {
        let start = Instant::now();
        let mut status = LinkStatus::in_line(None);
        status.printed(b"\x1b[3");
        status.reconnecting("h:1".to_owned(), start);
        assert!(status.tick((SIZE, false), start).is_empty());
        assert_eq!(status.over(SIZE), (Vec::new(), false));
    }
}
