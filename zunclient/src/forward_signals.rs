//! Signals that this process receives during a session: forwarded to the process in the container, or for zun itself.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::console::Control;
use crate::relay::{Ended, Remote, SignalRouting};
use crate::tty::raw::RawMode;
use crate::tty::signals::{Caught, Number, Signals, stop_process};

/// How long forwarding a signal may take. After that the signal ends zun itself.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How many SIGINT or SIGTERM end the session itself, as with docker. The process may ignore them.
pub(crate) const SIGNALS_TO_LEAVE: u32 = 3;

/// How many signals may wait until earlier ones are forwarded.
const QUEUED_SIGNALS: usize = 16;

/// Forwards signals to the process, or returns if one ends the session. The third SIGINT or SIGTERM always ends it,
/// even while earlier ones are still being forwarded, because a process may ignore them.
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
                    stop(raw);
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
            // If so many wait, one more would change nothing.
            queue.try_send(number).ok();
        }
    };
    tokio::select! {
        biased;
        ended = listen => ended,
        number = pass_on(queued, to) => Ended::Signal(number),
    }
}

/// Passes signals on, one after the other, until one cannot be.
async fn pass_on(
    mut queued: mpsc::Receiver<Number>,
    (control, remote): (&dyn Control, &dyn Remote),
) -> Number {
    while let Some(number) = queued.recv().await {
        let pass = async {
            match control.signal(number.name()).await {
                Ok(()) => true,
                Err(_not_by_the_console) => remote.signal(number.name()).await,
            }
        };
        if timeout(SIGNAL_TIMEOUT, pass).await != Ok(true) {
            return number;
        }
    }
    std::future::pending().await
}

fn stop(raw: Option<&RawMode>) {
    let Some(raw) = raw else { return };
    // Where the terminal cannot be set any more, there is nothing left to restore.
    drop(raw.suspend());
    drop(stop_process());
    drop(raw.resume());
}
