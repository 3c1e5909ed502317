//! Finds the detach keys and the escape sequence in typed input. The result does not depend on how the bytes are split
//! into reads, and only a half-typed sequence is held back.

use super::detach_keys::{DetachKeys, EscapeCharacter};

/// How the user ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// With the detach keys.
    Detach,
    /// With the escape character and a dot at a line start, such as after the link is lost.
    Escape,
    /// By closing the terminal.
    Hangup,
}

/// The result of scanning typed bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The bytes to send.
    pub send: Vec<u8>,
    /// The session ends after them. Bytes after the sequence are not sent.
    pub leave: Option<Leave>,
    /// Whether the user asks for the list of sequences.
    pub help: bool,
}

/// What a complete sequence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sequence {
    Leave(Leave),
    Help,
}

/// The state between two reads.
#[derive(Debug, Clone)]
pub struct EscapeScanner {
    detach: Vec<u8>,
    escape: Option<u8>,
    held: Vec<u8>,
    line: Line,
}

/// What was already sent of the current line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Nothing.
    Start,
    /// Something.
    Within,
    /// Nothing but the beginning of a control sequence: ESC, or ESC [ and parameters.
    Escape,
    Control,
}

impl Line {
    /// Handles a byte. Replies of the terminal to a program's queries are not part of a line: some shells query the
    /// position of the cursor with each prompt.
    const fn after(self, byte: u8) -> Self {
        match (self, byte) {
            // Reports of the cursor, the terminal's type, its status and its focus end like this.
            (_, b'\r' | b'\n') | (Self::Control, b'R' | b'c' | b'n' | b'I' | b'O') => Self::Start,
            (Self::Start, 0x1b) => Self::Escape,
            (Self::Escape, b'[') | (Self::Control, 0x20..=0x3f) => Self::Control,
            (Self::Start | Self::Within | Self::Escape | Self::Control, _) => Self::Within,
        }
    }
}

impl EscapeScanner {
    /// Creates it for the start of a session, which counts as a line start.
    pub fn new(detach: &DetachKeys, escape: EscapeCharacter) -> Self {
        Self {
            detach: detach.bytes().to_vec(),
            escape: escape.0,
            held: Vec::new(),
            line: Line::Start,
        }
    }

    /// Scans typed bytes.
    pub fn feed(&mut self, typed: &[u8]) -> Typed {
        let mut send = Vec::with_capacity(self.held.len() + typed.len());
        let mut help = false;
        for byte in typed {
            self.held.push(*byte);
            match self.complete() {
                Some(Sequence::Leave(leave)) => {
                    self.held.clear();
                    return Typed { send, leave: Some(leave), help };
                }
                Some(Sequence::Help) => {
                    self.held.clear();
                    help = true;
                }
                None => {}
            }
            while !self.held.is_empty() && !self.may_become_a_sequence() {
                let first = self.held.remove(0);
                self.line = self.line.after(first);
                send.push(first);
            }
        }
        Typed { send, leave: None, help }
    }

    /// Returns the help text about the sequences.
    pub fn help(&self) -> String {
        let escape = self.escape.map(char::from).unwrap_or_default();
        let detach = if self.detach.is_empty() { "" } else { ", like the detach keys" };
        format!(
            "{escape}?\r\nSequences at the start of a line:\r\n {escape}.  disconnect{detach}; the process keeps running\r\n \
             {escape}?  show this help\r\n"
        )
    }

    /// Whether typed keys are held back.
    pub const fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Returns the held bytes, at the end of the input or if no other key followed in time.
    pub fn flush(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        for byte in &held {
            self.line = self.line.after(*byte);
        }
        held
    }

    fn complete(&self) -> Option<Sequence> {
        if !self.detach.is_empty() && self.held == self.detach {
            return Some(Sequence::Leave(Leave::Detach));
        }
        match (self.held.as_slice(), self.escape) {
            ([first, b'.'], Some(escape)) if self.line == Line::Start && *first == escape => {
                Some(Sequence::Leave(Leave::Escape))
            }
            ([first, b'?'], Some(escape)) if self.line == Line::Start && *first == escape => {
                Some(Sequence::Help)
            }
            _ => None,
        }
    }

    fn may_become_a_sequence(&self) -> bool {
        let is_escape =
            self.line == Line::Start && self.escape.is_some_and(|escape| self.held == [escape]);
        is_escape || self.detach.starts_with(&self.held)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scanner(keys: &str, escape: &str) -> EscapeScanner {
        let (keys, escape) = (keys.parse().expect("keys"), escape.parse().expect("an escape"));
        EscapeScanner::new(&keys, escape)
    }

    fn sent(typed: &Typed) -> &[u8] {
        &typed.send
    }

    #[test]
    fn a_half_typed_sequence_is_held_and_sent_with_the_next_key() {
        let mut scanner = scanner("ctrl-p,ctrl-q", "none");
        assert_eq!(sent(&scanner.feed(b"a\x10")), b"a");
        assert_eq!(sent(&scanner.feed(b"\x10")), b"\x10");
        assert_eq!(sent(&scanner.feed(b"b")), b"\x10b");
        assert_eq!(scanner.flush(), b"");
    }

    #[test]
    fn held_keys_are_flushed_at_the_end() {
        let mut scanner = scanner("ctrl-p,ctrl-q", "~");
        assert_eq!(sent(&scanner.feed(b"\x10")), b"");
        assert_eq!(scanner.flush(), b"\x10");
    }

    #[test]
    fn keys_that_were_flushed_are_no_part_of_a_sequence() {
        let mut scanner = scanner("ctrl-p,ctrl-q", "~");
        for (half, rest) in [(b"\x10", &b"\x11"[..]), (b"~", b".")] {
            assert!(!scanner.holds());
            assert_eq!(scanner.feed(half), Typed { send: Vec::new(), leave: None, help: false });
            assert!(scanner.holds());
            assert_eq!(scanner.flush(), half);
            assert_eq!(scanner.feed(rest), Typed { send: rest.to_vec(), leave: None, help: false });
            assert_eq!(scanner.feed(b"\r").leave, None);
        }
    }

    #[test]
    fn the_detach_keys_leave_and_what_is_behind_them_is_not_sent() {
        let typed = scanner("ctrl-p,ctrl-q", "~").feed(b"ls\r\x10\x11more");
        assert_eq!(
            typed,
            Typed { send: b"ls\r".to_vec(), leave: Some(Leave::Detach), help: false }
        );
    }

    #[test]
    fn a_dead_link_is_left_only_at_a_line_start() {
        assert_eq!(scanner("", "~").feed(b"~.").leave, Some(Leave::Escape));
        assert_eq!(scanner("", "~").feed(b"x~.").leave, None);
        assert_eq!(scanner("", "~").feed(b"x\r~.").leave, Some(Leave::Escape));
        assert_eq!(scanner("", "none").feed(b"~.").leave, None);
        assert_eq!(scanner("", "~").feed(b"~/bin\r").send, b"~/bin\r");
    }

    #[test]
    fn help_is_asked_for_at_a_line_start_and_is_not_sent() {
        let typed = scanner("", "~").feed(b"~?ls\r~?");
        assert_eq!(typed, Typed { send: b"ls\r".to_vec(), leave: None, help: true });
        assert!(!scanner("", "~").feed(b"x~?").help);
        assert!(!scanner("", "none").feed(b"~?").help);
        assert!(scanner("", "#").help().contains("#.  disconnect"));
    }

    #[test]
    fn the_answers_of_the_terminal_are_no_part_of_a_line() {
        for answer in ["\x1b[12;5R", "\x1b[?1;2c", "\x1b[I\x1b[1;1R"] {
            let typed = scanner("", "~").feed(format!("x\r{answer}~.").as_bytes());
            assert_eq!(typed.leave, Some(Leave::Escape), "{answer:?}");
            assert_eq!(scanner("", "~").feed(format!("x{answer}~.").as_bytes()).leave, None);
        }
        for key in ["\x1b[A", "\x1b", "\x1bb"] {
            assert_eq!(
                scanner("", "~").feed(format!("\r{key}~.").as_bytes()).leave,
                None,
                "{key:?}"
            );
        }
    }

    #[test]
    fn without_detach_keys_nothing_is_held() {
        assert_eq!(scanner("", "none").feed(b"\x10\x11~").send, b"\x10\x11~");
    }

    /// Few values, so that sequences and half of them come often.
    fn keystrokes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"ab~.\r\x10\x11".to_vec()), 0..60)
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_added_and_reads_do_not_matter(
            typed in keystrokes(),
            cuts in prop::collection::vec(1_usize..8, 0..60),
            keys in prop::sample::select(vec!["ctrl-p,ctrl-q", "ctrl-p,ctrl-p,ctrl-q", "a,b,a,~", ""]),
        ) {
            let mut whole = scanner(keys, "~");
            let at_once = whole.feed(&typed);
            let mut at_once_bytes = at_once.send;
            if at_once.leave.is_none() {
                at_once_bytes.extend(whole.flush());
                prop_assert_eq!(&at_once_bytes, &typed);
            } else {
                prop_assert!(typed.starts_with(&at_once_bytes));
            }

            let mut pieces = scanner(keys, "~");
            let (mut bytes, mut leave, mut rest) = (Vec::new(), None, typed.as_slice());
            let mut cuts = cuts.into_iter().chain(std::iter::repeat(1));
            while !rest.is_empty() && leave.is_none() {
                let (piece, behind) = rest.split_at(cuts.next().expect("endless").min(rest.len()));
                let typed = pieces.feed(piece);
                bytes.extend(typed.send);
                leave = typed.leave;
                rest = behind;
            }
            if leave.is_none() {
                bytes.extend(pieces.flush());
            }
            prop_assert_eq!(bytes, at_once_bytes);
            prop_assert_eq!(leave, at_once.leave);
        }
    }
}
