//! What clients send: stdin, its end, signals, sizes and acknowledgements.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use zun_common::pty::{Frame, STDIN_WINDOW, SessionKind, Stream, close};
use zun_common::signal;

use super::{AttachmentId, ConnectionId, Session};

/// The largest piece that is written to the engine and acknowledged at once.
const PIECE: usize = 16 << 10;

/// The most stdin that an attachment may send before it is acknowledged, in bytes. A client that resumes may not know
/// of the last acknowledgements, so it is more than what clients keep to.
const MOST_UNACKNOWLEDGED: u64 = 2 * STDIN_WINDOW;

/// A piece of stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Bytes for the process.
    Bytes(Bytes),
    /// The end of stdin.
    End,
}

/// The next piece of stdin for the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputChunk {
    from: Option<AttachmentId>,
    /// What to pass on.
    pub chunk: Chunk,
}

/// Stdin of all attachments, in the order of its arrival.
#[derive(Debug)]
pub(super) struct InputQueue {
    chunks: VecDeque<InputChunk>,
    /// Whether the process takes input. What it does not take is dropped, and counts as written.
    open: bool,
}

impl InputQueue {
    pub(super) const fn new(open: bool) -> Self {
        Self { chunks: VecDeque::new(), open }
    }

    fn push(&mut self, from: AttachmentId, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            self.chunks.push_back(InputChunk { from: Some(from), chunk: Chunk::Bytes(piece) });
        }
    }

    /// Ends stdin. Without an attachment, because nobody can write any more.
    pub(super) fn end(&mut self, from: Option<AttachmentId>) {
        self.chunks.push_back(InputChunk { from, chunk: Chunk::End });
    }
}

/// The client broke the protocol: the code to close with.
type Broken = u16;

impl Session {
    /// Handles a message of a client. Messages of a connection that does not count any more are dropped.
    pub fn receive(&mut self, id: ConnectionId, frame: Frame, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.close.is_some() {
            return;
        }
        let attachment = connection.attachment;
        if let Some(attachment) = self.attachments.get_mut(&attachment) {
            attachment.heard = true;
        }
        if let Frame::Ping(number) = frame {
            connection.pong = Some(number);
            return;
        }
        if let Err(code) = self.handle(attachment, frame, now) {
            self.refuse(id, code);
        }
    }

    /// Closes a connection because its client broke the protocol, and forgets its attachment.
    pub fn refuse(&mut self, id: ConnectionId, code: u16) {
        let Some(connection) = self.connections.get(&id) else { return };
        let attachment = connection.attachment;
        if self.attachments.get(&attachment).is_some_and(|found| found.connection == Some(id)) {
            self.expel(attachment, code, "protocol error");
        }
    }

    fn handle(&mut self, id: AttachmentId, frame: Frame, now: Instant) -> Result<(), Broken> {
        match frame {
            Frame::Stdin(bytes) => self.stdin(id, bytes, now),
            Frame::StdinEnd => self.stdin_end(id),
            Frame::Resize(size) => {
                if self.process.tty && self.may_write(id) {
                    self.controls.resize(size);
                }
                Ok(())
            }
            Frame::Signal { number, name } => self.signal(id, number, name),
            Frame::Ack { stream, offset } => self.acknowledged(id, stream, offset),
            Frame::Ping(_) | Frame::Pong(_) => Ok(()),
            Frame::Stdout(_)
            | Frame::Stderr(_)
            | Frame::Status(_)
            | Frame::Hello(_)
            | Frame::Event(_)
            | Frame::Gap { .. }
            | Frame::Snapshot { .. } => Err(close::PROTOCOL_ERROR),
        }
    }

    /// Whether the attachment's grant allows input. A read-only one has no channels for it.
    fn may_write(&self, id: AttachmentId) -> bool {
        self.attachments.get(&id).is_some_and(|attachment| attachment.may_write)
    }

    fn stdin(&mut self, id: AttachmentId, bytes: Bytes, now: Instant) -> Result<(), Broken> {
        let Some(attachment) = self.attachments.get_mut(&id).filter(|found| found.writes) else {
            return Ok(());
        };
        let stdin = &mut attachment.stdin;
        let received = stdin.received + bytes.len() as u64;
        if stdin.ended || received - stdin.acknowledged > MOST_UNACKNOWLEDGED {
            return Err(close::PROTOCOL_ERROR);
        }
        stdin.received = received;
        self.last_input = Some(now);
        self.input.push(id, bytes);
        self.drop_unwanted_input(now);
        Ok(())
    }

    fn stdin_end(&mut self, id: AttachmentId) -> Result<(), Broken> {
        let Some(attachment) = self.attachments.get_mut(&id).filter(|found| found.writes) else {
            return Ok(());
        };
        if attachment.stdin.ended {
            return Err(close::PROTOCOL_ERROR);
        }
        attachment.stdin.ended = true;
        self.input.end(Some(id));
        Ok(())
    }

    fn signal(&mut self, id: AttachmentId, number: u64, name: String) -> Result<(), Broken> {
        let Some(attachment) = self.attachments.get_mut(&id).filter(|found| found.writes) else {
            return Ok(());
        };
        if number <= attachment.signals.received || self.process.kind == SessionKind::Exec {
            return Ok(());
        }
        let follows = number == attachment.signals.received + 1;
        if !follows || signal::number(&name).is_none() {
            return Err(close::PROTOCOL_ERROR);
        }
        if !self.controls.signal(id, name) {
            return Err(close::TRY_LATER);
        }
        attachment.signals.received = number;
        Ok(())
    }

    fn acknowledged(&mut self, id: AttachmentId, stream: Stream, to: u64) -> Result<(), Broken> {
        let Some(attachment) = self.attachments.get_mut(&id) else { return Ok(()) };
        let possible = match stream {
            Stream::Stdout => attachment.stdout.acknowledge(to),
            Stream::Stderr => attachment.stderr.acknowledge(to),
            Stream::Stdin | Stream::Signals | Stream::StdinEnd => false,
        };
        if possible { Ok(()) } else { Err(close::PROTOCOL_ERROR) }
    }

    /// Returns the next piece of stdin. It stays the next one until [`Session::wrote`].
    pub fn next_input(&self) -> Option<InputChunk> {
        self.input.chunks.front().cloned()
    }

    /// The engine has taken the next piece of stdin.
    pub fn wrote(&mut self, now: Instant) {
        let Some(InputChunk { from, chunk }) = self.input.chunks.pop_front() else { return };
        let attachment = from.and_then(|from| self.attachments.get_mut(&from));
        match (chunk, attachment) {
            (Chunk::Bytes(bytes), Some(attachment)) => {
                attachment.stdin.wrote(bytes.len() as u64, now);
            }
            (Chunk::End, attachment) => {
                if let Some(attachment) = attachment {
                    attachment.stdin.wrote_end(now);
                }
                // The end of a terminal's input is a character, which the client has sent.
                if !self.process.tty {
                    self.close_input(now);
                }
            }
            (Chunk::Bytes(_), None) => {}
        }
    }

    /// The process takes no more input. What still arrives is dropped, and counts as written.
    pub fn close_input(&mut self, now: Instant) {
        self.input.open = false;
        self.drop_unwanted_input(now);
    }

    fn drop_unwanted_input(&mut self, now: Instant) {
        while !self.input.open && !self.input.chunks.is_empty() {
            self.wrote(now);
        }
    }
}
