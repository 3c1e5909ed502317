//! Distinguishes a lost host from a process that does not read its input. In both cases sent data stays
//! unacknowledged, so zun tries to open a new connection to the host.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::time::timeout;

use super::address::Address;
use super::dial::Dialer;
use super::stream::Stream;

/// Watches slow writes, and suspends the kernel's timeout while the host is still reachable.
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

    /// Runs a write, and probes the host while it takes long.
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

    /// Restores the timeout after a write.
    pub(super) fn write_finished(&mut self) {
        if self.suspended {
            self.suspend_timeout(false);
        }
    }

    /// Returns how long a write may take before it counts as slow. This is well below the kernel's timeout.
    pub(super) fn slow_after(&self) -> Duration {
        self.dialer.link().peer_timeout() / 3
    }

    /// Suspends the kernel's timeout if the host accepts a new connection, and restores it if not.
    pub(super) async fn probe(&mut self) {
        let answered = timeout(self.slow_after(), self.dialer.can_connect(&self.host)).await;
        self.suspend_timeout(answered == Ok(true));
    }

    fn suspend_timeout(&mut self, suspended: bool) {
        let limit = if suspended { 0 } else { milliseconds(self.dialer.link().peer_timeout()) };
        // If this fails, a lost link is only detected later.
        set_tcp_user_timeout(&self.socket, limit).unwrap_or_default();
        self.suspended = suspended;
    }
}

/// Converts a duration to milliseconds, as the kernel expects.
pub(super) fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
