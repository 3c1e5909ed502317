//! The size of the terminal and its changes. Only the newest size is kept.

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use zun_common::shutdown::Tasks;
use zun_common::units::TerminalSize;

/// The newest size, or `None` without a terminal or if the terminal has no size.
pub type Sizes = watch::Receiver<Option<TerminalSize>>;

/// Returns the size of a terminal, if it has one.
pub fn size_of(terminal: impl AsFd) -> Option<TerminalSize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    let known = size.ws_row > 0 && size.ws_col > 0;
    known.then_some(TerminalSize { rows: size.ws_row, columns: size.ws_col })
}

/// Follows the size of a terminal until the tasks end. zun receives no SIGWINCH while it is suspended, so it reads the
/// size again after SIGCONT.
pub fn follow(terminal: OwnedFd, tasks: &Tasks) -> std::io::Result<Sizes> {
    let mut changes = signal(SignalKind::window_change())?;
    let mut continued = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
    let (newest, sizes) = watch::channel(size_of(&terminal));
    let own = tasks.clone();
    tasks.spawn(async move {
        loop {
            tokio::select! {
                changed = changes.recv() => if changed.is_none() { return },
                again = continued.recv() => if again.is_none() { return },
                () = own.cancelled() => return,
            }
            let size = size_of(&terminal);
            newest.send_if_modified(|held| std::mem::replace(held, size) != size);
        }
    });
    Ok(sizes)
}

/// Returns sizes that are always `None`, for use without a terminal.
pub fn none() -> Sizes {
    watch::channel(None).1
}
