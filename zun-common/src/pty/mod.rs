//! `zun.pty.v1`: the protocol between a client and a host's console gate.
//!
//! A session is one websocket with a terminal, or with the three standard streams of a process. It outlives its
//! connections: a client that lost one opens another, and both sides continue where they were.
//!
//! ```text
//!  GET /pty/v1/containers/ID   or   GET /pty/v1/execs/ID
//!  Sec-WebSocket-Protocol: zun.pty.v1, zun.hello.<base64url of ClientHello>
//!                                                         101, Sec-WebSocket-Protocol: zun.pty.v1
//!                                                         16 hello (ServerHello)
//!                                                         [21 gap] [22 snapshot] 1 stdout … 2 stderr …
//!  0 stdin … [255,0] end of stdin                         17 ack of stdin, once it is written to the engine
//!  17 ack of stdout, once it is shown
//!  4 resize, 18 signal
//!                                                         3 status (Ending), then Close 1000
//! ```
//!
//! Each binary message is a channel and a payload ([`Frame`]). Channels 0 to 4 and 255 are those of Kubernetes'
//! `v5.channel.k8s.io`. A receiver ignores channels that it does not know.
//!
//! **Offsets.** Channels 0, 1 and 2 have no offsets in their messages. Each is a stream of bytes that are counted from
//! the first byte of the attachment's stdin, and from the first byte of the run for stdout and stderr. The hello says
//! at which offset a connection continues each stream.
//!
//! **Screens.** A client that asks for [`Replay::Screen`], or that has fallen behind on a terminal, gets a snapshot (22):
//! it clears its terminal, gives it the snapshot's size, and writes what the snapshot contains.
//!
//! **Viewers.** Several clients can be connected to one process. Events (20, [`SessionEvent`]) say who joins and leaves,
//! and whose size the terminal has: that of the client that typed last.
//!
//! **Resuming.** A client that lost its connection sends [`Resume`] with the offsets of what it has received. The gate
//! closes the former connection first ([`close::REPLACED`]), and then reports in its hello how much stdin it has
//! accepted. So no byte is lost, and none is repeated. The TLS client certificate must have the key of the first
//! connection. It may have expired.

//!
//! **Tickets.** A client without a certificate, such as a browser, has a [`Ticket`] instead, and dials another server
//! name of the gate: `GET /v1/console` with a third subprotocol, `zun.ticket.TICKET`. It resumes its session with the same
//! ticket, also after the ticket was used up or has expired.

//!
//! **Files.** A client whose ticket allows it copies files while it has a session: `HEAD`, `GET` or `PUT` of
//! `/v1/console/archive` with the query of [`ArchiveCall`](crate::grant::ArchiveCall), and
//! `Authorization: Zun-Session TICKET.SESSION.TOKEN`. Bodies are tar streams. Errors are sentences in plain text.

mod ending;
mod event;
mod frame;
mod hello;
pub mod ticket;

pub use ending::{Ending, EndingReason, ProcessEnd};
pub use event::{MOST_NAMED, NOBODY, SessionEvent, Viewer, ViewerMode};
pub use frame::{Channel, Frame, InvalidFrame, MAXIMUM_FRAME, Size, Stream};
pub use hello::{
    ClientHello, DisconnectSignal, InvalidHello, LONGEST_GRACE, OnDisconnect, Replay, Resume,
    SHORTEST_GRACE, ServerHello, SessionKind,
};
pub use ticket::{ARCHIVE_PATH, InvalidTicket, TICKET_PATH, Ticket};

/// The subprotocol's name in `Sec-WebSocket-Protocol`, and the console protocol's name in the API.
pub const PROTOCOL: &str = "zun.pty.v1";

/// Returns the path of a container's console at the gate. `id` is the engine's.
pub fn container_path(id: &str) -> String {
    format!("/pty/v1/containers/{id}")
}

/// Returns the path of an exec's console at the gate. `id` is the engine's.
pub fn exec_path(id: &str) -> String {
    format!("/pty/v1/execs/{id}")
}

/// The number of bytes of stdin that a client may send before they are acknowledged. The client stops reading its
/// input then.
pub const STDIN_WINDOW: u64 = 256 << 10;

/// Codes with which a gate closes the websocket.
pub mod close {
    /// The session has ended. Channel 3 has said how.
    pub const NORMAL: u16 = 1000;
    /// The client ends and will not reconnect, but its user has not detached.
    pub const GOING_AWAY: u16 = 1001;
    /// A message breaks the protocol. Resuming does not help.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// The gate restarts: resume at once.
    pub const RESTARTING: u16 = 1012;
    /// A limit of the host is reached: try later.
    pub const TRY_LATER: u16 = 1013;
    /// The client's right to the session was revoked.
    pub const REVOKED: u16 = 4403;
    /// The session, or its resume token, is not known, or it was not resumed in time.
    pub const UNKNOWN_SESSION: u16 = 4404;
    /// The session must be recorded, and cannot be: try later.
    pub const NOT_RECORDED: u16 = 4410;
    /// Another connection has resumed this session.
    pub const REPLACED: u16 = 4409;
    /// The client read output too slowly, or missed too much of it.
    pub const TOO_SLOW: u16 = 4408;
}
