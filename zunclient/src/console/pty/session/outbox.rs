//! What the client sends exactly once: stdin, its end, and signals. They are kept until the gate has accepted them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use zun_common::pty::{Frame, STDIN_WINDOW, ServerHello};

use super::Violation;

/// The most bytes of stdin in a message.
const CHUNK: usize = 32 << 10;

/// Input on its way to the gate.
#[derive(Debug)]
pub(super) struct Outbox {
    stdin: Stdin,
    end: End,
    signals: Signals,
}

/// The bytes of stdin that the gate has not accepted.
#[derive(Debug, Default)]
struct Stdin {
    /// How many bytes the gate has accepted: the offset of the first kept byte.
    accepted: u64,
    /// How many bytes the gate has passed on to the process. The others count towards the window, also those that the
    /// gate has accepted: otherwise it would have to keep a window for each lost link while the process reads nothing.
    passed: u64,
    /// Sent on this link, oldest first.
    sent: VecDeque<Bytes>,
    /// Not sent on this link. They follow those that were sent.
    unsent: VecDeque<Bytes>,
    /// How many bytes are kept.
    kept: u64,
}

/// The end of stdin.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum End {
    /// More may follow.
    #[default]
    Open,
    /// It has ended, but the end was not sent on this link.
    Unsent,
    /// It was sent on this link.
    Sent,
    /// The gate has accepted it.
    Accepted,
}

/// Signals, which are counted from 1.
#[derive(Debug, Default)]
struct Signals {
    /// How many the gate has accepted.
    accepted: u64,
    /// The others, oldest first.
    kept: VecDeque<String>,
    /// How many of them were sent on this link.
    sent: usize,
}

impl Outbox {
    /// Begins at the offsets of the gate's first hello.
    pub(super) fn new(hello: &ServerHello) -> Self {
        Self {
            stdin: Stdin {
                accepted: hello.stdin_next,
                passed: hello.stdin_next,
                ..Stdin::default()
            },
            end: if hello.stdin_ended { End::Accepted } else { End::Open },
            signals: Signals {
                accepted: hello.signal_next.saturating_sub(1),
                ..Signals::default()
            },
        }
    }

    /// Takes as many bytes of stdin as the window allows, and leaves the rest. Discards them after the end of stdin.
    pub(super) fn write(&mut self, typed: &mut Bytes) {
        if self.end != End::Open {
            return typed.clear();
        }
        let Stdin { accepted, kept, passed, .. } = self.stdin;
        let room = STDIN_WINDOW.saturating_sub((accepted + kept).saturating_sub(passed));
        let count = usize::try_from(room).unwrap_or(usize::MAX).min(typed.len());
        if count > 0 {
            self.stdin.kept += length(count);
            self.stdin.unsent.push_back(typed.split_to(count));
        }
    }

    /// Ends stdin.
    pub(super) fn end(&mut self) {
        if self.end == End::Open {
            self.end = End::Unsent;
        }
    }

    /// Adds a signal.
    pub(super) fn signal(&mut self, name: &str) {
        self.signals.kept.push_back(name.to_owned());
    }

    /// Returns the next message for this link, and regards it as sent.
    pub(super) fn next_frame(&mut self) -> Option<Frame> {
        if let Some(name) = self.signals.kept.get(self.signals.sent) {
            self.signals.sent += 1;
            let number = self.signals.accepted + length(self.signals.sent);
            return Some(Frame::Signal { number, name: name.clone() });
        }
        if let Some(chunk) = self.stdin.next_chunk() {
            self.stdin.sent.push_back(chunk.clone());
            return Some(Frame::Stdin(chunk));
        }
        if self.end == End::Unsent {
            self.end = End::Sent;
            return Some(Frame::StdinEnd);
        }
        None
    }

    /// Forgets what was sent on a link that is lost: everything that is kept will be sent again.
    pub(super) fn link_lost(&mut self) {
        while let Some(chunk) = self.stdin.sent.pop_back() {
            self.stdin.unsent.push_front(chunk);
        }
        self.signals.sent = 0;
        if self.end == End::Sent {
            self.end = End::Unsent;
        }
    }

    /// Forgets what the gate has accepted on former links.
    pub(super) fn resumed(&mut self, hello: &ServerHello) -> Result<(), Violation> {
        let Stdin { accepted, kept, .. } = self.stdin;
        if hello.stdin_next < accepted || hello.stdin_next > accepted + kept {
            return Err(Violation("the gate's hello has a wrong stdin offset"));
        }
        self.stdin.forget(hello.stdin_next);
        let signals = hello.signal_next.saturating_sub(1);
        if signals < self.signals.accepted || !self.signals.forget(signals) {
            return Err(Violation("the gate's hello has a wrong number of signals"));
        }
        match (hello.stdin_ended, self.end) {
            (false, End::Accepted) | (true, End::Open) => {
                Err(Violation("the gate's hello is wrong about the end of stdin"))
            }
            (true, _) if self.stdin.kept > 0 => {
                Err(Violation("the gate's hello ends stdin too early"))
            }
            (true, _) => {
                self.end = End::Accepted;
                Ok(())
            }
            (false, _) => Ok(()),
        }
    }

    /// The gate has passed on stdin before this offset.
    pub(super) fn stdin_passed(&mut self, offset: u64) -> Result<(), Violation> {
        let sent: u64 = self.stdin.sent.iter().map(|chunk| length(chunk.len())).sum();
        if offset > self.stdin.accepted + sent {
            return Err(Violation("the gate acknowledges stdin that was not sent"));
        }
        self.stdin.passed = self.stdin.passed.max(offset);
        self.stdin.forget(offset);
        Ok(())
    }

    /// The gate has accepted the end of stdin.
    pub(super) fn end_accepted(&mut self) -> Result<(), Violation> {
        match self.end {
            End::Open | End::Unsent => {
                Err(Violation("the gate acknowledges an end of stdin that was not sent"))
            }
            End::Sent | End::Accepted => {
                self.end = End::Accepted;
                Ok(())
            }
        }
    }

    /// The gate has accepted the signals up to this one.
    pub(super) fn signals_accepted(&mut self, number: u64) -> Result<(), Violation> {
        if number > self.signals.accepted + length(self.signals.sent) {
            return Err(Violation("the gate acknowledges a signal that was not sent"));
        }
        self.signals.forget(number);
        Ok(())
    }

    /// Returns `true` if the gate has accepted everything.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.stdin.kept == 0
            && self.signals.kept.is_empty()
            && matches!(self.end, End::Open | End::Accepted)
    }
}

impl Stdin {
    /// Takes the next bytes that were not sent. Short pieces become one.
    fn next_chunk(&mut self) -> Option<Bytes> {
        let mut first = self.unsent.pop_front()?;
        if first.len() >= CHUNK {
            let chunk = first.split_to(CHUNK);
            if !first.is_empty() {
                self.unsent.push_front(first);
            }
            return Some(chunk);
        }
        let fits = |chunk: &Bytes, next: &Bytes| chunk.len() + next.len() <= CHUNK;
        if !self.unsent.front().is_some_and(|next| fits(&first, next)) {
            return Some(first);
        }
        let mut joined = BytesMut::from(first);
        while let Some(next) = self.unsent.pop_front_if(|next| joined.len() + next.len() <= CHUNK) {
            joined.extend_from_slice(&next);
        }
        Some(joined.freeze())
    }

    /// Forgets the bytes before this offset.
    fn forget(&mut self, offset: u64) {
        let mut count = offset.saturating_sub(self.accepted).min(self.kept);
        self.accepted += count;
        self.kept -= count;
        while count > 0 {
            let from = if self.sent.is_empty() { &mut self.unsent } else { &mut self.sent };
            let Some(chunk) = from.front_mut() else { return };
            let whole = length(chunk.len());
            if whole > count {
                drop(chunk.split_to(usize::try_from(count).unwrap_or(usize::MAX)));
                return;
            }
            count -= whole;
            from.pop_front();
        }
    }
}

impl Signals {
    /// Forgets the signals up to this one. Returns `false` if there are fewer.
    fn forget(&mut self, number: u64) -> bool {
        while self.accepted < number {
            if self.kept.pop_front().is_none() {
                return false;
            }
            self.accepted += 1;
            self.sent = self.sent.saturating_sub(1);
        }
        true
    }
}

const fn length(count: usize) -> u64 {
    count as u64
}
