//! The terminal's size, and its changes: many in a row become one, the last.

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use zun_common::shutdown::Tasks;
use zun_common::units::TerminalSize;

/// The newest size; `None` where there is no terminal or it has no size.
pub type Sizes = watch::Receiver<Option<TerminalSize>>;

/// The size of a terminal, if it has one.
pub fn size_of(terminal: impl AsFd) -> Option<TerminalSize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    let known = size.ws_row > 0 && size.ws_col > 0;
    known.then_some(TerminalSize { rows: size.ws_row, columns: size.ws_col })
}

/// Follows the size of a terminal until the tasks end. Of changes while we are stopped the shell is told, and not
/// we: it is looked at again when we go on.
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

/// No terminal: no size, ever.
pub fn none() -> Sizes {
    watch::channel(None).1
}
