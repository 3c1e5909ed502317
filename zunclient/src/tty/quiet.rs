//! A terminal that does not show what is typed.

use std::io::Result;
use std::os::fd::OwnedFd;

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, Termios};
use rustix::termios::{tcflush, tcgetattr, tcgetpgrp, tcsetattr};

/// A terminal and its mode before. The mode is restored on drop, and what was typed meanwhile is discarded.
pub(super) struct Quiet {
    terminal: OwnedFd,
    before: Termios,
}

impl Quiet {
    /// Changes nothing yet.
    pub(super) fn of(terminal: OwnedFd) -> Result<Self> {
        let before = tcgetattr(&terminal)?;
        Ok(Self { terminal, before })
    }

    /// Whether this process may change the terminal. Otherwise the attempt would stop it.
    pub(super) fn is_in_foreground(&self) -> bool {
        tcgetpgrp(&self.terminal) == Ok(getpgrp())
    }

    /// Stops the echo.
    pub(super) fn hide(&self) -> Result<()> {
        let mut quiet = self.before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        self.set(&quiet)
    }

    /// Restores the mode.
    pub(super) fn show(&self) -> Result<()> {
        self.set(&self.before)
    }

    fn set(&self, mode: &Termios) -> Result<()> {
        if self.is_in_foreground() {
            tcsetattr(&self.terminal, OptionalActions::Now, mode)?;
        }
        Ok(())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // The terminal may be gone, and then there is nothing to restore.
        if self.is_in_foreground() {
            tcflush(&self.terminal, QueueSelector::IFlush).unwrap_or_default();
        }
        self.show().unwrap_or_default();
    }
}
