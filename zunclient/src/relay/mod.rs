//! Relays between a terminal and a console. Input and output run independently: neither ever waits for the other.

mod input;
mod output;
mod overlays;
mod size;

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::console::{Closing, Console};
use crate::forward_signals::handle_signals;
use crate::tty::escape::{EscapeScanner, Leave};
use crate::tty::keys::Keys;
use crate::tty::letterbox::Letterbox;
use crate::tty::link_status::LinkStatus;
use crate::tty::raw::RawMode;
use crate::tty::screen::{Closed, Output, Screen};
use crate::tty::signals::{Number, Signals};
use crate::tty::size::Sizes;
use input::send_typed;
use output::OutputPump;
pub(crate) use size::redraw;
use size::{Redraws, follow_size};

/// How long detaching waits for a stalled terminal or host.
const DETACH_TIMEOUT: Duration = Duration::from_millis(200);

/// How many asides may wait for a stalled terminal.
const ASIDES: usize = 8;

/// What the keys ask for besides input for the process.
#[derive(Debug)]
enum Aside {
    /// This text.
    Help(String),
    /// Something was typed, so the text that was asked for is no longer needed.
    Typed,
}

/// The terminal side.
pub struct Terminal {
    /// The input, if it is wanted.
    pub keys: Option<Keys>,
    /// Finds the detach keys. Only if the input is a terminal.
    pub scanner: Option<EscapeScanner>,
    /// Where output goes.
    pub screen: Screen,
    /// The terminal's size.
    pub sizes: Sizes,
    /// Raw mode, if the terminal is in it.
    pub raw: Option<RawMode>,
    /// Hides what is typed, if the terminal only shows output.
    pub quiet: Option<RawMode>,
    /// Whether to ask the process to redraw its screen.
    pub redraws: bool,
    /// Shows the user that the link is lost.
    pub link_status: LinkStatus,
    /// Shows a terminal that has the size of another client's window. Only if the output is a terminal.
    pub letterbox: Option<Letterbox>,
}

/// Calls to the control plane that the console itself does not have.
#[async_trait]
pub trait Remote: Send + Sync {
    /// Sends the process a signal. Returns `false` if that failed.
    async fn signal(&self, name: &str) -> bool;
}

/// Which process receives a signal that was sent to zun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalRouting {
    /// The process in the container: zun forwards the signal.
    ToProcess,
    /// Zun itself: it exits, and the process keeps running.
    ToClient,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The process exited.
    Exited(i64),
    /// Docker could not start the process. The exit code that a shell would use, and Docker's reason.
    NotStarted(i64, String),
    /// The console ended without an exit code, and why if that is known.
    WithoutExitCode(Option<String>),
    /// The process exited, but the link was lost before all of its output had arrived.
    ExitedLinkLost(i64, String),
    /// The host ended the session, and why.
    Closed(Closing),
    /// The user detached.
    Detached(Leave),
    /// The output can no longer be written.
    OutputClosed(Closed),
    /// A signal ended zun.
    Signal(Number),
    /// The user left a process that ignores signals, by sending it SIGINT or SIGTERM again and again.
    ForcedOut(Number),
}

/// What a relay needs besides the console and the terminal.
pub struct RelayContext<'a> {
    /// The signals of this process.
    pub signals: &'a mut Signals,
    /// Their receiver. In raw mode it is always zun, because ctrl-c reaches the process as a key.
    pub signal_routing: SignalRouting,
    /// The control plane.
    pub remote: &'a dyn Remote,
    /// Notified when the process has started, so its terminal can be resized.
    pub process_started: &'a Notify,
}

/// Relays until one side ends. Returns how it ended and how many bytes were printed. The terminal is restored when this
/// returns.
pub async fn relay(
    console: Console,
    terminal: Terminal,
    relay_context: RelayContext<'_>,
) -> (Ended, u64) {
    let Console { mut events, mut input, control, .. } = console;
    let Terminal {
        mut keys,
        mut scanner,
        screen,
        sizes,
        raw,
        quiet,
        redraws,
        mut link_status,
        letterbox,
    } = terminal;
    let RelayContext { signals, signal_routing, remote, process_started } = relay_context;
    let signal_routing = if raw.is_some() { SignalRouting::ToClient } else { signal_routing };
    let redraw_wanted = Notify::new();
    let (ask, asides) = mpsc::channel(ASIDES);
    let mut pump = OutputPump {
        screen: &screen,
        link_status: &mut link_status,
        sizes: sizes.clone(),
        process_started,
        redraw_wanted: &redraw_wanted,
        letterbox,
        asides,
        overlay: None,
        bytes: 0,
    };
    let redraws = Redraws { at_once: redraws, wanted: &redraw_wanted };
    let ended = tokio::select! {
        ended = Box::pin(pump.run(events.as_mut())) => ended,
        leave = send_typed((keys.as_mut(), scanner.as_mut()), (input.as_mut(), control.as_ref()), &ask) => left(leave),
        ended = handle_signals(signals, signal_routing, (control.as_ref(), remote), raw.as_ref().or(quiet.as_ref())) => ended,
        () = follow_size(control.as_ref(), sizes.clone(), process_started, redraws) => Ended::WithoutExitCode(None),
    };
    let bytes = pump.bytes;
    let letterbox = pump.letterbox.take();
    let (removed, _) = link_status.over(*sizes.borrow());
    let restored = [removed, end_of_screen(letterbox, &link_status, &ended)].concat();
    drop(keys);
    if matches!(
        ended,
        Ended::Detached(_) | Ended::OutputClosed(_) | Ended::Signal(_) | Ended::ForcedOut(_)
    ) {
        // A stalled host must not delay detaching.
        let leaving = async {
            if matches!(ended, Ended::Detached(_)) {
                input.detach().await;
            } else {
                input.leave().await;
            }
        };
        drop(timeout(DETACH_TIMEOUT, leaving).await);
    }
    if !restored.is_empty() {
        // A stalled terminal is left as it is.
        drop(timeout(DETACH_TIMEOUT, screen.write(Output::Stdout, restored.into())).await);
    }
    let ended = finish(ended, screen, signals).await;
    drop((raw, quiet));
    (ended, bytes)
}

/// Returns what ends the drawing of a terminal of another size, resets what the process has set, and ends the line
/// before a message.
fn end_of_screen(letterbox: Option<Letterbox>, link_status: &LinkStatus, ended: &Ended) -> Vec<u8> {
    let reset = link_status.reset();
    let Some(mut letterbox) = letterbox else { return reset };
    let boxed = letterbox.end();
    let line_end =
        if boxed.is_empty() && has_message(ended) { letterbox.line_end_after(&reset) } else { b"" };
    [&boxed, reset.as_slice(), line_end].concat()
}

/// Whether zun prints how the session ended, which begins a line of its own.
const fn has_message(ended: &Ended) -> bool {
    match ended {
        Ended::WithoutExitCode(_)
        | Ended::ExitedLinkLost(..)
        | Ended::Closed(_)
        | Ended::Detached(_)
        | Ended::ForcedOut(_) => true,
        // What the process printed last is not changed.
        Ended::Exited(_) | Ended::NotStarted(..) | Ended::OutputClosed(_) | Ended::Signal(_) => {
            false
        }
    }
}

/// A closed terminal ends the input and also sends SIGHUP. The result is the same, whichever zun sees first.
const fn left(leave: Leave) -> Ended {
    match leave {
        Leave::Detach | Leave::Escape => Ended::Detached(leave),
        Leave::Hangup => Ended::Signal(Number(1)),
    }
}

/// Writes the remaining output, unless its reader is gone. After detaching or a signal, this takes at most
/// [`DETACH_TIMEOUT`].
async fn finish(ended: Ended, screen: Screen, signals: &mut Signals) -> Ended {
    match ended {
        Ended::Exited(_)
        | Ended::NotStarted(..)
        | Ended::WithoutExitCode(_)
        | Ended::Closed(_)
        | Ended::ExitedLinkLost(..) => {
            tokio::select! {
                written = screen.finish() => written.map_or_else(Ended::OutputClosed, |()| ended),
                number = signals.ended() => Ended::Signal(number),
            }
        }
        Ended::Detached(_) | Ended::Signal(_) | Ended::ForcedOut(_) => {
            drop(timeout(DETACH_TIMEOUT, screen.finish()).await);
            ended
        }
        Ended::OutputClosed(_) => ended,
    }
}

/// Sleeps for `time`, or forever without one.
async fn sleep_for(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
