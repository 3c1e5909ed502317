//! How a link to a host is kept alive, and when it is given up.

use std::time::Duration;

/// The times of a link. The usual ones keep a quiet session alive behind whatever cuts after a minute, and
/// notice within 15 seconds that the peer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkTimeouts {
    /// How long a connection may take to open.
    pub connect: Duration,
    /// How long TLS may take.
    pub handshake: Duration,
    /// How often something goes both ways, so that nothing between takes a quiet session for a dead one. A
    /// terminal's goes on for ever; where there is no terminal it ends after thirty times without output.
    pub keepalive: Duration,
    /// How long a peer may be silent before it is probed.
    pub probe_after: Duration,
    /// How long it may then go on being silent; also how long what was sent may go unacknowledged.
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
    /// How long after its last sign a peer is taken for gone.
    pub fn peer_timeout(&self) -> Duration {
        self.probe_after + self.give_up_after
    }
}
