//! Sends typed input, or input from a pipe.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Aside, DETACH_TIMEOUT};
use crate::console::{ConsoleError, Control, Input};
use crate::tty::escape::{EscapeScanner, Leave, Typed};
use crate::tty::keys::Keys;

/// How long a half-typed sequence is held back if no other key follows.
const PARTIAL_SEQUENCE_TIMEOUT: Duration = Duration::from_secs(1);

/// How many reads of typed keys may wait for a stalled connection.
const KEY_QUEUE: usize = 256;

/// Sends the input. Returns only if the user ends the session (see [`Leave`]). Output continues after a pipe or a file
/// ends, and after the process stops reading its input.
pub(super) async fn send_typed(
    keys_and_scanner: (Option<&mut Keys>, Option<&mut EscapeScanner>),
    (input, control): (&mut dyn Input, &dyn Control),
    asides: &mpsc::Sender<Aside>,
) -> Leave {
    match keys_and_scanner {
        (Some(keys), Some(scanner)) => {
            send_from_person((keys, scanner), (input, control), asides).await
        }
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
    (keys, scanner): (&mut Keys, &mut EscapeScanner),
    (input, control): (&mut dyn Input, &dyn Control),
    asides: &mpsc::Sender<Aside>,
) -> Leave {
    let (queue, mut queued) = mpsc::channel::<Vec<u8>>(KEY_QUEUE);
    let (written, all_written) = oneshot::channel::<()>();
    let scan = async {
        while let Some(typed) = next_typed(keys, scanner).await {
            let Typed { send, leave, help } = match typed {
                Some(typed) => scanner.feed(&typed),
                None => Typed { send: scanner.flush(), leave: None, help: false },
            };
            let aside = if help {
                Aside::Help(scanner.help() + &control.about().unwrap_or_default())
            } else {
                Aside::Typed
            };
            // A stalled terminal must not delay the keys.
            asides.try_send(aside).ok();
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
