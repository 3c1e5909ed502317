//! Sends the size of the terminal to the container, and asks for redraws.

use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use zun_common::units::TerminalSize;

use super::sleep_for;
use crate::console::{ConsoleError, Control};
use crate::tty::size::Sizes;

/// How long a call may take that only makes the process redraw its screen.
const REDRAW_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the process sees another size, so that it notices the change.
const OTHER_SIZE: Duration = Duration::from_millis(50);

/// When to ask for a redraw again if nothing was printed. A shell prints its prompt before it handles size changes, so
/// a change in between is lost.
const REDRAW_RETRIES: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Whether the process is asked to redraw its screen.
pub(super) struct Redraws<'a> {
    /// When the session begins.
    pub(super) at_once: bool,
    /// Notified when something else was drawn on it.
    pub(super) wanted: &'a Notify,
}

/// Sends the newest size to the container. The call fails until the process has started, so zun retries it with growing
/// pauses, and without a pause when the first output arrives. If a redraw is wanted, zun asks for it until something is
/// printed or [`REDRAW_RETRIES`] are used up.
pub(super) async fn follow_size(
    control: &dyn Control,
    mut sizes: Sizes,
    process_started: &Notify,
    redraws: Redraws<'_>,
) {
    let mut pause = Duration::from_millis(10);
    let (mut due, mut followed) = (true, true);
    let mut retries = REDRAW_RETRIES.iter().copied();
    let mut redraw_after = if redraws.at_once { retries.next() } else { None };
    if redraws.at_once {
        redraw(control, *sizes.borrow()).await;
    }
    loop {
        if due {
            let size = *sizes.borrow_and_update();
            let Some(size) = size else { return std::future::pending().await };
            due = !resize(control, size).await;
        }
        let again = sleep_for(due.then_some(pause));
        let redraw_again = sleep_for(if due { None } else { redraw_after });
        tokio::select! {
            changed = sizes.changed(), if followed => match changed {
                Ok(()) => due = true,
                Err(_no_more) => followed = false,
            },
            () = again => pause = (pause * 2).min(Duration::from_secs(5)),
            () = process_started.notified(), if due || redraw_after.is_some() => {
                pause = Duration::from_millis(10);
                redraw_after = None;
            }
            () = redraws.wanted.notified() => {
                redraw(control, *sizes.borrow()).await;
                due = true;
            }
            () = redraw_again => {
                redraw(control, *sizes.borrow()).await;
                redraw_after = retries.next();
                due = true;
            }
        }
    }
}

/// Makes a program redraw its screen by sending a slightly smaller size. The caller sends the right size next. Returns
/// `false` if no process accepted the size.
pub(crate) async fn redraw(control: &dyn Control, size: Option<TerminalSize>) -> bool {
    let Some(size) = size else { return false };
    let smaller = TerminalSize { rows: size.rows.saturating_sub(1).max(1), ..size };
    let is_accepted = matches!(timeout(REDRAW_TIMEOUT, control.resize(smaller)).await, Ok(Ok(())));
    if is_accepted {
        tokio::time::sleep(OTHER_SIZE).await;
    }
    is_accepted
}

/// Returns `true` if this size needs no retry.
async fn resize(control: &dyn Control, size: TerminalSize) -> bool {
    matches!(control.resize(size).await, Ok(()) | Err(ConsoleError::Unsupported(_)))
}
