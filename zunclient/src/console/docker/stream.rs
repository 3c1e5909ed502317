//! A TLS stream that beats: while it is read, something goes both ways from time to time, so that nothing
//! on the way takes a quiet session for a dead one. A beat is an update of TLS's own keys, which the peer
//! answers: it is no byte of the session, and means nothing to the process. TLS takes a peer for hostile
//! that updates its keys all the time and says nothing, so the beats end when nothing was said for long.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_rustls::client::TlsStream;

/// How many beats there are between two pieces of output. Our own TLS takes 32 answers, and no more.
const BEATS: u32 = 30;

/// A connection to a host.
#[derive(Debug)]
pub struct Stream {
    tls: TlsStream<TcpStream>,
    beat: Interval,
    /// Beats since something was said. There are none before that: answers to them could come behind the first
    /// words, where our own TLS counts them anew.
    beats: Option<u32>,
    /// A beat waits to be sent.
    due: bool,
    /// Whoever writes waits for room. Then something is under way anyhow, and its waker must stay.
    full: bool,
}

impl Stream {
    /// Beats so often.
    pub(super) fn new(tls: TlsStream<TcpStream>, every: Duration) -> Self {
        let mut beat = interval_at(Instant::now() + every, every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { tls, beat, beats: None, due: false, full: false }
    }

    /// Another handle of its socket.
    pub(super) fn socket(&self) -> io::Result<OwnedFd> {
        self.tls.get_ref().0.as_fd().try_clone_to_owned()
    }

    fn poll_beat(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(beats) = &mut self.beats else { return Poll::Ready(Ok(())) };
        while self.beat.poll_tick(context).is_ready() {
            // Before TLS 1.3 there is no such update, and no beat.
            if *beats < BEATS && self.tls.get_mut().1.refresh_traffic_keys().is_ok() {
                *beats += 1;
                self.due = true;
            }
        }
        if self.due && !self.full {
            ready!(Pin::new(&mut self.tls).poll_flush(context))?;
            self.due = false;
        }
        Poll::Ready(Ok(()))
    }

    fn note<T>(&mut self, outcome: Poll<T>) -> Poll<T> {
        self.full = outcome.is_pending();
        outcome
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(Err(broken)) = self.poll_beat(context) {
            return Poll::Ready(Err(broken));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.tls).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.beats = Some(0);
        }
        outcome
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.tls).poll_write(context, bytes);
        self.note(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.tls).poll_flush(context);
        self.note(outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.tls).poll_shutdown(context);
        self.note(outcome)
    }
}
