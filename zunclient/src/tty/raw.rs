//! Raw mode with one way back, taken once: on drop, in the panic hook, or before the process stops.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, Once, PoisonError};

use termion::raw::{IntoRawMode as _, RawTerminal};

/// The terminal that is raw now. A process has one; the panic hook finds it here.
static RAW: Mutex<Option<RawTerminal<File>>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// The terminal is raw while this lives.
#[derive(Debug)]
#[must_use = "the terminal is restored when this is dropped"]
pub struct RawMode(());

impl RawMode {
    /// Makes this terminal raw.
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

    /// Makes it raw again.
    pub fn resume(&self) -> std::io::Result<()> {
        slot().as_ref().map_or(Ok(()), RawTerminal::activate_raw_mode)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal if it is raw. Once is enough; more does no harm.
pub fn restore() {
    drop(slot().take());
}

fn slot() -> std::sync::MutexGuard<'static, Option<RawTerminal<File>>> {
    RAW.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The words of a panic are for a terminal that is whole again.
fn restore_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A panic while the slot is locked must not wait for itself.
        if let Ok(mut raw) = RAW.try_lock() {
            drop(raw.take());
        }
        before(panic);
    }));
}
