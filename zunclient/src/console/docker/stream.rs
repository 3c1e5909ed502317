//! A TLS stream with keepalives, so that proxies do not close an idle session. A keepalive is a TLS 1.3 key update that
//! the peer answers, so it adds no bytes to the session. rustls closes a connection with too many key updates and no
//! data, so the keepalives stop after a long time without output.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_rustls::client::TlsStream;

/// The most keepalives between two pieces of output. rustls accepts at most 32 key updates without data.
const MAX_KEEPALIVES: u32 = 30;

/// A connection to a host.
#[derive(Debug)]
pub struct Stream {
    tls: TlsStream<TcpStream>,
    keepalive: Interval,
    /// How many keepalives were sent since the host last sent data, such as HTTP headers or output. `None` until the
    /// host has sent some. Until then zun sends no keepalives: the answer to an early keepalive could arrive after the
    /// first data, and rustls would count it, but this field would not.
    keepalives: Option<u32>,
    /// A keepalive still has to be flushed.
    due: bool,
    /// A write is blocked. It already keeps the link active, and a flush here would replace its waker.
    write_blocked: bool,
}

impl Stream {
    /// Creates it, with a keepalive after each `every`.
    pub(super) fn new(tls: TlsStream<TcpStream>, every: Duration) -> Self {
        let mut keepalive = interval_at(Instant::now() + every, every);
        keepalive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { tls, keepalive, keepalives: None, due: false, write_blocked: false }
    }

    /// Returns a duplicate of the socket's file descriptor.
    pub(super) fn socket(&self) -> io::Result<OwnedFd> {
        self.tls.get_ref().0.as_fd().try_clone_to_owned()
    }

    fn poll_keepalive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(keepalives) = &mut self.keepalives else { return Poll::Ready(Ok(())) };
        while self.keepalive.poll_tick(context).is_ready() {
            // TLS 1.2 has no key updates, so it gets no keepalives.
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
