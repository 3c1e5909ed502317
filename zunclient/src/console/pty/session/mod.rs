//! A session as the client sees it: what to send, what was received, and how to resume after a lost link. It does no
//! I/O, and gets the time from its caller.
//!
//! ```text
//!            connected              link_lost
//!  (new) ──────────────> on a link ──────────> away ──> (client_hello with the offsets)
//!                             │      <──────────┘│
//!                             │      connected   │ the gate refuses, or too late
//!                    status,  │                  │
//!                    leave    v                  v
//!                            over <──────────────┘
//! ```

mod events;
mod inbox;
mod liveness;
mod outbox;
#[cfg(test)]
mod tests;
mod viewers;

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::time::Instant;
use zun_common::pty::{ClientHello, Frame, Resume, ServerHello, SessionEvent, Size, Stream, close};
use zun_common::units::TerminalSize;

use super::closing::{events_of, lost_session};
use crate::console::{Closing, Event};
use events::notice;
use inbox::{Inbox, Output};
pub(super) use liveness::Health;
use liveness::Liveness;
use outbox::Outbox;
use viewers::Viewers;

/// The key that ends the input of a terminal (ctrl-d).
const END_OF_TRANSMISSION: &[u8] = b"\x04";

/// How many bytes of output may wait to be shown.
const MAXIMUM_WAITING: usize = 4 << 20;

/// How many answers to the gate's pings may be queued. A gate that sends more pings does not read the answers.
const MAXIMUM_PONGS: usize = 16;

/// The gate violated the protocol. Resuming would not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::console::pty) struct Violation(pub(in crate::console::pty) &'static str);

/// The state of a session.
#[derive(Debug)]
pub(super) struct Session {
    /// What the client asked for when it opened the session.
    wants: ClientHello,
    /// The last hello of the gate.
    hello: ServerHello,
    outbox: Outbox,
    inbox: Inbox,
    liveness: Liveness,
    pongs: VecDeque<u64>,
    size: NewestSize,
    /// When the user was notified that the link is lost.
    lost_since: Option<Instant>,
    /// The last state of the recording that the user was notified of, if there is a recording.
    is_recorded: Option<bool>,
    phase: Phase,
    close_code: u16,
    viewers: Viewers,
}

/// The terminal's size, if there is one. Only the newest is sent.
#[derive(Debug, Default)]
struct NewestSize {
    size: Option<Size>,
    is_unsent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// On a link, or waiting for one.
    Open,
    /// The user leaves.
    Leaving,
    /// The last event is queued.
    Over,
}

impl Session {
    /// Begins with the gate's answer to `wants`.
    pub(super) fn new(
        wants: ClientHello,
        hello: ServerHello,
        now: Instant,
    ) -> Result<Self, Violation> {
        let mut session = Self {
            size: NewestSize { size: wants.size, is_unsent: false },
            wants,
            outbox: Outbox::new(&hello),
            inbox: Inbox::default(),
            liveness: Liveness::new(now),
            pongs: VecDeque::new(),
            lost_since: None,
            is_recorded: None,
            phase: Phase::Open,
            close_code: close::NORMAL,
            viewers: Viewers::default(),
            hello,
        };
        session.inbox.connected(&session.hello, true)?;
        Ok(session)
    }

    /// Returns the hello with which a new link continues the session.
    pub(super) fn client_hello(&self) -> ClientHello {
        let ServerHello { session, token, .. } = self.hello.clone();
        let (stdout, stderr) = self.inbox.received();
        let resume = Some(Resume { session, token, stdout, stderr });
        ClientHello { size: self.size.size, resume, ..self.wants.clone() }
    }

    /// Describes the clients of the process, in lines for a terminal in raw mode.
    pub(super) fn about(&self) -> Option<String> {
        self.viewers.about()
    }

    /// The gate's last hello.
    pub(super) const fn hello(&self) -> &ServerHello {
        &self.hello
    }

    /// Continues on a new link. Fails if the gate's hello does not fit the session.
    pub(super) fn connected(
        &mut self,
        (client, hello): (&ClientHello, ServerHello),
        now: Instant,
    ) -> Result<(), Closing> {
        if !hello.resumed || hello.session != self.hello.session {
            return Err(lost_session());
        }
        self.outbox.link_lost();
        self.outbox.resumed(&hello).map_err(Closing::from)?;
        self.inbox.connected(&hello, false).map_err(Closing::from)?;
        self.size.is_unsent = self.size.size != client.size;
        self.pongs.clear();
        self.hello = hello;
        self.liveness.renew(now);
        self.link_restored();
        Ok(())
    }

    /// Handles a link that is lost, or seems to be.
    pub(super) fn link_lost(&mut self, host: &str, now: Instant) {
        if self.lost_since.is_none() && self.phase == Phase::Open {
            self.lost_since = Some(now);
            self.inbox.push(Event::Reconnecting { host: host.to_owned() });
        }
    }

    fn link_restored(&mut self) {
        if self.lost_since.take().is_some() {
            self.inbox.push(Event::Reconnected);
        }
    }

    /// Handles a message of the gate.
    pub(super) fn receive(&mut self, frame: Frame, now: Instant) -> Result<(), Violation> {
        self.liveness.received(now);
        self.link_restored();
        match frame {
            Frame::Stdout(data) => self.inbox.output(Output::Stdout, data),
            Frame::Stderr(data) => self.inbox.output(Output::Stderr, data),
            Frame::Ack { stream: Stream::Stdin, offset } => self.outbox.stdin_passed(offset)?,
            Frame::Ack { stream: Stream::StdinEnd, .. } => self.outbox.end_accepted()?,
            Frame::Ack { stream: Stream::Signals, offset } => {
                self.outbox.signals_accepted(offset)?;
            }
            Frame::Gap { stream: Stream::Stdout, from, to } => {
                self.inbox.gap(Output::Stdout, from, to)?;
            }
            Frame::Gap { stream: Stream::Stderr, from, to } => {
                self.inbox.gap(Output::Stderr, from, to)?;
            }
            Frame::Snapshot { offset, size: _, draw } => self.inbox.snapshot(offset, draw)?,
            Frame::Status(ending) => {
                let missing = self.missing(&ending.zun);
                self.end(missing.into_iter().chain(events_of(*ending)));
            }
            Frame::Ping(number) => {
                if self.pongs.len() == MAXIMUM_PONGS {
                    return Err(Violation("the gate sends too many pings"));
                }
                self.pongs.push_back(number);
            }
            Frame::Pong(number) => self.liveness.answered(number, now),
            Frame::Event(event) => {
                if let SessionEvent::Recording { on, .. } = &event
                    && self.is_recorded.replace(*on) == Some(*on)
                {
                    // Each link begins with this event.
                    return Ok(());
                }
                if let Some(event) = self.viewers.follow(&event) {
                    self.inbox.push(event);
                }
                if let Some(words) = notice(&event) {
                    self.inbox.push(Event::Notice(words));
                }
            }
            Frame::Hello(_)
            | Frame::Stdin(_)
            | Frame::StdinEnd
            | Frame::Resize(_)
            | Frame::Signal { .. }
            | Frame::Ack { stream: Stream::Stdout | Stream::Stderr, .. }
            | Frame::Gap { stream: Stream::Stdin | Stream::Signals | Stream::StdinEnd, .. } => {
                return Err(Violation("the gate sent an unexpected message"));
            }
        }
        Ok(())
    }

    /// Returns an event if the gate counted more output than has arrived.
    fn missing(&self, end: &zun_common::pty::ProcessEnd) -> Option<Event> {
        let (stdout, stderr) = self.inbox.received();
        let missing =
            end.stdout_bytes.saturating_sub(stdout) + end.stderr_bytes.saturating_sub(stderr);
        (missing > 0).then(|| Event::Lost(format!("{missing} bytes of output did not arrive")))
    }

    /// Ends the session with these events.
    pub(super) fn end(&mut self, events: impl IntoIterator<Item = Event>) {
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            for event in events {
                self.inbox.push(event);
            }
        }
    }

    /// Returns `true` after the last event was queued.
    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Takes as much input as fits, and leaves the rest. Discards it if the client may not send input.
    pub(super) fn write(&mut self, typed: &mut Bytes) {
        if self.hello.writes && self.hello.stdin {
            self.outbox.write(typed);
        } else {
            typed.clear();
        }
    }

    /// Ends the input. A terminal cannot be half-closed, so this returns a key to send instead.
    pub(super) fn end_stdin(&mut self) -> Option<Bytes> {
        if self.hello.tty {
            return Some(Bytes::from_static(END_OF_TRANSMISSION));
        }
        if self.hello.writes && self.hello.stdin {
            self.outbox.end();
        }
        None
    }

    /// Sends a signal. Returns `false` if the gate does not send signals for this client.
    pub(super) fn signal(&mut self, name: &str) -> bool {
        let can = self.hello.signals && self.hello.writes;
        if can {
            self.outbox.signal(name);
        }
        can
    }

    /// Sets the terminal's size.
    pub(super) fn resize(&mut self, size: TerminalSize) {
        let size = Some(size.into());
        if self.size.size != size {
            self.size = NewestSize { size, is_unsent: true };
        }
    }

    /// Leaves the session, and closes the link with this code. Input typed before is still sent.
    pub(super) fn leave(&mut self, code: u16) {
        if self.phase == Phase::Open {
            self.phase = Phase::Leaving;
            self.close_code = code;
        }
    }

    /// The code to close the link with.
    pub(super) const fn close_code(&self) -> u16 {
        self.close_code
    }

    /// Returns `true` if the user leaves.
    pub(super) fn is_left(&self) -> bool {
        self.phase == Phase::Leaving
    }

    /// Takes the next event. The one that was taken before has been shown.
    pub(super) fn next_event(&mut self, now: Instant) -> Option<Event> {
        let was_full = self.is_full();
        let event = self.inbox.take(now);
        if was_full && !self.is_full() {
            self.liveness.received(now);
        }
        event
    }

    /// Returns `true` if too much output waits to be shown. Then nothing is received. The window prevents this, unless
    /// links are lost repeatedly.
    pub(super) const fn is_full(&self) -> bool {
        self.inbox.waiting_bytes() > MAXIMUM_WAITING
    }

    /// Returns the next message for the gate, and regards it as sent.
    pub(super) fn next_frame(&mut self, now: Instant) -> Option<Frame> {
        if let Some(number) = self.pongs.pop_front() {
            return Some(Frame::Pong(number));
        }
        if let (Some(size), true) = (self.size.size, self.size.is_unsent) {
            self.size.is_unsent = false;
            return Some(Frame::Resize(size));
        }
        if let Some(frame) = self.outbox.next_frame() {
            self.liveness.sent_input();
            return Some(frame);
        }
        self.inbox.next_ack(now).or_else(|| self.liveness.next_ping(now))
    }

    /// Returns the time at which a message may become due without another event.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        [self.inbox.ack_at(), self.liveness.ping_at()].into_iter().flatten().min()
    }

    /// Returns when the answer that is awaited is late; `None` while none is awaited.
    pub(super) fn late_at(&self) -> Option<Instant> {
        self.liveness.late_at()
    }

    /// Evaluates the link by what has arrived. While nothing is received, it counts as good.
    pub(super) fn health(&self, now: Instant) -> Health {
        if self.is_full() { Health::Good } else { self.liveness.health(now) }
    }

    /// Returns `true` if the gate has accepted all input.
    #[cfg(test)]
    pub(super) fn has_sent_all(&self) -> bool {
        self.outbox.is_empty()
    }
}
