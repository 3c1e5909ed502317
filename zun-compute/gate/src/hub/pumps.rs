//! Moves bytes between the engine's stream and the session, and asks the engine for sizes and signals.

use std::io;
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};
use tokio::net::UnixStream;
use tracing::{info, warn};
use zun_common::chain;
use zun_common::docker_stream::{Demultiplexer, Stream};
use zun_common::pty::Size;

use super::live::{Found, Live, Watch};
use super::pace::Pace;
use crate::engine::{Engine, Recipients, Signal};
use crate::kept::{Input, Output};
use crate::session::{Chunk, Control, JournalPosition, Session};

/// How many times to retry a size that the engine refuses because the process is still starting.
const SIZE_RETRIES: u32 = 40;
/// The pause between two attempts.
const SIZE_PAUSE: Duration = Duration::from_millis(25);
/// How long the process sees another size, so that it notices the change and draws its screen again.
const OTHER_SIZE: Duration = Duration::from_millis(50);
/// How often a session without free memory checks whether other sessions have freed some.
const MEMORY_PAUSE: Duration = Duration::from_millis(100);

/// The first pause before the signal of a process without clients is tried again, and the longest one.
const SIGNAL_RETRY: [Duration; 2] = [Duration::from_secs(10), Duration::from_mins(10)];
/// How long the gate waits for the end of the output after stdin could not be written: both end with the process.
const OUTPUT_ENDS: Duration = Duration::from_millis(500);

/// Reads output until the stream ends.
pub(super) async fn read(
    live: &Live,
    stream: &UnixStream,
    output: &mut Output,
    tty: bool,
) -> io::Result<()> {
    let mut reader = JournalReader::new(live.read(|session| session.journal_position()), tty);
    loop {
        reader.fill_rings(live, output)?;
        live.until(Watch::Room, |session, now| {
            if session.wants_output() {
                Found::This(())
            } else {
                Found::Nothing(Some(now + MEMORY_PAUSE))
            }
        })
        .await;
        if !output.receive(stream).await? {
            return Ok(());
        }
    }
}

/// Moves output from the journal to the rings.
struct JournalReader {
    /// Without a terminal.
    demultiplexer: Option<Demultiplexer>,
    /// The offset in the journal up to which it was read.
    read: u64,
    buffer: Vec<u8>,
}

impl JournalReader {
    fn new(position: JournalPosition, tty: bool) -> Self {
        let demultiplexer = (!tty).then(|| Demultiplexer::within(position.frame));
        Self { demultiplexer, read: position.offset, buffer: Vec::new() }
    }

    fn fill_rings(&mut self, live: &Live, output: &mut Output) -> io::Result<()> {
        self.buffer.clear();
        output.read(self.read, &mut self.buffer);
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.read += self.buffer.len() as u64;
        let in_rings = live.output(|session, now| {
            let Some(demultiplexer) = &mut self.demultiplexer else {
                session.output(Stream::Stdout, &self.buffer, now);
                session.set_journal_position(JournalPosition { offset: self.read, frame: None });
                return Ok(self.read);
            };
            demultiplexer.feed(&self.buffer);
            while let Some(part) = demultiplexer.next_part().map_err(io::Error::other)? {
                session.output(part.stream, &part.data, now);
            }
            let (unread, frame) = demultiplexer.place();
            let offset = self.read - unread as u64;
            session.set_journal_position(JournalPosition { offset, frame });
            Ok::<_, io::Error>(offset)
        })?;
        output.free(in_rings);
        if live.read(|session| session.screen_lags()) {
            live.screen_lags.notify_one();
        }
        Ok(())
    }
}

/// Writes stdin to the engine. Never returns.
pub(super) async fn write(live: &Live, stream: &UnixStream, input: &mut Input, stdin_ends: bool) {
    if input.flush(stream).await.is_err() {
        tokio::time::sleep(OUTPUT_ENDS).await;
        live.wrote(Session::close_input);
    }
    loop {
        let next = live
            .until(Watch::Input, |session, now| match session.input_due(now) {
                Some(due) => Found::Nothing(Some(due)),
                None => session.next_input().map_or(Found::Nothing(None), Found::This),
            })
            .await;
        let written = match next.chunk {
            Chunk::Bytes(bytes) => input.pass(stream, bytes.len()).await,
            Chunk::End if stdin_ends => shutdown(stream, Shutdown::Write).map_err(Into::into),
            Chunk::End | Chunk::Dropped(_) => Ok(()),
        };
        if written.is_err() {
            // If the process or the engine has ended, the output also ends, which ends this pump.
            tokio::time::sleep(OUTPUT_ENDS).await;
        }
        live.wrote(|session, now| match written {
            Ok(()) => session.wrote(now),
            // The process has closed its stdin.
            Err(_) => session.close_input(now),
        });
    }
}

/// Updates the screen with the output. Never returns.
pub(super) async fn follow_screen(live: &Live, pace: &Pace) {
    loop {
        live.screen_lags.notified().await;
        while live.read(|session| session.screen_lags()) {
            pace.next_step().await;
            live.read(Session::follow_screen);
        }
    }
}

/// Sends a process whose clients are all lost the signal that they asked for. Never returns.
pub(super) async fn act_on_disconnect(live: &Live, engine: &dyn Engine) {
    let [mut pause, longest] = SIGNAL_RETRY;
    loop {
        let name = live
            .until(Watch::Others, |session, now| match session.disconnect_signal(now) {
                Ok(name) => Found::This(name),
                Err(due) => Found::Nothing(due),
            })
            .await;
        let signal = Signal { name, to: Recipients::Group };
        let sent = tokio::select! {
            biased;
            // The engine is asked before the signal is sent. Meanwhile a client may come back, or the process exit.
            () = signal_not_due(live) => continue,
            sent = engine.signal(live.target(), signal) => sent,
        };
        match sent {
            Ok(()) => {
                live.change(|session, _| session.disconnect_signal_sent());
                info!(target = %live.target(), signal = name, "all clients are lost: sent a signal to the process");
            }
            Err(error) => {
                warn!(
                    target = %live.target(), signal = name, error = %chain(&error),
                    "all clients are lost, but the signal could not be sent to the process; trying again in {} seconds",
                    pause.as_secs()
                );
                tokio::time::sleep(pause).await;
                pause = longest.min(pause * 2);
            }
        }
    }
}

async fn signal_not_due(live: &Live) {
    live.until(Watch::Others, |session, now| match session.disconnect_signal(now) {
        Ok(_) => Found::Nothing(None),
        Err(_) => Found::This(()),
    })
    .await;
}

/// Passes sizes and signals to the engine. Never returns.
pub(super) async fn control(live: &Live, engine: &dyn Engine) {
    let mut refused = 0;
    loop {
        let next = live
            .until(Watch::Others, |session, now| {
                session.next_control(now).map_or(Found::Nothing(None), Found::This)
            })
            .await;
        match next {
            Control::Redraw(size) => {
                // Queued first, so that the terminal gets its own size again even if the gate ends in between.
                live.change(|session, _| session.retry_size(size));
                let smaller = Size { height: size.height.saturating_sub(1).max(1), ..size };
                if engine.resize(live.target(), smaller).await.is_ok() {
                    tokio::time::sleep(OTHER_SIZE).await;
                }
            }
            Control::Resize(size) => {
                let done = engine.resize(live.target(), size).await;
                live.change(|session, _| session.redrawn());
                if done.is_err() && refused < SIZE_RETRIES {
                    refused += 1;
                    tokio::time::sleep(SIZE_PAUSE).await;
                    live.change(|session, _| session.retry_size(size));
                    continue;
                }
                refused = 0;
                if done.is_ok() {
                    live.change(|session, _| session.resized(size));
                }
            }
            Control::Signal(name) => {
                live.change(|session, _| session.signalling());
                let signal = Signal { name: &name, to: Recipients::Process };
                if let Err(error) = engine.signal(live.target(), signal).await {
                    warn!(target = %live.target(), error = %chain(&error), "cannot send a signal to the process");
                }
                live.change(Session::signalled);
            }
        }
    }
}
