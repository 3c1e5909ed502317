//! New attachments, and clients that come back to theirs.

use std::collections::VecDeque;
use std::time::Instant;

use zun_common::id::EngineId;
use zun_common::pty::{ClientHello, Replay, Resume, ServerHello, SessionKind, close};

use super::attachment::{Attachment, Cursor, ScreenState, Signals, Stdin};
use super::places::Newcomer;
use super::screen::Follower;
use super::token::{KeyHash, Token};
use super::{AttachmentId, Connection, ConnectionId, Session};
use crate::replies::ReplyFilter;
use crate::ring::Ring;

/// The smallest and the largest window of a client, in bytes.
const WINDOWS: (u64, u64) = (4 << 10, 4 << 20);

/// A client that opens an attachment.
#[derive(Debug)]
pub struct Join {
    /// The new attachment's ID.
    pub name: String,
    /// Its secret.
    pub token: Token,
    /// The client's key.
    pub key: KeyHash,
    /// The ID of the client's grant.
    pub grant: String,
    /// Whether the grant allows input.
    pub may_write: bool,
    /// The container whose files the client may copy.
    pub files: Option<EngineId>,
    /// What the client asks for.
    pub hello: ClientHello,
}

/// Why a client is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    /// There is no such attachment, or the token or key is another one.
    #[error("the session is not known")]
    Unknown,
    /// The session accepts no more clients: open another one.
    #[error("the session is closed")]
    Closed,
    /// The offsets are beyond what was sent.
    #[error("the client claims output that was not sent")]
    ImpossibleOffset,
    /// The session must be recorded, and cannot be.
    #[error("the session must be recorded, and the host cannot record it")]
    NotRecorded,
    /// The session has too many attachments.
    #[error("the session has as many clients as `limits.attachments` allows")]
    Full,
    /// The session has too many attachments of the same grant.
    #[error("the session has as many clients of this grant as it may have")]
    FullForGrant,
}

impl JoinRefused {
    /// The code to close the connection with.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Unknown => close::UNKNOWN_SESSION,
            Self::ImpossibleOffset => close::PROTOCOL_ERROR,
            Self::NotRecorded => close::NOT_RECORDED,
            Self::Full | Self::FullForGrant | Self::Closed => close::TRY_LATER,
        }
    }
}

impl Session {
    /// Opens an attachment.
    pub fn join(&mut self, join: Join, now: Instant) -> Result<ConnectionId, JoinRefused> {
        if self.closed {
            return Err(JoinRefused::Closed);
        }
        if self.is_frozen() {
            return Err(JoinRefused::NotRecorded);
        }
        self.replace_unconfirmed(&join);
        self.make_room(Newcomer { grant: &join.grant, may_write: join.may_write })?;
        let Join { name, token, key, grant, may_write, files, hello } = join;
        let writes = may_write && hello.writes;
        let attachment = Attachment {
            name,
            token: token.hash(),
            key,
            grant,
            since: now,
            may_write,
            files,
            writes,
            hello_sent: false,
            confirmed: false,
            connection: None,
            lost_at: None,
            window: hello.window.clamp(WINDOWS.0, WINDOWS.1),
            stdout: replayed(hello.replay, &self.stdout),
            stderr: replayed(hello.replay, &self.stderr),
            screen: ScreenState {
                is_due: self.process.tty && hello.replay == Replay::Screen && !self.is_blank(),
                drawn_at: None,
            },
            pending_since: Some(now),
            awaited: None,
            stdin: Stdin::default(),
            replies: ReplyFilter::default(),
            size: None,
            typed: 0,
            signals: Signals::default(),
            events: VecDeque::new(),
            stderr_next: false,
            status_sent: false,
        };
        let opens = self.last_id == 0;
        let id = AttachmentId(self.next_id());
        self.attachments.insert(id, attachment);
        if may_write && opens {
            self.set_on_disconnect(hello.on_disconnect);
        }
        let connection = self.connect(id, token.into_text(), false).ok_or(JoinRefused::Unknown)?;
        self.announce_joined(id);
        if let Some(size) = hello.size {
            self.sized(id, size);
        }
        Ok(connection)
    }

    /// A client whose first connection to an exec was lost before it could know of its session opens another one.
    fn replace_unconfirmed(&mut self, join: &Join) {
        let is_former = |found: &Attachment| {
            let is_same = found.key == join.key && found.grant == join.grant;
            is_same && !found.hello_sent && !found.confirmed && found.connection.is_none()
        };
        if self.process.kind == SessionKind::Exec {
            let former = self.attachments.iter().find(|(_, found)| is_former(found));
            if let Some(id) = former.map(|(id, _)| *id) {
                self.remove_attachment(id, "replaced");
            }
        }
    }

    /// Opens an attachment instead of one that is not older than `since`, and whose client was disconnected before it could
    /// know of it. Both present the same ticket.
    pub fn join_again(
        &mut self,
        join: Join,
        since: Instant,
        now: Instant,
    ) -> Result<ConnectionId, JoinRefused> {
        let is_former = |found: &Attachment| {
            let is_unknown = !found.confirmed && found.connection.is_none();
            found.key == join.key && found.since >= since && is_unknown
        };
        let former = self.attachments.iter().find(|(_, found)| is_former(found));
        let former = former.map(|(id, _)| *id).ok_or(JoinRefused::Unknown)?;
        let connection = self.join(join, now)?;
        self.remove_attachment(former, "replaced");
        Ok(connection)
    }

    /// Whether the process has printed nothing since its start. A client then needs no snapshot: the output that follows
    /// draws the whole screen.
    fn is_blank(&self) -> bool {
        self.stdout.end() == 0 && self.follower.as_ref().is_some_and(Follower::is_complete)
    }

    /// Whether the attachment with this ID can be resumed with this key and token.
    pub fn knows(&self, key: KeyHash, resume: &Resume) -> bool {
        self.find(key, resume).is_some()
    }

    pub(super) fn find(&self, key: KeyHash, resume: &Resume) -> Option<AttachmentId> {
        let token = KeyHash::of(resume.token.as_bytes());
        let mut all = self.attachments.iter();
        let (id, found) = all.find(|(_, attachment)| attachment.name == resume.session)?;
        (found.token == token && found.key == key).then_some(*id)
    }

    /// Resumes an attachment. From now on, its former connection is ignored.
    pub fn resume(
        &mut self,
        key: KeyHash,
        hello: &ClientHello,
        resume: Resume,
        now: Instant,
    ) -> Result<ConnectionId, JoinRefused> {
        let id = self.find(key, &resume).ok_or(JoinRefused::Unknown)?;
        let attachment = self.attachments.get_mut(&id).ok_or(JoinRefused::Unknown)?;
        if resume.stdout > attachment.stdout.sent || resume.stderr > attachment.stderr.sent {
            return Err(JoinRefused::ImpossibleOffset);
        }
        // A screen that was drawn for the client on the lost connection may not have arrived.
        attachment.screen.is_due |=
            attachment.screen.drawn_at.is_some_and(|drawn| resume.stdout <= drawn);
        self.limits.stats.resumed();
        attachment.awaited = None;
        attachment.stdout = Cursor::at(resume.stdout);
        attachment.stderr = Cursor::at(resume.stderr);
        attachment.window = hello.window.clamp(WINDOWS.0, WINDOWS.1);
        attachment.pending_since = Some(now);
        attachment.status_sent = false;
        attachment.stdin.ack_due = Some(now);
        attachment.stdin.repeat_ack = true;
        attachment.stdin.end_acknowledged = false;
        attachment.signals.acknowledged = 0;
        let connection = self.connect(id, resume.token, true).ok_or(JoinRefused::Unknown)?;
        if let Some(size) = hello.size {
            self.sized(id, size);
        }
        Ok(connection)
    }

    fn connect(&mut self, id: AttachmentId, token: String, resumed: bool) -> Option<ConnectionId> {
        let new = ConnectionId(self.next_id());
        let attachment = self.attachments.get_mut(&id)?;
        attachment.lost_at = None;
        let may_write = attachment.may_write;
        if let Some(former) = attachment.connection.replace(new)
            && let Some(former) = self.connections.get_mut(&former)
        {
            former.close.get_or_insert(close::REPLACED);
        }
        if may_write {
            self.set_detached(false);
        }
        let attachment = self.attachments.get(&id)?;
        let hello = ServerHello {
            session: attachment.name.clone(),
            token,
            kind: self.process.kind,
            tty: self.process.tty,
            stdin: self.process.stdin,
            writes: attachment.writes,
            running: self.process.running,
            has_screen: self.follower.as_ref().is_some_and(Follower::is_complete),
            resumed,
            stdin_next: attachment.stdin.received,
            stdin_ended: attachment.stdin.ended,
            signal_next: attachment.signals.received + 1,
            stdout_next: attachment.stdout.sent,
            stderr_next: attachment.stderr.sent,
            signals: attachment.writes,
            resume_seconds: self.limits.resume.as_secs(),
            files: Some(self.limits.files).filter(|limit| attachment.files.is_some() && *limit > 0),
            acts_on_disconnect: self.acts_on_disconnect(),
        };
        let hello = Some(Box::new(hello));
        let close = self.restarting.then_some(close::RESTARTING);
        self.connections.insert(new, Connection { attachment: id, hello, pong: None, close });
        self.introduce(id);
        Some(new)
    }
}

/// Where an attachment begins in a stream.
const fn replayed(replay: Replay, ring: &Ring) -> Cursor {
    Cursor::at(match replay {
        Replay::All => ring.start(),
        Replay::Screen | Replay::None => ring.end(),
    })
}
