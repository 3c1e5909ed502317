//! The exit codes of `zun`.

use std::process::ExitCode;

/// The exit code of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// Success.
    pub const OK: Self = Self(0);
    /// A subcommand failed that does not run a command in a container.
    pub const FAILED: Self = Self(1);
    /// `zun` failed, so there is no exit code of the container's command. Docker uses the same code.
    pub const ZUN_FAILED: Self = Self(125);
    /// The reader of stdout is gone. It is the code of a program that SIGPIPE ends.
    pub const PIPE: Self = Self(141);

    /// Returns the exit code of a process in a container; 255 if the code is not in 0 to 255.
    pub fn of_process(code: i64) -> Self {
        Self(u8::try_from(code).unwrap_or(255))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}
