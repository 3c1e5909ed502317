//! How a link to a host is kept alive, and when it is given up.

use std::time::Duration;

/// The times of a link. The usual ones keep a quiet session alive behind whatever cuts after a minute, and
/// notice within 15 seconds that the peer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// How long a connection may take to open.
    pub connect: Duration,
    /// How long TLS may take.
    pub handshake: Duration,
    /// How often something goes both ways, so that nothing between takes a quiet session for a dead one. A
    /// terminal's goes on for ever; where there is no terminal it ends after thirty times without output.
    pub beat: Duration,
    /// How long a peer may be silent before it is probed.
    pub idle: Duration,
    /// How long it may then go on being silent; also how long what was sent may go unacknowledged.
    pub silence: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            beat: Duration::from_secs(40),
            idle: Duration::from_secs(4),
            silence: Duration::from_secs(6),
        }
    }
}

impl Link {
    /// How long after its last sign a peer is taken for gone.
    pub fn patience(&self) -> Duration {
        self.idle + self.silence
    }
}
