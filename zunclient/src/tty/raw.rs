//! Raw mode, and a terminal without echo. The terminal is restored on drop, in the panic hook, and before the process is suspended.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, Once, PoisonError};

use termion::raw::{IntoRawMode as _, RawTerminal};

use super::quiet::Quiet;

/// The terminal whose mode was changed. It is global so that the panic hook can restore it.
static RAW: Mutex<Option<Changed>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// How the terminal was changed. It is restored on drop.
enum Changed {
    Raw(RawTerminal<File>),
    Quiet(Quiet),
}

/// Keeps the terminal in raw mode, or without echo, until it is dropped.
#[derive(Debug)]
#[must_use = "the terminal is restored when this is dropped"]
pub struct RawMode(());

impl RawMode {
    /// Puts the terminal into raw mode.
    pub fn enter(terminal: OwnedFd) -> std::io::Result<Self> {
        HOOK.call_once(restore_on_panic);
        let raw = File::from(terminal).into_raw_mode()?;
        *slot() = Some(Changed::Raw(raw));
        Ok(Self(()))
    }

    /// Hides what is typed on a terminal that only shows output, so that it does not appear in the output, and does
    /// not reach the shell afterwards. Ctrl-c still interrupts zun. Returns `None` for a job in the background.
    pub fn without_echo(terminal: OwnedFd) -> std::io::Result<Option<Self>> {
        HOOK.call_once(restore_on_panic);
        let quiet = Quiet::of(terminal)?;
        if !quiet.is_in_foreground() {
            return Ok(None);
        }
        quiet.hide()?;
        *slot() = Some(Changed::Quiet(quiet));
        Ok(Some(Self(())))
    }

    /// Restores the terminal for a while, such as before the process is stopped.
    pub fn suspend(&self) -> std::io::Result<()> {
        match slot().as_ref() {
            Some(Changed::Raw(raw)) => raw.suspend_raw_mode(),
            Some(Changed::Quiet(quiet)) => quiet.show(),
            None => Ok(()),
        }
    }

    /// Changes the terminal again.
    pub fn resume(&self) -> std::io::Result<()> {
        match slot().as_ref() {
            Some(Changed::Raw(raw)) => raw.activate_raw_mode(),
            Some(Changed::Quiet(quiet)) => quiet.hide(),
            None => Ok(()),
        }
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal if it was changed. It can be called more than once.
pub fn restore() {
    drop(slot().take());
}

fn slot() -> std::sync::MutexGuard<'static, Option<Changed>> {
    RAW.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Restores the terminal before a panic prints its message.
fn restore_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Waiting here would deadlock if the panic happened while the slot was locked.
        if let Ok(mut raw) = RAW.try_lock() {
            drop(raw.take());
        }
        before(panic);
    }));
}
