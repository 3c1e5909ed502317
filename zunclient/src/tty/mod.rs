//! The terminal side: keys, screen, size, raw mode, signals and escape keys. It knows no protocol.

pub mod detach_keys;
pub mod escape;
pub mod keys;
pub mod raw;
pub mod screen;
pub mod signals;
pub mod size;

use std::io::IsTerminal as _;

/// Which of the standard streams are terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// Keys come from a terminal.
    pub input: bool,
    /// Output goes to a terminal.
    pub output: bool,
}

impl Streams {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self { input: std::io::stdin().is_terminal(), output: std::io::stdout().is_terminal() }
    }

    /// Both are terminals: a person sits there.
    pub const fn both(self) -> bool {
        self.input && self.output
    }
}
