//! Everything that `zun` prints: tables, JSON, YAML and bytes on stdout, and one-line messages on stderr. Colours are
//! used only on a terminal, and never with `NO_COLOR`.

mod table;

use std::io::{IsTerminal as _, Write as _};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

pub use table::{Cell, Table};

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// The reader of stdout is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the output is closed")]
pub struct Closed;

/// Prints results.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    format: Format,
    colours: bool,
}

impl Printer {
    /// For this process.
    pub fn new(format: Format) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { format, colours: wanted && std::io::stdout().is_terminal() }
    }

    /// The format.
    pub const fn format(self) -> Format {
        self.format
    }

    /// Prints a value, or the table that shows it.
    pub fn show<T: Serialize>(
        self,
        value: &T,
        table: impl FnOnce() -> Table,
    ) -> Result<(), Closed> {
        self.value(value, || table().render(self.colours))
    }

    /// Prints a value as JSON or YAML, or prints `text` if the format is for people.
    pub fn value<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Closed> {
        let text = match self.format {
            Format::Table => text(),
            Format::Json => serde_json::to_string_pretty(value).unwrap_or_default(),
            Format::Yaml => serde_saphyr::to_string(value).unwrap_or_default(),
        };
        self.line(text.trim_end())
    }

    /// Prints one line.
    pub fn line(self, line: &str) -> Result<(), Closed> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Prints bytes as they are.
    pub fn bytes(self, bytes: &[u8]) -> Result<(), Closed> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|_reader_is_gone| Closed)
    }
}

/// How long a message waits for a stalled terminal before it is dropped.
const STALLED_TERMINAL_TIMEOUT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Prints a message of one line to stderr, after `zun: `. Control characters are replaced. The terminal must not be in
/// raw mode. If stderr is stalled for a second, the message is dropped.
pub fn notice(line: &str) {
    let stderr = std::io::stderr();
    let mut room = [PollFd::new(&stderr, PollFlags::OUT)];
    if poll(&mut room, Some(&STALLED_TERMINAL_TIMEOUT)) != Ok(0) {
        error_bytes(format!("zun: {}\n", table::clean(line)).as_bytes());
    }
}

/// Writes bytes to stderr, unchanged.
pub fn error_bytes(bytes: &[u8]) {
    // If stderr is closed, there is nowhere to report it.
    drop(std::io::stderr().lock().write_all(bytes));
}
