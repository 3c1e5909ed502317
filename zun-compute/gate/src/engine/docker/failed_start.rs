//! The start of an exec. If Docker cannot start it, it has accepted the request, and writes the reason to the stream as
//! if it were output.

use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};
use zun_common::docker_errors::{NO_REASON, exit_code_of_exec, user_message};
use zun_common::docker_stream::Demultiplexer;

use super::super::{EngineError, Exit, Start, Target};
use super::Docker;
use super::answers::ExecAnswer;

/// The pause before the first inspection of an exec that is starting, and the pauses after that. Docker takes about as
/// long as the first pause, and each inspection slows the start.
const FIRST_POLL: Duration = Duration::from_millis(50);
const POLL: Duration = Duration::from_millis(20);
/// The time until the next inspection of an exec that has printed something, or has ended.
const SOON: Duration = Duration::from_millis(1);
/// How long a start may take until the exec counts as started.
const START: Duration = Duration::from_secs(15);
/// The longest reason, in bytes.
const LONGEST_REASON: usize = 16 << 10;
/// How long to wait for the reason.
const REASON: Duration = Duration::from_secs(2);

impl Docker {
    /// Waits until an exec has started. If it cannot start, peeks the reason from the stream without consuming it.
    pub(super) async fn failed_start(
        &self,
        target: &Target,
        stream: &UnixStream,
        (early, tty): (&[u8], bool),
    ) -> Result<Start, EngineError> {
        let (begun, mut pause) = (Instant::now(), FIRST_POLL);
        while begun.elapsed() < START {
            // Output, or the end of the stream, shows that it has started.
            if timeout(pause, stream.readable()).await.is_ok() {
                sleep(SOON).await;
            }
            pause = POLL;
            match self.inspect_exec(target).await {
                Ok(ExecAnswer { pid, running: false, exit_code: Some(code), .. }) if pid > 0 => {
                    return Ok(Start::Ended(Exit::with_code(code)));
                }
                Ok(ExecAnswer { pid, .. }) if pid > 0 => {
                    return Ok(Start::Running { pid: Some(pid) });
                }
                Ok(ExecAnswer { running: false, exit_code: Some(_), .. }) => {
                    return Ok(Start::Failed(failed(&reason(stream, early, tty).await)));
                }
                Ok(ExecAnswer { .. }) => {}
                Err(gone @ EngineError::NotFound(_)) => return Err(gone),
                // Docker may be restarting, or busy with the start.
                Err(_) => sleep(POLL).await,
            }
        }
        Ok(Start::Running { pid: None })
    }
}

fn failed(text: &str) -> Exit {
    let message = user_message(text);
    let reason = if message.is_empty() { NO_REASON.to_owned() } else { message };
    let code = exit_code_of_exec(&reason);
    Exit { failed_start: Some(reason), ..Exit::with_code(code) }
}

/// Peeks the rest of the stream. The result lacks what does not arrive in time.
async fn reason(stream: &UnixStream, early: &[u8], tty: bool) -> String {
    let mut buffer = vec![0; LONGEST_REASON];
    let deadline = Instant::now() + REASON;
    let mut seen = 0;
    while Instant::now() < deadline && seen < buffer.len() {
        // The end is checked first, so that no output is missed.
        let ready = timeout(REASON, stream.ready(Interest::READABLE)).await;
        let is_closed = matches!(ready, Ok(Ok(ready)) if ready.is_read_closed());
        seen = recv(stream, &mut *buffer, RecvFlags::PEEK | RecvFlags::DONTWAIT)
            .map_or(seen, |(_, length)| length);
        if is_closed {
            break;
        }
        sleep(SOON).await;
    }
    let mut text = [early, buffer.get(..seen).unwrap_or_default()].concat();
    if !tty {
        let mut demultiplexer = Demultiplexer::default();
        demultiplexer.feed(&text);
        text.clear();
        while let Ok(Some(part)) = demultiplexer.next_part() {
            text.extend_from_slice(&part.data);
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}
