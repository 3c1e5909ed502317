//! One run of a process with all its viewers, as a state machine without I/O.
//!
//! ```text
//!  clients ── receive ──> input queue ── next_input ──> engine's stream
//!     ^                                                     │
//!     └─ next ── a cursor for each attachment ── rings <── output
//! ```
//! An *attachment* is one client's session. It outlives its connections. A *connection* is one websocket. Only the
//! newest connection of an attachment counts: what an older one still delivers is dropped.

mod access;
mod attachment;
mod controls;
mod ending;
mod input;
mod join;
mod on_disconnect;
mod output;
mod places;
mod record;
mod recorder;
mod screen;
mod token;
mod viewers;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use zun_common::pty::{Ending, ServerHello, SessionKind, close};

pub use access::{ClientInfo, FileRight};
pub use attachment::Departure;
pub use controls::Control;
pub use input::{Chunk, InputChunk};
pub use join::{Join, JoinRefused};
pub use output::{LARGEST_READ, Next};
pub use places::{Disconnected, Newcomer};
pub use record::{Files, JournalPosition, MOST_ATTACHMENTS, Progress, SessionRecord};
pub(crate) use screen::STEP as SCREEN_STEP;
pub use token::{KeyHash, Token};

use crate::ring::{Memory, Ring};
use crate::stats::Stats;
use attachment::Attachment;
use controls::Controls;
use input::InputQueue;
use on_disconnect::DisconnectState;
use recorder::Recorder;
use screen::Follower;
use viewers::{Questions, SizeOwner};

/// What limits a session.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest ring of a stream, in bytes.
    pub ring: usize,
    /// The memory that all rings share.
    pub memory: Memory,
    /// Where output without a terminal is kept if memory is full and a reader still needs it.
    pub spill: SpillLimits,
    /// How long an attachment waits for its client after a lost connection.
    pub resume: Duration,
    /// The most attachments of a session, including those that wait for their clients.
    pub attachments: usize,
    /// The most bytes of one copy of files.
    pub files: u64,
    /// The counters of all sessions.
    pub stats: Stats,
}

/// What limits the files on disk.
#[derive(Debug, Clone)]
pub struct SpillLimits {
    /// Their directory. Without one, there are none.
    pub directory: Option<PathBuf>,
    /// The most bytes of one stream.
    pub stream: usize,
    /// The space that all streams share.
    pub space: Memory,
}

/// The process when the session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub struct Process {
    /// A container's main process, or an exec.
    pub kind: SessionKind,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether it reads stdin.
    pub stdin: bool,
    /// Whether it is running.
    pub running: bool,
}

/// How long an attachment waits for a client that has never sent anything. Such a client may not have received the answer,
/// and may have connected to Docker instead.
pub(crate) const UNCONFIRMED_TIMEOUT: Duration = Duration::from_secs(30);

/// Identifies a connection within its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

/// Identifies an attachment within its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AttachmentId(u64);

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The user has detached: the client will not resume.
    Detached,
    /// The client has ended, such as by a signal: it will not resume, but its user has not detached.
    Gone,
    /// The link was lost. The client may resume.
    Lost,
}

#[derive(Debug)]
struct Connection {
    attachment: AttachmentId,
    /// What is sent first.
    hello: Option<Box<ServerHello>>,
    /// The number of the newest unanswered ping.
    pong: Option<u64>,
    /// The code to close with.
    close: Option<u16>,
}

/// A session: the run of one process.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub struct Session {
    process: Process,
    limits: Limits,
    stdout: Ring,
    stderr: Ring,
    /// The screen, if there is a terminal.
    follower: Option<Follower>,
    /// If it is recorded.
    recorder: Option<Recorder>,
    size_owner: SizeOwner,
    questions: Questions,
    attachments: BTreeMap<AttachmentId, Attachment>,
    connections: BTreeMap<ConnectionId, Connection>,
    input: InputQueue,
    controls: Controls,
    /// Up to where the engine's output is in the rings.
    journal_position: JournalPosition,
    ending: Option<Ending>,
    /// Whether the process has exited. Its last output must then not be held back.
    exited: bool,
    /// Whether the session accepts no more clients.
    closed: bool,
    /// Whether the gate is restarting, so that clients must reconnect to the next process.
    restarting: bool,
    last_input: Option<Instant>,
    /// Whether the record has unwritten changes, apart from the progress and the positions of clients.
    unrecorded: bool,
    last_id: u64,
    departures: VecDeque<Departure>,
    /// The approximate time at which the last attachment left, or the session began.
    last_left: Instant,
    /// What happens if all clients are lost.
    on_disconnect: DisconnectState,
}

impl Session {
    /// Begins a session with these files, which are empty.
    pub fn new(process: Process, limits: Limits, mut files: Files) -> Self {
        let [of_stdout, of_stderr] = files.spills(&limits.spill);
        let ring =
            |file, spill| Ring::new(file, limits.ring, limits.memory.clone()).with_spill(spill);
        let input = InputQueue::new((files.spool, limits.memory.clone()), process.stdin);
        Self {
            process,
            stdout: ring(files.stdout, of_stdout),
            stderr: ring(files.stderr, of_stderr),
            follower: process.tty.then(|| Follower::new(!process.running)),
            recorder: None,
            size_owner: SizeOwner::default(),
            questions: Questions::default(),
            limits,
            attachments: BTreeMap::new(),
            connections: BTreeMap::new(),
            input,
            controls: Controls::default(),
            journal_position: JournalPosition::default(),
            ending: None,
            exited: false,
            closed: false,
            restarting: false,
            last_input: None,
            unrecorded: false,
            last_id: 0,
            departures: VecDeque::new(),
            last_left: Instant::now(),
            on_disconnect: DisconnectState::default(),
        }
    }

    /// What the process is.
    pub const fn process(&self) -> Process {
        self.process
    }

    /// The process has started.
    pub const fn started(&mut self) {
        self.process.running = true;
    }

    /// Whether the session has no attachment, not even one that waits for its client.
    pub fn is_abandoned(&self) -> bool {
        self.attachments.is_empty() && self.connections.is_empty()
    }

    /// Whether it is known how the session ended.
    pub const fn is_over(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether the session is closed to new clients, or its process is not running and no client waits for it.
    pub fn is_unused(&self) -> bool {
        self.closed || (self.is_abandoned() && !self.process.running)
    }

    /// Closes the session to new clients if it is unused. Returns whether it is closed.
    pub fn close_unused(&mut self) -> bool {
        self.closed = self.is_unused();
        self.closed
    }

    /// Ends a connection. Its attachment is not affected if it has a newer connection.
    pub fn disconnect(&mut self, id: ConnectionId, left: Left, now: Instant) {
        let Some(connection) = self.connections.remove(&id) else { return };
        let Some(attachment) = self.attachments.get_mut(&connection.attachment) else { return };
        if attachment.connection != Some(id) {
            return;
        }
        attachment.lost(now);
        let (may_write, wrote) = (attachment.may_write, attachment.writes && attachment.confirmed);
        let reason = if attachment.status_sent { "ended" } else { "detached" };
        match left {
            Left::Lost => {}
            Left::Gone => {
                self.remove_attachment(connection.attachment, reason);
                if wrote {
                    self.end_stdin_without_writers();
                }
            }
            Left::Detached => {
                self.remove_attachment(connection.attachment, reason);
                // If another client may type, that client decides what happens to the process.
                if may_write && !self.attachments.values().any(|other| other.may_write) {
                    self.set_detached(true);
                }
            }
        }
    }

    /// Whether this connection must be closed even if output for its client is pending.
    pub fn is_closing(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_none_or(|connection| connection.close.is_some())
    }

    /// Whether a connection is to be closed because its client has no more access.
    pub fn is_revoked(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(|one| one.close == Some(close::REVOKED))
    }

    /// Closes all connections, including later ones, so that their clients reconnect to the next gate process.
    pub fn restart(&mut self) {
        self.restarting = true;
        for connection in self.connections.values_mut() {
            connection.close.get_or_insert(close::RESTARTING);
        }
    }

    /// Forgets all attachments, because the gate ends.
    pub fn forget_all(&mut self) {
        while let Some(id) = self.attachments.keys().next().copied() {
            self.remove_attachment(id, "the console gate is shutting down");
        }
    }

    /// Forgets attachments whose clients have not come back in time, and passes on input that was held for too long.
    /// Returns whether there was such input, or the last client is lost or one is back.
    pub fn expire(&mut self, now: Instant) -> bool {
        let released = self.release_input(now) | self.follow_disconnects(now);
        self.expire_recording(now);
        let expired: Vec<_> = self
            .attachments
            .iter()
            .filter(|(_, attachment)| self.expiry(attachment).is_some_and(|expiry| expiry <= now))
            .map(|(id, attachment)| (*id, attachment.confirmed))
            .collect();
        for (id, confirmed) in expired {
            self.remove_attachment(id, "expired");
            // A client that has never sent anything may be writing to a container through Docker.
            if confirmed || self.process.kind == SessionKind::Exec {
                self.end_stdin_without_writers();
            }
        }
        released
    }

    /// When [`Session::expire`] has something to do at the earliest.
    pub fn next_expiry(&self) -> Option<Instant> {
        let all = self.attachments.values();
        all.flat_map(|attachment| [self.expiry(attachment), attachment.replies.expires_at()])
            .flatten()
            .chain(self.recording_expiry())
            .min()
    }

    fn expiry(&self, attachment: &Attachment) -> Option<Instant> {
        let resume = self.limits.resume;
        let wait = if attachment.confirmed { resume } else { resume.min(UNCONFIRMED_TIMEOUT) };
        attachment.lost_at?.checked_add(wait)
    }

    /// Returns an attachment that has left, for the log.
    pub fn next_departure(&mut self) -> Option<Departure> {
        self.departures.pop_front()
    }

    /// Removes an attachment, and notifies the other clients that it has left.
    fn remove_attachment(&mut self, id: AttachmentId, reason: &'static str) {
        if let Some(attachment) = self.attachments.remove(&id) {
            self.unrecorded = true;
            self.last_left = attachment.lost_at.unwrap_or(attachment.since);
            self.announce_left(id, &attachment);
            self.departures.push_back(attachment.departure(reason));
        }
    }

    /// Closes an attachment's connection, and removes the attachment.
    fn end_attachment(&mut self, id: AttachmentId, code: u16, reason: &'static str) {
        for connection in self.connections.values_mut() {
            if connection.attachment == id {
                connection.close.get_or_insert(code);
            }
        }
        self.remove_attachment(id, reason);
    }

    const fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

#[cfg(test)]
mod tests;
