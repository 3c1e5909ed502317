//! What was sent and is not acknowledged for long means that the peer is gone; but also, where it still
//! answers, that the process does not read its input. The two are told apart by asking the host anew.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stream::Stream;
use crate::console::Link;

/// Watches over writes that take long.
#[derive(Debug)]
pub(super) struct Patience {
    socket: OwnedFd,
    peer: SocketAddr,
    link: Link,
    lifted: bool,
}

impl Patience {
    pub(super) fn with(stream: &Stream, link: Link) -> io::Result<Self> {
        Ok(Self { socket: stream.socket()?, peer: stream.peer()?, link, lifted: false })
    }

    /// When a write counts as one that takes long: well before the kernel gives the connection up.
    pub(super) fn long(&self) -> Duration {
        self.link.patience() / 3
    }

    /// A write takes long: the kernel waits for as long as the host takes new connections.
    pub(super) async fn ask(&mut self) {
        let answered = timeout(self.long(), TcpStream::connect(self.peer)).await;
        self.lift(matches!(answered, Ok(Ok(_))));
    }

    /// It is written.
    pub(super) fn over(&mut self) {
        if self.lifted {
            self.lift(false);
        }
    }

    fn lift(&mut self, lifted: bool) {
        let limit = if lifted { 0 } else { milliseconds(self.link.patience()) };
        // Where it cannot be set, the link is given up later than it could be.
        set_tcp_user_timeout(&self.socket, limit).unwrap_or_default();
        self.lifted = lifted;
    }
}

/// As the kernel takes it.
pub(super) fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
