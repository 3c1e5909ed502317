//! Everything that `zun` prints: results on stdout in the format that the user chose, and one-line messages on stderr.
//! Colours are used only on a terminal, and never with `NO_COLOR` or `TERM=dumb`.

mod docker_fields;
mod fit;
mod format;
mod live;
mod near;
mod print;
mod record;
mod table;
mod template;
mod text;
mod values;

use std::io::{IsTerminal as _, Write as _};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use format::Format;
pub use live::Live;
pub(crate) use near::nearest;
pub(crate) use print::stdout_has_colours;
pub use print::{PrintError, Printer};
pub use table::{Cell, Column, Table};
pub use template::Template;
pub(crate) use text::{clean, short_id, size_words};
pub(crate) use values::{GIB, MIB, Unit, with_units};

/// How long a message waits for a stalled terminal before it is dropped.
const STALLED_TERMINAL_TIMEOUT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Prints a message of one line to stderr, after `zun: `. Control characters are replaced. The terminal must not be in
/// raw mode. If stderr is stalled for a second, the message is dropped.
pub fn notice(line: &str) {
    let stderr = std::io::stderr();
    let mut room = [PollFd::new(&stderr, PollFlags::OUT)];
    if poll(&mut room, Some(&STALLED_TERMINAL_TIMEOUT)) != Ok(0) {
        error_bytes(format!("zun: {}\n", clean(line)).as_bytes());
    }
}

/// Whether stderr is a terminal that can move its cursor.
pub(crate) fn stderr_is_live() -> bool {
    std::io::stderr().is_terminal() && !is_dumb()
}

/// Whether the terminal cannot move its cursor.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Writes bytes to stderr, unchanged.
pub fn error_bytes(bytes: &[u8]) {
    // If stderr is closed, there is nowhere to report it.
    drop(std::io::stderr().lock().write_all(bytes));
}
