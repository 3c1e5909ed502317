//! The start of an exec. If Docker cannot start it, it has accepted the request, and writes the reason to the stream as
//! if it were output.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};
use zun_common::docker_errors::{NO_REASON, exit_code_of_exec, user_message};
use zun_common::docker_stream::Demultiplexer;

use super::super::{EngineError, Exit, Target};
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
const LONGEST_REASON: u64 = 16 << 10;
/// How long the reason may take.
const REASON: Duration = Duration::from_secs(2);

/// How a start went.
pub(super) enum Start {
    /// Docker could not start it.
    Failed(Exit),
    /// It runs, or nothing is known of it yet.
    Running {
        /// Its number on the host.
        pid: Option<i32>,
    },
    /// It has run.
    Ended {
        /// Its number on the host.
        pid: i32,
        /// How it ended.
        exit: Exit,
    },
}

impl Docker {
    /// Waits until an exec has been started. If it cannot be, takes the reason from the stream.
    pub(super) async fn failed_start(
        &self,
        target: &Target,
        stream: &mut UnixStream,
        (early, tty): (&Bytes, bool),
    ) -> Result<Start, EngineError> {
        let (begun, mut pause) = (Instant::now(), FIRST_POLL);
        while begun.elapsed() < START {
            // What it prints, and its end, are signs of a start.
            if timeout(pause, stream.readable()).await.is_ok() {
                sleep(SOON).await;
            }
            pause = POLL;
            match self.inspect_exec(target).await? {
                ExecAnswer { pid, running: false, exit_code: Some(code), .. } if pid > 0 => {
                    return Ok(Start::Ended { pid, exit: Exit::with_code(code) });
                }
                ExecAnswer { pid, .. } if pid > 0 => return Ok(Start::Running { pid: Some(pid) }),
                ExecAnswer { running: false, exit_code: Some(_), .. } => {
                    return Ok(Start::Failed(failed(&reason(stream, early, tty).await)));
                }
                ExecAnswer { .. } => {}
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

/// Reads the rest of the stream. What cannot be read is missing.
async fn reason(stream: &mut UnixStream, early: &Bytes, tty: bool) -> String {
    let mut text = early.to_vec();
    let mut limited = stream.take(LONGEST_REASON);
    drop(timeout(REASON, limited.read_to_end(&mut text)).await);
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
