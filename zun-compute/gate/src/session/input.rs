//! What clients send: stdin, its end, signals, sizes and acknowledgements.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use bytes::Bytes;
use zun_common::pty::{Frame, STDIN_WINDOW, Stream, close};
use zun_common::signal;

use super::{AttachmentId, ConnectionId, Session};
use crate::kept::MOST_KEPT;
use crate::replies::Filtered;
use crate::ring::{Charge, Memory, read_at};

/// The largest piece that is written to the engine and acknowledged at once.
const PIECE: usize = 64 << 10;

/// The most stdin that an attachment may send before it is acknowledged, in bytes. Acknowledgements arrive late, and a
/// client in another process that continues the session does not know the earlier ones, so the limit is higher than the
/// window of clients.
const MOST_UNACKNOWLEDGED: u64 = 2 * STDIN_WINDOW;

/// A piece of stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Bytes for the process.
    Bytes(Bytes),
    /// This many bytes that are not for the process. They count as written.
    Dropped(usize),
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
    /// All bytes of the queue are also here, so that they outlive the process.
    spool: File,
    /// How many bytes were written to the spool.
    spooled: u64,
    chunks: VecDeque<InputChunk>,
    /// The offsets in the spool of the ends of stdin in the queue.
    ends: VecDeque<u64>,
    /// Whether the process accepts input. Otherwise input is dropped, and counts as written.
    open: bool,
    /// The memory of the queue, including the last bytes of the spool that may still be in flight.
    charge: Charge,
    /// How many bytes are in the queue.
    queued: u64,
}

impl InputQueue {
    pub(super) fn new((spool, memory): (File, Memory), open: bool) -> Self {
        let (chunks, ends, charge) = (VecDeque::new(), VecDeque::new(), Charge::on(memory));
        Self { spool, spooled: 0, chunks, ends, open, charge, queued: 0 }
    }

    /// Continues the queue of a former gate. The engine has received everything before `passed`.
    pub(super) fn restored(
        spool: (File, Memory),
        (passed, spooled): (u64, u64),
        end: Option<u64>,
        open: bool,
    ) -> Self {
        let mut queue = Self { spooled, ..Self::new(spool, open) };
        if open {
            let end_at = end.unwrap_or(spooled).clamp(passed, spooled);
            queue.add(None, queue.read(passed, end_at));
            if end.is_some() {
                queue.end(None);
                queue.ends = [end_at].into();
            }
        }
        queue
    }

    fn read(&self, from: u64, to: u64) -> Bytes {
        let mut bytes = Vec::new();
        let length = usize::try_from(to.saturating_sub(from)).unwrap_or_default();
        read_at(&self.spool, from, length, &mut bytes);
        bytes.into()
    }

    pub(super) const fn file(&self) -> &File {
        &self.spool
    }

    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    /// How many bytes were accepted in total, and the offset at which stdin ends.
    pub(super) fn spooled(&self) -> (u64, Option<u64>) {
        (self.spooled, self.ends.front().copied())
    }

    /// Adds bytes. Returns whether the system had memory for them.
    fn push(&mut self, from: AttachmentId, bytes: Bytes) -> bool {
        let written = !self.open || self.spool.write_all_at(&bytes, self.spooled).is_ok();
        if written {
            self.spooled += bytes.len() as u64;
            self.add(Some(from), bytes);
        }
        written
    }

    fn add(&mut self, from: Option<AttachmentId>, mut bytes: Bytes) {
        self.queued += bytes.len() as u64;
        self.charge();
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            self.chunks.push_back(InputChunk { from, chunk: Chunk::Bytes(piece) });
        }
    }

    /// Ends stdin. Without an attachment, because no client can write any longer.
    pub(super) fn end(&mut self, from: Option<AttachmentId>) {
        self.chunks.push_back(InputChunk { from, chunk: Chunk::End });
        self.ends.push_back(self.spooled);
    }

    fn pop(&mut self) -> Option<InputChunk> {
        let next = self.chunks.pop_front()?;
        match &next.chunk {
            Chunk::Bytes(bytes) => self.queued = self.queued.saturating_sub(bytes.len() as u64),
            Chunk::Dropped(_) => {}
            Chunk::End => drop(self.ends.pop_front()),
        }
        self.charge();
        Some(next)
    }

    /// Each byte of the queue is also in the spool, which also keeps the last bytes that were passed on.
    fn charge(&mut self) {
        let passed = self.spooled.saturating_sub(self.queued);
        self.charge.set(2 * self.queued + passed.min(MOST_KEPT));
    }
}

/// The client violated the protocol: the code to close the connection with.
type Violation = u16;

impl Session {
    /// Handles a message of a client. Messages of a replaced connection are dropped.
    pub fn receive(&mut self, id: ConnectionId, frame: Frame, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.close.is_some() {
            return;
        }
        let attachment = connection.attachment;
        if let Some(attachment) = self.attachments.get_mut(&attachment) {
            self.unrecorded |= !attachment.confirmed;
            attachment.confirmed = true;
        }
        if let Frame::Ping(number) = frame {
            connection.pong = Some(number);
            return;
        }
        // Most messages only change the progress, which is cheap to record. Handlers that change more set `unrecorded`:
        // recording the whole session is expensive, and a client can send many messages.
        if let Err(code) = self.handle(attachment, frame, now) {
            self.unrecorded = true;
            self.refuse(id, code);
        }
    }

    /// Closes a connection because its client violated the protocol, and removes its attachment.
    pub fn refuse(&mut self, id: ConnectionId, code: u16) {
        let Some(connection) = self.connections.get(&id) else { return };
        let attachment = connection.attachment;
        if self.attachments.get(&attachment).is_some_and(|found| found.connection == Some(id)) {
            self.end_attachment(attachment, code, "protocol error");
        }
    }

    fn handle(&mut self, id: AttachmentId, frame: Frame, now: Instant) -> Result<(), Violation> {
        match frame {
            Frame::Stdin(bytes) => self.stdin(id, bytes, now),
            Frame::StdinEnd => self.stdin_end(id),
            Frame::Resize(size) => {
                self.window_sized(id, size);
                Ok(())
            }
            Frame::Signal { number, name } => self.signal(id, number, name),
            Frame::Ack { stream, offset } => self.acknowledged(id, (stream, offset), now),
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

    fn stdin(&mut self, id: AttachmentId, bytes: Bytes, now: Instant) -> Result<(), Violation> {
        let Some(attachment) = self.attachments.get_mut(&id).filter(|found| found.writes) else {
            return Ok(());
        };
        let stdin = &mut attachment.stdin;
        let received = stdin.received + bytes.len() as u64;
        if stdin.ended || received - stdin.acknowledged > MOST_UNACKNOWLEDGED {
            return Err(close::PROTOCOL_ERROR);
        }
        stdin.received = received;
        self.limits.stats.received(bytes.len());
        self.last_input = Some(now);
        let accepted = if self.process.tty {
            self.filter(id, &bytes, now)
        } else {
            self.input.push(id, bytes)
        };
        if !accepted {
            return Err(close::TRY_LATER);
        }
        self.drop_unwanted_input(now);
        Ok(())
    }

    /// Passes on what was typed on a terminal, without replies that the process does not expect. Returns whether there
    /// was room.
    fn filter(&mut self, id: AttachmentId, bytes: &[u8], now: Instant) -> bool {
        let Some(attachment) = self.attachments.get_mut(&id) else { return true };
        let mut replies = std::mem::take(&mut attachment.replies);
        let filtered = replies.feed(bytes, now, |question| self.may_reply(id, question));
        if let Some(attachment) = self.attachments.get_mut(&id) {
            attachment.replies = replies;
        }
        self.filtered(id, filtered)
    }

    fn filtered(&mut self, id: AttachmentId, filtered: Filtered) -> bool {
        let Filtered { bytes, settled, typed } = filtered;
        if typed {
            self.typed(id);
        }
        let dropped = settled - bytes.len();
        let accepted = self.input.push(id, bytes.into());
        if dropped > 0 {
            let chunk = Chunk::Dropped(dropped);
            self.input.chunks.push_back(InputChunk { from: Some(id), chunk });
        }
        accepted
    }

    /// Passes on input that looked like the beginning of a reply if its rest has not arrived in time. Returns whether
    /// there was any.
    pub(super) fn release_input(&mut self, now: Instant) -> bool {
        let mut released = false;
        let ids: Vec<_> = self.attachments.keys().copied().collect();
        for id in ids {
            let expired = self.attachments.get_mut(&id).map(|found| found.replies.expired(now));
            let Some(expired) = expired.filter(|expired| expired.settled > 0) else { continue };
            released = true;
            if !self.filtered(id, expired) {
                self.end_attachment(id, close::TRY_LATER, "no memory for its input");
            }
        }
        self.drop_unwanted_input(now);
        released
    }

    fn stdin_end(&mut self, id: AttachmentId) -> Result<(), Violation> {
        let Some(attachment) = self.attachments.get_mut(&id).filter(|found| found.writes) else {
            return Ok(());
        };
        if attachment.stdin.ended {
            return Err(close::PROTOCOL_ERROR);
        }
        attachment.stdin.ended = true;
        self.input.end(Some(id));
        self.unrecorded = true;
        Ok(())
    }

    fn signal(&mut self, id: AttachmentId, number: u64, name: String) -> Result<(), Violation> {
        let Some(attachment) = self.attachments.get_mut(&id).filter(|found| found.writes) else {
            return Ok(());
        };
        if number <= attachment.signals.received {
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
        self.unrecorded = true;
        Ok(())
    }

    fn acknowledged(
        &mut self,
        id: AttachmentId,
        (stream, to): (Stream, u64),
        now: Instant,
    ) -> Result<(), Violation> {
        let Some(attachment) = self.attachments.get_mut(&id) else { return Ok(()) };
        let awaited = attachment.awaited.filter(|(at, _)| stream == Stream::Stdout && *at <= to);
        if let Some((_, since)) = awaited {
            attachment.awaited = None;
            self.limits.stats.acknowledged(now.saturating_duration_since(since));
        }
        let drew = attachment.draws();
        let possible = match stream {
            Stream::Stdout => attachment.stdout.acknowledge(to),
            Stream::Stderr => attachment.stderr.acknowledge(to),
            Stream::Stdin | Stream::Signals | Stream::StdinEnd => false,
        };
        self.unrecorded |= drew != attachment.draws();
        if possible { Ok(()) } else { Err(close::PROTOCOL_ERROR) }
    }

    /// Returns the next piece of stdin. It stays the next one until [`Session::wrote`].
    pub fn next_input(&self) -> Option<InputChunk> {
        self.input.chunks.front().filter(|_| !self.is_frozen()).cloned()
    }

    /// The engine has accepted the next piece of stdin.
    pub fn wrote(&mut self, now: Instant) {
        let Some(InputChunk { from, chunk }) = self.input.pop() else { return };
        let attachment = from.and_then(|from| self.attachments.get_mut(&from));
        match (chunk, attachment) {
            (Chunk::Bytes(bytes), Some(attachment)) => {
                attachment.stdin.wrote(bytes.len() as u64, now);
            }
            (Chunk::Dropped(length), Some(attachment)) => {
                attachment.stdin.wrote(length as u64, now);
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
            (Chunk::Bytes(_) | Chunk::Dropped(_), None) => {}
        }
    }

    /// The process accepts no more input. Further input is dropped, and counts as written.
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
