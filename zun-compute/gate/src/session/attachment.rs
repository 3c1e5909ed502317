//! One client's session: its identity, its place in the output, and how much of its input was accepted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use zun_common::id::EngineId;
use zun_common::pty::{SessionEvent, Size};

use super::token::KeyHash;
use super::{ConnectionId, Session};
use crate::replies::ReplyFilter;

/// How long an acknowledgement of stdin may wait for output that goes with it.
const ACK_DELAY: Duration = Duration::from_millis(20);
/// How much unacknowledged stdin is acknowledged at once.
const ACK_SIZE: u64 = 16 << 10;

/// An attachment.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(super) struct Attachment {
    /// Its public ID.
    pub(super) name: String,
    pub(super) token: KeyHash,
    pub(super) key: KeyHash,
    /// The ID of the grant that opened it.
    pub(super) grant: String,
    /// When it was opened.
    pub(super) since: Instant,
    /// Whether its grant allows input. It sets the terminal's size, and holds back the output of a process without a
    /// terminal, also if the client sends no input.
    pub(super) may_write: bool,
    /// The container whose files the client may copy.
    pub(super) files: Option<EngineId>,
    /// Whether the client sends input.
    pub(super) writes: bool,
    /// Whether its client was ever sent a hello, so that it may know the session.
    pub(super) hello_sent: bool,
    /// Whether its client has ever sent a message, which proves that it knows the session.
    pub(super) confirmed: bool,
    /// The connection that counts.
    pub(super) connection: Option<ConnectionId>,
    /// When the last connection was lost.
    pub(super) lost_at: Option<Instant>,
    /// How many bytes may be sent before they are acknowledged.
    pub(super) window: u64,
    pub(super) stdout: Cursor,
    pub(super) stderr: Cursor,
    pub(super) screen: ScreenState,
    /// Since when output waits to be sent.
    pub(super) pending_since: Option<Instant>,
    /// The offset whose acknowledgement delay is measured, and when it was sent.
    pub(super) awaited: Option<(u64, Instant)>,
    pub(super) stdin: Stdin,
    /// Finds the replies of its terminal.
    pub(super) replies: ReplyFilter,
    /// The size of its terminal.
    pub(super) size: Option<Size>,
    /// When it typed last, as a number that grows with each writer that types. 0 if it never typed.
    pub(super) typed: u64,
    pub(super) signals: Signals,
    /// Events that its client has not received.
    pub(super) events: VecDeque<SessionEvent>,
    /// Whether stderr has its turn.
    pub(super) stderr_next: bool,
    /// Whether the ending was sent on the current connection.
    pub(super) status_sent: bool,
}

/// A place in an output stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    /// The offset of the next byte to send.
    pub(super) sent: u64,
    /// The client has everything before this offset.
    pub(super) acknowledged: u64,
}

/// What the client has of the terminal's screen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ScreenState {
    /// The client gets the screen before further output.
    pub(super) is_due: bool,
    /// The offset at which it was drawn last.
    pub(super) drawn_at: Option<u64>,
}

/// How much of the client's stdin was accepted.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(super) struct Stdin {
    /// The offset of the next byte from the client.
    pub(super) received: u64,
    /// Everything before this offset was written to the engine.
    pub(super) written: u64,
    pub(super) acknowledged: u64,
    /// The client has ended its stdin.
    pub(super) ended: bool,
    /// The end was passed to the engine.
    pub(super) end_written: bool,
    pub(super) end_acknowledged: bool,
    /// The latest time at which acknowledgements are sent, including those of signals.
    pub(super) ack_due: Option<Instant>,
    /// Repeat the acknowledgements of a lost connection.
    pub(super) repeat_ack: bool,
}

/// The client's signals, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
}

/// An attachment that has left, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The attachment's ID.
    pub session: String,
    /// The ID of the grant that opened it.
    pub grant: String,
    /// Why it left.
    pub reason: &'static str,
    /// How many bytes of stdin were accepted.
    pub stdin: u64,
    /// How far stdout was sent.
    pub stdout: u64,
    /// How far stderr was sent.
    pub stderr: u64,
}

impl Cursor {
    pub(super) const fn at(offset: u64) -> Self {
        Self { sent: offset, acknowledged: offset }
    }

    pub(super) const fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.acknowledged)
    }

    /// The client has everything before the offset. Returns whether it can have.
    pub(super) fn acknowledge(&mut self, offset: u64) -> bool {
        self.acknowledged = self.acknowledged.max(offset.min(self.sent));
        offset <= self.sent
    }
}

impl Attachment {
    /// Its connection is gone.
    pub(super) const fn lost(&mut self, now: Instant) {
        self.connection = None;
        self.lost_at = Some(now);
    }

    pub(super) fn departure(self, reason: &'static str) -> Departure {
        Departure {
            session: self.name,
            grant: self.grant,
            reason,
            stdin: self.stdin.written,
            stdout: self.stdout.sent,
            stderr: self.stderr.sent,
        }
    }
}

impl Stdin {
    /// The engine has accepted these bytes.
    pub(super) fn wrote(&mut self, length: u64, now: Instant) {
        self.written += length;
        let due = if self.written - self.acknowledged >= ACK_SIZE { now } else { now + ACK_DELAY };
        self.ack_due = Some(self.ack_due.map_or(due, |former| former.min(due)));
    }

    /// The engine has accepted the end.
    pub(super) const fn wrote_end(&mut self, now: Instant) {
        self.end_written = true;
        self.ack_due = Some(now);
    }
}

impl Session {
    /// Ends stdin of a process without a terminal if no client can write to it any longer.
    pub(super) fn end_stdin_without_writers(&mut self) {
        let writers = self.attachments.values().any(|attachment| attachment.writes);
        if !writers && !self.process.tty {
            self.input.end(None);
        }
    }
}
