//! The progress of a copy on stderr: one line on a terminal, which disappears at the end, and nothing elsewhere. A
//! process copies once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::out;

/// A copy that is shorter shows nothing.
const DELAY: Duration = Duration::from_secs(1);
/// How often the line may change in a second.
const RATE: u8 = 4;
/// At most 80 columns.
const LINE: &str = "  {msg:30!} {bytes:>11} {binary_bytes_per_sec:>13} {elapsed:>6}";

static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn bar() -> MutexGuard<'static, Option<ProgressBar>> {
    BAR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A copy that is shown. Dropping it removes the line.
pub(super) struct Shown;

/// Begins a copy. It is shown unless it is quiet, or stderr is not a terminal that can move its cursor.
pub(super) fn begin(what: &str, quiet: bool) -> Shown {
    if !quiet && out::stderr_is_live() {
        *bar() = Some(hidden(what));
    }
    Shown
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(bar) = bar().take() {
            bar.finish_and_clear();
        }
    }
}

/// Counts bytes of the copy.
pub(super) fn add(bytes: usize) {
    let bar = bar();
    let Some(bar) = &*bar else { return };
    bar.inc(u64::try_from(bytes).unwrap_or(u64::MAX));
    if bar.is_hidden() && bar.elapsed() >= DELAY {
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(RATE));
    }
}

/// Prints a notice, which must not be on the line of the progress.
pub(super) fn notice(message: &str) {
    match &*bar() {
        Some(bar) => bar.suspend(|| out::notice(message)),
        None => out::notice(message),
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
}
