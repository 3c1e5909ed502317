//! Handles the signals that zun receives during a session: forwards them to the container's process, or ends zun.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::console::Control;
use crate::relay::{Ended, Remote, SignalRouting};
use crate::tty::raw::RawMode;
use crate::tty::signals::{Caught, Number, Signals, stop_process};

/// How long forwarding a signal may take. After that the signal ends zun itself.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How many SIGINT or SIGTERM signals end zun even if it forwards them, as with docker. The process may ignore them.
pub(crate) const SIGNALS_TO_LEAVE: u32 = 3;

/// How many signals may wait until earlier ones are forwarded.
const QUEUED_SIGNALS: usize = 16;

/// Handles signals until one ends zun. With `ToProcess` that is the third SIGINT or SIGTERM, even if zun is still
/// forwarding the earlier ones, or a signal that zun cannot forward.
pub(crate) async fn handle_signals(
    signals: &mut Signals,
    signal_routing: SignalRouting,
    to: (&dyn Control, &dyn Remote),
    raw: Option<&RawMode>,
) -> Ended {
    let (queue, queued) = mpsc::channel(QUEUED_SIGNALS);
    let listen = async {
        let mut interrupts = 0;
        loop {
            let number = match (signals.next().await, signal_routing) {
                (Caught::Terminate(number), SignalRouting::ToClient) => {
                    return Ended::Signal(number);
                }
                (Caught::Suspend, _) => {
                    suspend(raw);
                    continue;
                }
                (Caught::User(_), SignalRouting::ToClient) => continue,
                (Caught::Terminate(number) | Caught::User(number), SignalRouting::ToProcess) => {
                    number
                }
            };
            interrupts += u32::from(number.interrupts());
            if interrupts >= SIGNALS_TO_LEAVE {
                return Ended::ForcedOut(number);
            }
            // If the queue is full, one signal more changes nothing.
            queue.try_send(number).ok();
        }
    };
    tokio::select! {
        biased;
        ended = listen => ended,
        number = forward(queued, to) => Ended::Signal(number),
    }
}

/// Forwards signals in order. Returns the first that cannot be forwarded.
async fn forward(
    mut queued: mpsc::Receiver<Number>,
    (control, remote): (&dyn Control, &dyn Remote),
) -> Number {
    while let Some(number) = queued.recv().await {
        let pass = async {
            match control.signal(number.name()).await {
                Ok(()) => true,
                Err(_console_cannot) => remote.signal(number.name()).await,
            }
        };
        if timeout(SIGNAL_TIMEOUT, pass).await != Ok(true) {
            return number;
        }
    }
    std::future::pending().await
}

fn suspend(raw: Option<&RawMode>) {
    let Some(raw) = raw else { return };
    // Errors are ignored: if the terminal can no longer be set, there is nothing to restore.
    drop(raw.suspend());
    drop(stop_process());
    drop(raw.resume());
}
