//! The progress of a copy on stderr: one line on a terminal, which disappears at the end, and elsewhere a line now and
//! then. A process copies once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::out;

/// A copy that takes less time shows no progress.
const DELAY: Duration = Duration::from_secs(1);
/// How often the line may change in a second.
const RATE: u8 = 4;
/// At most 80 columns.
const LINE: &str = "  {msg:30!} {bytes:>11} {binary_bytes_per_sec:>13} {elapsed:>6}";

/// How often a line is printed where it cannot be redrawn.
const LINE_EVERY: Duration = Duration::from_secs(10);

static PROGRESS: Mutex<Option<Progress>> = Mutex::new(None);

fn progress() -> MutexGuard<'static, Option<Progress>> {
    PROGRESS.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Progress {
    /// A line that is redrawn.
    Bar(ProgressBar),
    Lines(Lines),
}

/// Lines in a pipe, or on a terminal that cannot move its cursor.
struct Lines {
    what: String,
    bytes: u64,
    last: Instant,
}

impl Lines {
    /// Counts bytes. Returns a line if it is time for one.
    fn add(&mut self, bytes: u64, now: Instant) -> Option<String> {
        self.bytes += bytes;
        if now.saturating_duration_since(self.last) < LINE_EVERY {
            return None;
        }
        self.last = now;
        Some(format!("{}: {} so far", self.what, HumanBytes(self.bytes)))
    }
}

/// A copy that is shown. Dropping it removes the line.
pub(super) struct Shown;

/// Begins a copy. It is shown unless it is quiet.
pub(super) fn begin(what: &str, quiet: bool) -> Shown {
    *progress() = if quiet {
        None
    } else if out::stderr_is_live() {
        Some(Progress::Bar(hidden(what)))
    } else {
        let lines = Lines { what: what.to_owned(), bytes: 0, last: Instant::now() };
        Some(Progress::Lines(lines))
    };
    Shown
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(Progress::Bar(bar)) = progress().take() {
            bar.finish_and_clear();
        }
    }
}

/// Counts bytes of the copy.
pub(super) fn add(bytes: usize) {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    match &mut *progress() {
        Some(Progress::Bar(bar)) => {
            bar.inc(bytes);
            if bar.is_hidden() && bar.elapsed() >= DELAY {
                bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(RATE));
            }
        }
        Some(Progress::Lines(lines)) => {
            if let Some(line) = lines.add(bytes, Instant::now()) {
                out::notice(&line);
            }
        }
        None => {}
    }
}

/// Prints a notice, which must not be on the line of the progress.
pub(super) fn notice(message: &str) {
    match &*progress() {
        Some(Progress::Bar(bar)) => bar.suspend(|| out::notice(message)),
        Some(Progress::Lines(_)) | None => out::notice(message),
    }
}

fn hidden(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(LINE)
        .unwrap_or_else(|_bad_template| ProgressStyle::default_spinner());
    let bar = ProgressBar::hidden().with_style(style);
    bar.set_message(out::clean(what));
    bar
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;

    #[test]
    fn a_copy_has_one_line_of_at_most_80_columns_and_nothing_is_left_at_the_end() {
        let term = InMemoryTerm::new(10, 80);
        let bar = hidden("test:/a/long/path/to\x1b[2J/a/file-with-a-long-name.tar");
        bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(term.clone())));
        bar.inc(1023 << 30);
        bar.tick();
        let shown = term.contents();
        assert!(shown.contains("test:/a/long/path/to") && shown.contains("1023.00 GiB"), "{shown}");
        assert_eq!(shown.lines().count(), 1, "{shown}");
        assert!(shown.len() <= 80, "{shown}");
        bar.finish_and_clear();
        assert_eq!(term.contents(), "");
    }

    #[test]
    fn elsewhere_a_line_comes_every_ten_seconds() {
        let begun = Instant::now();
        let mut lines = Lines { what: "test:/a".to_owned(), bytes: 0, last: begun };
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(lines.add(1 << 20, at(9)), None);
        let line = lines.add(1 << 20, at(10));
        assert_eq!(line.as_deref(), Some("test:/a: 2.00 MiB so far"));
        assert_eq!(lines.add(1, at(19)), None);
        assert!(lines.add(1, at(20)).is_some());
    }
}
