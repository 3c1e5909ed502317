//! The terminal side: keys, screen, size, raw mode, signals and escape keys. It knows no protocol.

pub mod detach_keys;
pub mod escape;
pub mod keys;
pub mod letterbox;
pub mod link_status;
pub(crate) mod output_state;
pub(crate) mod overlay;
mod quiet;
pub mod raw;
pub mod screen;
pub mod signals;
pub mod size;

use std::io::IsTerminal as _;

/// Which of stdin and stdout are terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stdio {
    /// Stdin is a terminal.
    pub stdin_is_terminal: bool,
    /// Stdout is a terminal.
    pub stdout_is_terminal: bool,
}

impl Stdio {
    /// Returns those of this process.
    pub fn of_process() -> Self {
        Self {
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
        }
    }

    /// Returns `true` if a person uses `zun` interactively.
    pub const fn both_are_terminals(self) -> bool {
        self.stdin_is_terminal && self.stdout_is_terminal
    }
}
