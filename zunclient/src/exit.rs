//! How the command ends.

use std::process::ExitCode;

/// The exit code of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// All is well.
    pub const OK: Self = Self(0);
    /// A plain verb failed.
    pub const FAILED: Self = Self(1);
    /// The command line is wrong.
    pub const USAGE: Self = Self(2);
    /// Zun could not do it; the container's command never gave its own code.
    pub const ZUN_FAILED: Self = Self(125);
    /// The reader of our output is gone: as for any program that SIGPIPE ends.
    pub const PIPE: Self = Self(141);

    /// That of a process in a container. What no process can exit with is 255.
    pub fn of_process(code: i64) -> Self {
        Self(u8::try_from(code).unwrap_or(255))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}
