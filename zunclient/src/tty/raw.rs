//! Raw mode. The terminal is restored on drop, in the panic hook, and before the process is suspended.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, Once, PoisonError};

use termion::raw::{IntoRawMode as _, RawTerminal};

/// The terminal that is in raw mode. It is global so that the panic hook can restore it.
static RAW: Mutex<Option<RawTerminal<File>>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// Keeps the terminal in raw mode until it is dropped.
#[derive(Debug)]
#[must_use = "the terminal is restored when this is dropped"]
pub struct RawMode(());

impl RawMode {
    /// Puts the terminal into raw mode.
    pub fn enter(terminal: OwnedFd) -> std::io::Result<Self> {
        HOOK.call_once(restore_on_panic);
        let raw = File::from(terminal).into_raw_mode()?;
        *slot() = Some(raw);
        Ok(Self(()))
    }

    /// Restores the terminal for a while, such as before the process is stopped.
    pub fn suspend(&self) -> std::io::Result<()> {
        slot().as_ref().map_or(Ok(()), RawTerminal::suspend_raw_mode)
    }

    /// Puts the terminal into raw mode again.
    pub fn resume(&self) -> std::io::Result<()> {
        slot().as_ref().map_or(Ok(()), RawTerminal::activate_raw_mode)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal if it is in raw mode. It can be called more than once.
pub fn restore() {
    drop(slot().take());
}

fn slot() -> std::sync::MutexGuard<'static, Option<RawTerminal<File>>> {
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
