//! Everything that `zun` prints: tables, JSON, YAML and bytes on stdout, and one-line messages on stderr. Colours are
//! used only on a terminal, and never with `NO_COLOR` or `TERM=dumb`.

mod fit;
mod live;
mod table;
mod text;

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use crate::tty::size::size_of;
pub use live::Live;
pub use table::{Cell, Column, Look, Table};
pub(crate) use text::clean;

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For people, with more columns, and nothing is shortened.
    Wide,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

impl Format {
    /// Whether results are printed for people.
    pub const fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// Stdout takes no more.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    /// Its reader is gone.
    #[error("the output is closed")]
    Closed,
    /// Writing failed, such as on a full disk.
    #[error("cannot write the output: {0}")]
    Failed(std::io::Error),
}

/// Prints results.
#[derive(Debug, Clone)]
pub struct Printer {
    format: Format,
    /// Whether long values of tables on a terminal are shortened.
    shortens: bool,
    stdout: Stdout,
}

/// What results are printed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stdout {
    /// A pipe or a file.
    Pipe,
    /// A terminal without colours.
    Plain,
    /// A terminal with colours.
    Coloured,
}

impl Printer {
    /// For this process.
    pub fn new(format: Format) -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let plain = set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb");
        let stdout = match (std::io::stdout().is_terminal(), plain) {
            (false, _) => Stdout::Pipe,
            (true, true) => Stdout::Plain,
            (true, false) => Stdout::Coloured,
        };
        Self { format, shortens: true, stdout }
    }

    /// Returns a printer that also shows the columns for wide tables.
    #[must_use]
    pub fn wide(&self, wide: bool) -> Self {
        let format = match self.format {
            Format::Table if wide => Format::Wide,
            format @ (Format::Table | Format::Wide | Format::Json | Format::Yaml) => format,
        };
        Self { format, ..self.clone() }
    }

    /// Returns a printer that does not shorten values.
    #[must_use]
    pub fn unshortened(&self, whole: bool) -> Self {
        Self { shortens: self.shortens && !whole, ..self.clone() }
    }

    /// The format.
    pub const fn format(&self) -> Format {
        self.format
    }

    fn is_terminal(&self) -> bool {
        self.stdout != Stdout::Pipe
    }

    /// Whether stdout is a terminal, and results are printed for people.
    pub fn is_live(&self) -> bool {
        self.is_terminal() && self.format.is_for_people()
    }

    /// Prints a value, or the table that shows it.
    pub fn show<T: Serialize>(
        &self,
        value: &T,
        table: impl FnOnce() -> Table,
    ) -> Result<(), Unwritten> {
        self.value(value, || self.render(&table()))
    }

    /// Prints a value as JSON or YAML, or prints `text` if the format is for people.
    pub fn value<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Unwritten> {
        let text = match self.format {
            Format::Table | Format::Wide => text(),
            Format::Json => serde_json::to_string_pretty(value).unwrap_or_default(),
            Format::Yaml => serde_saphyr::to_string(value).unwrap_or_default(),
        };
        self.line(text.trim_end())
    }

    /// Returns the text of a table, for the terminal as it is now.
    pub fn render(&self, table: &Table) -> String {
        let wide = self.format == Format::Wide;
        let fits = self.is_terminal() && self.shortens && !wide;
        let size = if fits { size_of(std::io::stdout()) } else { None };
        let width = size.map(|size| usize::from(size.columns));
        table.render(Look { colours: self.stdout == Stdout::Coloured, wide, width })
    }

    /// Prints one line.
    pub fn line(&self, line: &str) -> Result<(), Unwritten> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Prints bytes as they are.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Unwritten> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|cause| {
            if cause.kind() == ErrorKind::BrokenPipe {
                Unwritten::Closed
            } else {
                Unwritten::Failed(cause)
            }
        })
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
        error_bytes(format!("zun: {}\n", clean(line)).as_bytes());
    }
}

/// Writes bytes to stderr, unchanged.
pub fn error_bytes(bytes: &[u8]) {
    // If stderr is closed, there is nowhere to report it.
    drop(std::io::stderr().lock().write_all(bytes));
}
