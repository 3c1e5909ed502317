//! What clients get: output from the rings, acknowledgements, and the ending.

use std::time::{Duration, Instant};

use bytes::Bytes;
use zun_common::docker_stream::Stream as EngineStream;
use zun_common::pty::{Channel, Frame, Stream, close};

use super::attachment::{Attachment, Cursor, ScreenState};
use super::{AttachmentId, ConnectionId, Session};
use crate::ring::Ring;

/// The largest piece of output in one message, in bytes.
const PIECE: u64 = 64 << 10;
/// This much output is sent at once.
const BATCH: u64 = 32 << 10;
/// How long less output waits for more.
const BATCH_DELAY: Duration = Duration::from_millis(5);
/// How long after input all output is sent at once, because it is probably an echo.
const ECHO: Duration = Duration::from_millis(50);
/// The most bytes that one read from the engine may add to a stream.
pub const LARGEST_READ: usize = 64 << 10;
/// The size of a ring after the process has exited, in bytes: its last output is kept even without a reader.
const LAST_OUTPUT: usize = 64 << 20;

/// What a connection has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Send this message.
    Message(Bytes),
    /// Close the websocket with this code.
    Close(u16),
    /// Wait for a change, or until this time.
    Wait(Option<Instant>),
}

impl Session {
    /// Whether the engine's stream should be read. A terminal is always read, unless it must be recorded and the recording
    /// is behind. Otherwise the rings must have room, so that no client loses output. Viewers with a read-only grant hold
    /// nothing back.
    pub fn wants_output(&mut self) -> bool {
        if self.exited {
            return true;
        }
        if self.process.tty {
            return self.has_room_for_recording();
        }
        let holding = self.attachments.values().filter(|attachment| attachment.may_write);
        let holding = holding.map(|one| (one.stdout.acknowledged, one.stderr.acknowledged));
        let (stdout, stderr): (Vec<_>, Vec<_>) = holding.chain(self.kept_for_recording()).unzip();
        let (stdout, stderr) = (stdout.into_iter().min(), stderr.into_iter().min());
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            self.stdout.nobody_reads();
            self.stderr.nobody_reads();
            return true;
        };
        self.stdout.reserve(2 * LARGEST_READ, stdout)
            && self.stderr.reserve(2 * LARGEST_READ, stderr)
    }

    /// The process has exited: its last output is kept even if nobody reads it.
    pub const fn exited(&mut self) {
        self.exited = true;
        self.stdout.raise_limit(LAST_OUTPUT);
        self.stderr.raise_limit(LAST_OUTPUT);
    }

    /// The engine has sent output.
    pub fn output(&mut self, stream: EngineStream, bytes: &[u8], now: Instant) {
        match stream {
            EngineStream::Stdout => {
                self.limit_lag(bytes.len());
                self.stdout.push(bytes);
            }
            EngineStream::Stderr => self.stderr.push(bytes),
        }
        self.unrecorded |= !self.process.running;
        self.process.running = true;
        for attachment in self.attachments.values_mut() {
            attachment.pending_since.get_or_insert(now);
        }
    }

    /// Returns what a connection has to do next.
    pub fn next(&mut self, id: ConnectionId, now: Instant) -> Next {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Next::Close(close::REPLACED);
        };
        if let Some(code) = connection.close {
            return Next::Close(code);
        }
        if let Some(hello) = connection.hello.take() {
            if let Some(found) = self.attachments.get_mut(&connection.attachment) {
                self.unrecorded |= !found.hello_sent;
                found.hello_sent = true;
            }
            return Next::Message(Frame::Hello(hello).encode());
        }
        if let Some(number) = connection.pong.take() {
            return Next::Message(Frame::Pong(number).encode());
        }
        let attachment = connection.attachment;
        if let Some(found) = self.attachments.get_mut(&attachment)
            && let Some(event) = found.events.pop_front()
        {
            self.unrecorded = true;
            return Next::Message(Frame::Event(event).encode());
        }
        self.next_of(attachment, now)
    }

    fn next_of(&mut self, id: AttachmentId, now: Instant) -> Next {
        let all_at_once = self.exited
            || self.ending.is_some()
            || self.last_input.is_some_and(|input| now.saturating_duration_since(input) < ECHO);
        let Some(attachment) = self.attachments.get_mut(&id) else {
            return Next::Close(close::UNKNOWN_SESSION);
        };
        let rings = (&self.stdout, &self.stderr);
        if self.process.tty {
            if let Some(message) = attachment.next_gap(&self.stdout) {
                self.unrecorded = true;
                self.limits.stats.skipped();
                return Next::Message(message);
            }
            if attachment.screen.is_due {
                return self.next_snapshot(id);
            }
        } else if attachment.is_behind(rings) {
            self.end_attachment(id, close::TOO_SLOW, "too slow");
            return Next::Close(close::TOO_SLOW);
        }
        let batched = match attachment.next_output(rings, all_at_once, now) {
            Next::Wait(until) => until,
            Next::Message(message) => {
                self.limits.stats.sent(message.len().saturating_sub(1));
                return Next::Message(message);
            }
            close @ Next::Close(_) => return close,
        };
        let acknowledged = match attachment.next_ack(now) {
            Next::Wait(until) => until,
            message @ (Next::Message(_) | Next::Close(_)) => return message,
        };
        match &self.ending {
            Some(_) if attachment.status_sent => Next::Close(close::NORMAL),
            Some(ending) if attachment.has_all(rings) => {
                attachment.status_sent = true;
                Next::Message(Frame::Status(Box::new(ending.clone())).encode())
            }
            Some(_) | None => Next::Wait(batched.into_iter().chain(acknowledged).min()),
        }
    }
}

impl Session {
    /// Draws the screen for an attachment, whose output continues from there.
    fn next_snapshot(&mut self, id: AttachmentId) -> Next {
        let Some((snapshot, redraws)) = self.snapshot() else { return Next::Wait(None) };
        let end = self.stdout.end();
        if redraws {
            self.controls.redraw();
        }
        if let Some(attachment) = self.attachments.get_mut(&id) {
            attachment.stdout = Cursor::at(end);
            attachment.screen = ScreenState { is_due: false, drawn_at: Some(end) };
        }
        Next::Message(snapshot.encode())
    }
}

impl Attachment {
    /// On a terminal: if the ring has dropped output that the client has not received, the client gets a gap, and then
    /// the screen.
    fn next_gap(&mut self, ring: &Ring) -> Option<Bytes> {
        let (from, to) = (self.stdout.sent, ring.end());
        if from >= ring.start() || self.stdout.in_flight() >= self.window {
            return None;
        }
        self.stdout = Cursor::at(to);
        self.screen.is_due = true;
        Some(Frame::Gap { stream: Stream::Stdout, from, to }.encode())
    }

    /// Whether the rings have dropped output that the client has not received.
    const fn is_behind(&self, (stdout, stderr): (&Ring, &Ring)) -> bool {
        self.stdout.sent < stdout.start() || self.stderr.sent < stderr.start()
    }

    const fn has_all(&self, (stdout, stderr): (&Ring, &Ring)) -> bool {
        self.stdout.sent >= stdout.end() && self.stderr.sent >= stderr.end()
    }

    fn next_output(&mut self, rings: (&Ring, &Ring), all_at_once: bool, now: Instant) -> Next {
        let window = self.window;
        let room =
            |cursor: &Cursor, ring: &Ring| cursor.sent < ring.end() && cursor.in_flight() < window;
        let sendable = (room(&self.stdout, rings.0), room(&self.stderr, rings.1));
        let channel = match sendable {
            (false, false) => {
                if self.has_all(rings) {
                    self.pending_since = None;
                }
                return Next::Wait(None);
            }
            (true, true) if self.stderr_next => Channel::Stderr,
            (true, _) => Channel::Stdout,
            (false, true) => Channel::Stderr,
        };
        let (cursor, ring) = if channel == Channel::Stderr {
            (&mut self.stderr, rings.1)
        } else {
            (&mut self.stdout, rings.0)
        };
        let due = self.pending_since.unwrap_or(now) + BATCH_DELAY;
        if !all_at_once && ring.end() - cursor.sent < BATCH && now < due {
            return Next::Wait(Some(due));
        }
        self.stderr_next = channel == Channel::Stdout;
        let message = piece(channel, cursor, ring, window);
        if channel == Channel::Stdout {
            self.awaited.get_or_insert((self.stdout.sent, now));
        }
        if self.has_all(rings) {
            self.pending_since = None;
        }
        // The acknowledgement is sent with the output, in the same packet.
        self.stdin.ack_due = self.stdin.ack_due.map(|due| due.min(now));
        Next::Message(message)
    }

    fn next_ack(&mut self, now: Instant) -> Next {
        let Some(due) = self.stdin.ack_due else { return Next::Wait(None) };
        if now < due {
            return Next::Wait(Some(due));
        }
        let (stdin, signals) = (&mut self.stdin, &mut self.signals);
        let (stream, offset) = if stdin.written > stdin.acknowledged || stdin.repeat_ack {
            stdin.acknowledged = stdin.written;
            stdin.repeat_ack = false;
            (Stream::Stdin, stdin.written)
        } else if stdin.end_written && !stdin.end_acknowledged {
            stdin.end_acknowledged = true;
            (Stream::StdinEnd, stdin.received)
        } else if signals.sent > signals.acknowledged {
            signals.acknowledged = signals.sent;
            (Stream::Signals, signals.sent)
        } else {
            stdin.ack_due = None;
            return Next::Wait(None);
        };
        Next::Message(Frame::Ack { stream, offset }.encode())
    }
}

/// Builds the next message of a stream: one copy from the ring.
fn piece(channel: Channel, cursor: &mut Cursor, ring: &Ring, window: u64) -> Bytes {
    let most = PIECE.min(window.saturating_sub(cursor.in_flight()));
    let mut message = vec![channel as u8];
    let length = ring.read(cursor.sent, usize::try_from(most).unwrap_or(usize::MAX), &mut message);
    cursor.sent += length as u64;
    message.into()
}
