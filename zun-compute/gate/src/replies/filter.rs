//! Finds replies in the input of a viewer.
//!
//! A key is never held back. What begins like a reply is held only if at least three of its bytes have arrived together,
//! such as `ESC [ ?`: a terminal sends a reply at once, and nobody types that fast. A lone ESC, or ESC and another
//! character, is passed on immediately. If the rest of a reply follows in the next message, only that rest is dropped.

use std::time::{Duration, Instant};

use zun_common::terminal::Sequence;

use super::Question;

const ESC: u8 = 0x1b;
/// The longest reply that is held. A longer one is passed on or dropped as it arrives.
const MOST_HELD: usize = 4096;
/// Fewer bytes may be typed keys.
const FEWEST_HELD: usize = 3;
/// How long the rest of a reply may take.
const REST: Duration = Duration::from_millis(100);

/// The result of filtering input.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Filtered {
    /// What is passed on.
    pub bytes: Vec<u8>,
    /// How many bytes of input are settled: passed on, or dropped.
    pub settled: usize,
    /// Whether a person has typed something. Replies and reports of the mouse or the focus do not count.
    pub typed: bool,
}

/// Follows the input of one viewer.
#[derive(Debug, Default)]
pub struct ReplyFilter {
    /// The beginning of what may be a reply.
    held: Vec<u8>,
    /// How many of these bytes were passed on already.
    passed: usize,
    /// When the last of them arrived.
    since: Option<Instant>,
    /// Within a string that is too long to be held: whether it is passed on.
    long: Option<bool>,
}

/// What the held bytes are.
enum Verdict {
    /// The beginning of a sequence.
    Unfinished,
    /// A key, or nothing known.
    Key,
    /// A report of the mouse or the focus.
    Report,
    /// A reply.
    Reply(Question),
}

impl ReplyFilter {
    /// Filters a message. Calls `passes` for each reply to decide whether it is passed on.
    pub fn feed(
        &mut self,
        input: &[u8],
        now: Instant,
        mut passes: impl FnMut(Question) -> bool,
    ) -> Filtered {
        let mut filtered = self.expired(now);
        for byte in input {
            self.take(*byte, &mut filtered, &mut passes);
        }
        self.end_message(&mut filtered, now);
        filtered
    }

    /// How many bytes of input are neither passed on nor dropped yet.
    pub fn held(&self) -> usize {
        if self.long.is_some() { 0 } else { self.held.len() - self.passed }
    }

    /// Returns what was held for too long.
    pub fn expired(&mut self, now: Instant) -> Filtered {
        let mut filtered = Filtered::default();
        if self.expires_at().is_some_and(|at| at <= now) {
            self.release(&mut filtered);
        }
        filtered
    }

    /// When [`ReplyFilter::expired`] has something to return, if no more input arrives.
    pub fn expires_at(&self) -> Option<Instant> {
        self.since.map(|since| since + REST)
    }

    fn take(
        &mut self,
        byte: u8,
        filtered: &mut Filtered,
        passes: &mut impl FnMut(Question) -> bool,
    ) {
        if let Some(passed) = self.long {
            self.take_long(byte, passed, filtered);
            return;
        }
        if byte == ESC && !self.held.is_empty() && !is_string(&self.held) {
            self.release(filtered);
        }
        if self.held.is_empty() && byte != ESC {
            filtered.bytes.push(byte);
            filtered.settled += 1;
            filtered.typed = true;
            return;
        }
        self.held.push(byte);
        match verdict(&self.held) {
            Verdict::Unfinished if self.held.len() < MOST_HELD => {}
            Verdict::Unfinished => {
                let question = Sequence::read(&self.held).as_ref().and_then(Question::answered);
                let passed = question.is_none_or(&mut *passes);
                self.settle(passed, filtered);
                self.long = Some(passed);
            }
            Verdict::Key => self.release(filtered),
            Verdict::Report => self.settle(true, filtered),
            Verdict::Reply(question) => {
                let passed = passes(question);
                self.settle(passed, filtered);
            }
        }
    }

    /// Takes a byte of a long string. BEL, or the backslash after ESC, ends it.
    fn take_long(&mut self, byte: u8, passed: bool, filtered: &mut Filtered) {
        filtered.bytes.extend(passed.then_some(byte));
        filtered.settled += 1;
        let after_escape = self.held.pop() == Some(ESC);
        if byte == 0x07 || (after_escape && byte == b'\\') {
            self.long = None;
        } else {
            self.held.push(byte);
        }
    }

    /// Passes on or drops what is held, as one sequence.
    fn settle(&mut self, passed: bool, filtered: &mut Filtered) {
        let rest = self.held.get(self.passed..).unwrap_or_default();
        if passed {
            filtered.bytes.extend(rest);
        }
        filtered.settled += rest.len();
        self.clear();
    }

    /// Passes on what is held, because a person has typed it.
    fn release(&mut self, filtered: &mut Filtered) {
        if self.long.is_some() {
            self.since = None;
            return;
        }
        filtered.typed |= self.held.len() > self.passed;
        self.settle(true, filtered);
    }

    fn clear(&mut self) {
        self.held.clear();
        self.passed = 0;
        self.since = None;
    }

    fn end_message(&mut self, filtered: &mut Filtered, now: Instant) {
        if self.held.is_empty() || self.long.is_some() {
            return;
        }
        if self.passed > 0 {
            // The beginning was passed on, so the rest is too.
            self.release(filtered);
        } else if self.held.len() < FEWEST_HELD {
            filtered.bytes.extend(&self.held);
            filtered.settled += self.held.len();
            filtered.typed = true;
            self.passed = self.held.len();
            self.since = Some(now);
        } else {
            self.since.get_or_insert(now);
        }
    }
}

/// Whether the bytes begin a string, in which ESC does not begin another sequence.
fn is_string(held: &[u8]) -> bool {
    matches!(held, [ESC, b']' | b'P' | b'_', _, ..])
}

fn verdict(held: &[u8]) -> Verdict {
    match held {
        [] | [ESC] | [ESC, b'[' | b']' | b'P' | b'_'] => Verdict::Unfinished,
        [ESC, b'[', rest @ ..] => of_control(held, rest),
        [ESC, b']', first, ..] if first.is_ascii_digit() || matches!(first, b'l' | b'L') => {
            of_string(held, held.ends_with(b"\x07"))
        }
        [ESC, b'P', b'0'..=b'9' | b'>' | b'!', ..] | [ESC, b'_', b'G', ..] => {
            of_string(held, false)
        }
        _ => Verdict::Key,
    }
}

fn of_string(held: &[u8], has_ended: bool) -> Verdict {
    if has_ended || held.ends_with(b"\x1b\\") { of_sequence(held) } else { Verdict::Unfinished }
}

fn of_control(held: &[u8], rest: &[u8]) -> Verdict {
    match rest {
        // The mouse in its oldest form: three more bytes of any value.
        [b'M', ..] if rest.len() < 4 => Verdict::Unfinished,
        [b'M', ..] | [b'I' | b'O'] | [.., b'm' | b'M'] => Verdict::Report,
        [.., 0x20..=0x3f] => Verdict::Unfinished,
        [.., 0x40..=0x7e] => of_sequence(held),
        _ => Verdict::Key,
    }
}

fn of_sequence(held: &[u8]) -> Verdict {
    let question = Sequence::read(held).as_ref().and_then(Question::answered);
    question.map_or(Verdict::Key, Verdict::Reply)
}
