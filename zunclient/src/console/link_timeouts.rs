//! The timeouts of a link to a host.

use std::time::Duration;

/// The timeouts of a link. The defaults keep an idle session open behind a proxy that closes idle connections after a
/// minute, and detect within 15 seconds that the peer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkTimeouts {
    /// How long a connection may take to open.
    pub connect: Duration,
    /// How long TLS may take.
    pub handshake: Duration,
    /// How often a keepalive goes both ways. On a WebSocket it never stops; on any other connection it stops after
    /// thirty times without output.
    pub keepalive: Duration,
    /// How long the peer may be silent before the kernel probes it.
    pub probe_after: Duration,
    /// How long the peer may then stay silent.
    pub give_up_after: Duration,
}

impl Default for LinkTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            keepalive: Duration::from_secs(40),
            probe_after: Duration::from_secs(4),
            give_up_after: Duration::from_secs(6),
        }
    }
}

impl LinkTimeouts {
    /// Returns how long data may stay unacknowledged before the link counts as lost.
    pub fn peer_timeout(&self) -> Duration {
        self.probe_after + self.give_up_after
    }
}
