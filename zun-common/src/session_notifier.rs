//! Sends the agent the session events of `zun-authz` and the console gate.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use crate::grant::SessionEvent;

/// Sends session events to the agent, best effort: it never blocks.
#[derive(Debug)]
pub struct SessionNotifier {
    socket: UnixDatagram,
    /// The agent's socket. Each event is sent to the path, because the agent may have restarted and bound it again.
    agent: PathBuf,
}

impl SessionNotifier {
    /// Creates a notifier for the agent's socket, which need not exist yet.
    pub fn to(agent: PathBuf) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, agent })
    }

    /// Sends one event. Fails if the agent does not listen or its buffer is full.
    pub fn send(&self, event: &SessionEvent) -> io::Result<()> {
        self.socket.send_to(&serde_json::to_vec(event)?, &self.agent).map(drop)
    }
}
