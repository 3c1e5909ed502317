//! Relays between a terminal and a console. Input and output run independently: neither ever waits for the other.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;
use zun_common::units::TerminalSize;

use crate::console::{Console, ConsoleError, Control, Event, Events, Input};
use crate::forward_signals::handle_signals;
use crate::tty::escape::{EscapeScanner, Leave, Typed};
use crate::tty::keys::Keys;
use crate::tty::raw::RawMode;
use crate::tty::screen::{Closed, Output, Screen};
use crate::tty::signals::{Number, Signals};
use crate::tty::size::Sizes;

/// How long detaching waits for a stalled terminal or host.
const DETACH_TIMEOUT: Duration = Duration::from_millis(200);

/// How long a half-typed sequence is held back if no other key follows.
const PARTIAL_SEQUENCE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a call may take that only makes the process redraw its screen.
const REDRAW_TIMEOUT: Duration = Duration::from_secs(1);

/// When to ask for a redraw again if nothing was printed. A shell prints its prompt before it handles size changes, so
/// a change in between is lost.
const REDRAW_RETRIES: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// How many reads of typed keys may wait for a stalled connection.
const KEY_QUEUE: usize = 256;

/// The terminal side.
pub struct Terminal {
    /// The input, if it is wanted.
    pub keys: Option<Keys>,
    /// Finds the detach keys; only if the input is a terminal.
    pub scanner: Option<EscapeScanner>,
    /// Where output goes.
    pub screen: Screen,
    /// The terminal's size.
    pub sizes: Sizes,
    /// Raw mode, if the terminal is in it.
    pub raw: Option<RawMode>,
    /// Whether to ask the process to redraw its screen.
    pub redraws: bool,
}

/// Calls to the control plane that the console itself does not have.
#[async_trait]
pub trait Remote: Send + Sync {
    /// Sends the process a signal. Returns `false` if that failed.
    async fn signal(&self, name: &str) -> bool;
}

/// Who handles the signals that zun receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalRouting {
    /// The process in the container: zun forwards them.
    ToProcess,
    /// Zun itself: it exits, and the process keeps running.
    ToClient,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The process exited.
    Exited(i64),
    /// Docker could not start the process. The exit code that stands for that, and Docker's reason.
    NotStarted(i64, String),
    /// The console ended without an exit code, and why if that is known.
    WithoutExitCode(Option<String>),
    /// The process exited, but the link was lost before all of its output had arrived.
    ExitedLinkLost(i64, String),
    /// The user detached.
    Detached(Leave),
    /// The reader of the output is gone.
    OutputClosed,
    /// A signal ended zun.
    Signal(Number),
    /// The user left a process that ignores signals, by sending it SIGINT or SIGTERM again and again.
    ForcedOut(Number),
}

/// What a relay needs besides the console and the terminal.
pub struct RelayContext<'a> {
    /// The signals of this process.
    pub signals: &'a mut Signals,
    /// Who handles them. In raw mode it is always zun, because ctrl-c reaches the process as a key.
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
    let Console { mut events, mut input, control } = console;
    let Terminal { mut keys, mut scanner, screen, sizes, raw, redraws } = terminal;
    let RelayContext { signals, signal_routing, remote, process_started } = relay_context;
    let signal_routing = if raw.is_some() { SignalRouting::ToClient } else { signal_routing };
    let mut bytes = 0;
    let ended = tokio::select! {
        ended = pump_output(events.as_mut(), &screen, process_started, &mut bytes) => ended,
        leave = send_typed(keys.as_mut(), scanner.as_mut(), input.as_mut()) => left(leave),
        ended = handle_signals(signals, signal_routing, (control.as_ref(), remote), raw.as_ref()) => ended,
        () = follow_size(control.as_ref(), sizes, process_started, redraws) => Ended::WithoutExitCode(None),
    };
    drop(keys);
    if matches!(
        ended,
        Ended::Detached(_) | Ended::OutputClosed | Ended::Signal(_) | Ended::ForcedOut(_)
    ) {
        // A stalled host must not delay detaching.
        drop(timeout(DETACH_TIMEOUT, input.detach()).await);
    }
    let ended = finish(ended, screen, signals).await;
    drop(raw);
    (ended, bytes)
}

/// A terminal that closes ends the input and also sends SIGHUP. Whichever zun sees first, the result is the same.
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
        | Ended::ExitedLinkLost(..) => {
            tokio::select! {
                written = screen.finish() => if written == Err(Closed) { Ended::OutputClosed } else { ended },
                number = signals.ended() => Ended::Signal(number),
            }
        }
        Ended::Detached(_) | Ended::Signal(_) | Ended::ForcedOut(_) => {
            drop(timeout(DETACH_TIMEOUT, screen.finish()).await);
            ended
        }
        Ended::OutputClosed => ended,
    }
}

async fn pump_output(
    events: &mut dyn Events,
    screen: &Screen,
    process_started: &Notify,
    count: &mut u64,
) -> Ended {
    let mut lost = None;
    loop {
        let (output, bytes) = match events.next().await {
            Some(Event::Stdout(bytes)) => (Output::Stdout, bytes),
            Some(Event::Stderr(bytes)) => (Output::Stderr, bytes),
            Some(Event::Exit(code)) => {
                return lost.map_or(Ended::Exited(code), |why| Ended::ExitedLinkLost(code, why));
            }
            Some(Event::NotStarted { code, reason }) => return Ended::NotStarted(code, reason),
            Some(Event::Lost(why)) => {
                lost = Some(why);
                continue;
            }
            None => return Ended::WithoutExitCode(lost),
        };
        if *count == 0 {
            process_started.notify_one();
        }
        *count += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if screen.write(output, bytes).await == Err(Closed) {
            return Ended::OutputClosed;
        }
    }
}

/// Sends the input. Returns only if the user ends the session (see [`Leave`]). Output continues after a pipe or a file
/// ends, and after the process stops reading its input.
async fn send_typed(
    keys: Option<&mut Keys>,
    scanner: Option<&mut EscapeScanner>,
    input: &mut dyn Input,
) -> Leave {
    match (keys, scanner) {
        (Some(keys), Some(scanner)) => send_from_person(keys, scanner, input).await,
        (Some(keys), None) => {
            // A process that has closed its input may still print.
            drop(send_from_pipe(keys, input).await);
            std::future::pending().await
        }
        (None, _) => std::future::pending().await,
    }
}

async fn send_from_pipe(keys: &mut Keys, input: &mut dyn Input) -> Result<(), ConsoleError> {
    while let Some(typed) = keys.next().await {
        input.write(typed).await?;
    }
    input.eof().await
}

/// Scans the typed keys even while the connection is stalled, so the user can leave a dead link.
async fn send_from_person(
    keys: &mut Keys,
    scanner: &mut EscapeScanner,
    input: &mut dyn Input,
) -> Leave {
    let (queue, mut queued) = mpsc::channel::<Vec<u8>>(KEY_QUEUE);
    let (written, all_written) = oneshot::channel::<()>();
    let scan = async {
        while let Some(typed) = next_typed(keys, scanner).await {
            let Typed { send, leave } = match typed {
                Some(typed) => scanner.feed(&typed),
                None => Typed { send: scanner.flush(), leave: None },
            };
            push(&queue, send).await;
            if let Some(leave) = leave {
                drop(queue);
                drop(timeout(DETACH_TIMEOUT, all_written).await);
                return Some(leave);
            }
        }
        if keys.is_terminal() {
            return Some(Leave::Hangup);
        }
        push(&queue, scanner.flush()).await;
        // An empty chunk marks the end of the input. It is not queued when the user detaches.
        drop(queue.send(Vec::new()).await);
        drop(queue);
        None
    };
    let write = async {
        while let Some(typed) = queued.recv().await {
            let sent =
                if typed.is_empty() { input.eof().await } else { input.write(typed.into()).await };
            if sent.is_err() {
                break;
            }
        }
        // After an error, the remaining keys are discarded.
        while queued.recv().await.is_some() {}
        drop(written);
        std::future::pending::<Leave>().await
    };
    let left = async {
        match scan.await {
            Some(leave) => leave,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        leave = left => leave,
        leave = write => leave,
    }
}

/// Returns the next keys, `Some(None)` if held-back keys must be released, or `None` at the end of the input.
async fn next_typed(keys: &mut Keys, scanner: &EscapeScanner) -> Option<Option<Bytes>> {
    if !scanner.holds() {
        return keys.next().await.map(Some);
    }
    match timeout(PARTIAL_SEQUENCE_TIMEOUT, keys.next()).await {
        Ok(typed) => typed.map(Some),
        Err(_no_other_key) => Some(None),
    }
}

async fn push(queue: &mpsc::Sender<Vec<u8>>, typed: Vec<u8>) {
    if !typed.is_empty() {
        // The receiver lives as long as this task.
        drop(queue.send(typed).await);
    }
}

/// Sends the newest size to the container. The call fails until the process has started, so zun retries it with growing
/// pauses, and without a pause when the first output arrives. If a redraw is wanted, zun asks for it until something is
/// printed or [`REDRAW_RETRIES`] are used up.
async fn follow_size(
    control: &dyn Control,
    mut sizes: Sizes,
    process_started: &Notify,
    redraws: bool,
) {
    let mut pause = Duration::from_millis(10);
    let (mut due, mut followed) = (true, true);
    let mut retries = REDRAW_RETRIES.iter().copied();
    let mut redraw_after = if redraws { retries.next() } else { None };
    if redraws {
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
            () = redraw_again => {
                redraw(control, *sizes.borrow()).await;
                redraw_after = retries.next();
                due = true;
            }
        }
    }
}

/// Sleeps for `time`, or forever without one.
async fn sleep_for(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Makes a program redraw its screen by sending a slightly smaller size. The caller sends the right size next. Returns
/// `false` if no process accepted the size.
pub(crate) async fn redraw(control: &dyn Control, size: Option<TerminalSize>) -> bool {
    let Some(size) = size else { return false };
    let smaller = TerminalSize { rows: size.rows.saturating_sub(1).max(1), ..size };
    matches!(timeout(REDRAW_TIMEOUT, control.resize(smaller)).await, Ok(Ok(())))
}

/// Returns `true` if this size needs no retry.
async fn resize(control: &dyn Control, size: TerminalSize) -> bool {
    matches!(control.resize(size).await, Ok(()) | Err(ConsoleError::Unsupported(_)))
}
