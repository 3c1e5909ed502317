//! Moves bytes between the engine's stream and the session, and asks the engine for sizes and signals.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tracing::warn;
use zun_common::chain;
use zun_common::docker_stream::{Demultiplexer, Stream};

use super::live::{Found, Live};
use crate::engine::Engine;
use crate::session::{Chunk, Control, LARGEST_READ, Session};

/// How long the engine may refuse a size, because the process is just starting.
const SIZE_RETRIES: u32 = 40;
/// The pause between two attempts.
const SIZE_PAUSE: Duration = Duration::from_millis(25);
/// How long a full session waits until it checks for memory that other sessions have given back.
const MEMORY_PAUSE: Duration = Duration::from_millis(100);

/// Reads output until the stream ends.
pub(super) async fn read(
    live: &Live,
    mut stream: OwnedReadHalf,
    early: Bytes,
    tty: bool,
) -> io::Result<()> {
    let mut demultiplexer = Demultiplexer::default();
    let mut buffer = BytesMut::with_capacity(LARGEST_READ);
    buffer.extend_from_slice(&early);
    loop {
        if tty {
            live.change(|session, now| session.output(Stream::Stdout, &buffer, now));
        } else {
            split(live, &mut demultiplexer, &buffer)?;
        }
        buffer.clear();
        live.until(|session, now| {
            if session.wants_output() {
                Found::This(())
            } else {
                Found::Nothing(Some(now + MEMORY_PAUSE))
            }
        })
        .await;
        let limited = &mut (&mut stream).take(LARGEST_READ as u64);
        if limited.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

fn split(live: &Live, demultiplexer: &mut Demultiplexer, bytes: &[u8]) -> io::Result<()> {
    demultiplexer.feed(bytes);
    live.change(|session, now| {
        while let Some(part) = demultiplexer.next_part().map_err(io::Error::other)? {
            session.output(part.stream, &part.data, now);
        }
        Ok(())
    })
}

/// Writes stdin to the engine. Never returns.
pub(super) async fn write(live: &Live, stream: &mut OwnedWriteHalf, stdin_ends: bool) {
    loop {
        let next = live
            .until(|session, _| session.next_input().map_or(Found::Nothing(None), Found::This))
            .await;
        let written = match next.chunk {
            Chunk::Bytes(bytes) => stream.write_all(&bytes).await,
            Chunk::End if stdin_ends => stream.shutdown().await,
            Chunk::End => Ok(()),
        };
        live.change(|session, now| match written {
            Ok(()) => session.wrote(now),
            // The process has ended, or has closed its stdin.
            Err(_) => session.close_input(now),
        });
    }
}

/// Passes sizes and signals to the engine. Never returns.
pub(super) async fn control(live: &Live, engine: &dyn Engine) {
    let mut refused = 0;
    loop {
        let next = live
            .until(|session, _| session.next_control().map_or(Found::Nothing(None), Found::This))
            .await;
        let done = engine.control(live.target(), &next).await;
        match (next, done) {
            (Control::Resize(size), Err(_)) if refused < SIZE_RETRIES => {
                refused += 1;
                tokio::time::sleep(SIZE_PAUSE).await;
                live.change(|session, _| session.retry_size(size));
            }
            (Control::Resize(_), _) => refused = 0,
            (Control::Signal(_), done) => {
                if let Err(error) = done {
                    warn!(target = %live.target(), error = %chain(&error), "a signal was not sent");
                }
                live.change(Session::signalled);
            }
        }
    }
}
