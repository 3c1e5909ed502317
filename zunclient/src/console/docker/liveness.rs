//! What was sent and is not acknowledged for long means that the peer is gone; but also, where it still
//! answers, that the process does not read its input. The two are told apart by asking the host anew.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::time::timeout;

use super::address::Address;
use super::dial::Dialer;
use super::stream::Stream;

/// Watches over writes that take long.
pub(in crate::console) struct LivenessProbe {
    socket: OwnedFd,
    dialer: Dialer,
    host: Address,
    suspended: bool,
}

impl LivenessProbe {
    pub(in crate::console) fn new(
        stream: &Stream,
        dialer: &Dialer,
        host: &Address,
    ) -> io::Result<Self> {
        let (dialer, host) = (dialer.clone(), host.clone());
        Ok(Self { socket: stream.socket()?, dialer, host, suspended: false })
    }

    /// Writes, for as long as the process does not read and its host is there.
    pub(in crate::console) async fn while_writing<T>(
        &mut self,
        writing: impl Future<Output = T>,
    ) -> T {
        tokio::pin!(writing);
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut writing => break outcome,
                () = tokio::time::sleep(self.slow_after()) => self.probe().await,
            }
        };
        self.write_finished();
        outcome
    }

    /// It is written.
    pub(super) fn write_finished(&mut self) {
        if self.suspended {
            self.suspend_timeout(false);
        }
    }

    /// When a write counts as one that takes long: well before the kernel gives the connection up.
    pub(super) fn slow_after(&self) -> Duration {
        self.dialer.link().peer_timeout() / 3
    }

    /// A write takes long: the kernel waits for as long as the host takes new connections, on the same way.
    pub(super) async fn probe(&mut self) {
        let answered = timeout(self.slow_after(), self.dialer.can_connect(&self.host)).await;
        self.suspend_timeout(answered == Ok(true));
    }

    fn suspend_timeout(&mut self, suspended: bool) {
        let limit = if suspended { 0 } else { milliseconds(self.dialer.link().peer_timeout()) };
        // Where it cannot be set, the link is given up later than it could be.
        set_tcp_user_timeout(&self.socket, limit).unwrap_or_default();
        self.suspended = suspended;
    }
}

/// As the kernel takes it.
pub(super) fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
