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
const MAX_KEEPALIVES: u32 = 30;

/// A connection to a host.
#[derive(Debug)]
pub struct Stream {
    tls: TlsStream<TcpStream>,
    keepalive: Interval,
    /// Beats since something was said. There are none before that: answers to them could come behind the first
    /// words, where our own TLS counts them anew.
    keepalives: Option<u32>,
    /// A beat waits to be sent.
    due: bool,
    /// Whoever writes waits for room. Then something is under way anyhow, and its waker must stay.
    write_blocked: bool,
}

impl Stream {
    /// Beats so often.
    pub(super) fn new(tls: TlsStream<TcpStream>, every: Duration) -> Self {
        let mut keepalive = interval_at(Instant::now() + every, every);
        keepalive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { tls, keepalive, keepalives: None, due: false, write_blocked: false }
    }

    /// Another handle of its socket.
    pub(super) fn socket(&self) -> io::Result<OwnedFd> {
        self.tls.get_ref().0.as_fd().try_clone_to_owned()
    }

    fn poll_keepalive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(keepalives) = &mut self.keepalives else { return Poll::Ready(Ok(())) };
        while self.keepalive.poll_tick(context).is_ready() {
            // Before TLS 1.3 there is no such update, and no beat.
            if *keepalives < MAX_KEEPALIVES && self.tls.get_mut().1.refresh_traffic_keys().is_ok() {
                *keepalives += 1;
                self.due = true;
            }
        }
        if self.due && !self.write_blocked {
            ready!(Pin::new(&mut self.tls).poll_flush(context))?;
            self.due = false;
        }
        Poll::Ready(Ok(()))
    }

    fn track_write<T>(&mut self, outcome: Poll<T>) -> Poll<T> {
        self.write_blocked = outcome.is_pending();
        outcome
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(Err(broken)) = self.poll_keepalive(context) {
            return Poll::Ready(Err(broken));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.tls).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.keepalives = Some(0);
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
        self.track_write(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.tls).poll_flush(context);
        self.track_write(outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.tls).poll_shutdown(context);
        self.track_write(outcome)
    }
}
