//! Splits a stream into text and control sequences.

/// The most bytes of an unfinished sequence that are kept. Longer ones are skipped.
const MOST_HELD: usize = 4096;

const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const ESC: u8 = 0x1b;
const DEL: u8 = 0x7f;

/// A part of a terminal's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Characters and control characters. No character of UTF-8 is cut.
    Text(&'a [u8]),
    /// A whole control sequence, from its escape character to its end.
    Sequence(&'a [u8]),
}

/// Splits a terminal's stream, in reads of any size. What is unfinished at the end of a read is held until its end
/// arrives. It follows xterm: control characters within a sequence count as text before it, and CAN or SUB cancel it.
#[derive(Debug, Clone, Default)]
pub struct Scanner {
    at: At,
    held: Vec<u8>,
    /// The unfinished sequence is longer than what is held.
    is_cut: bool,
}

/// Where in the stream the scanner is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    Ground,
    /// Within a character of UTF-8, of which this many bytes are missing.
    Character(usize),
    /// After ESC, and perhaps intermediate bytes.
    Escape,
    /// After ESC [.
    Csi,
    /// After ESC ]: a string that BEL or ESC \ ends.
    Osc,
    /// Within another string, which ESC \ ends.
    Text,
    /// After ESC within a string, which ends there in any case.
    TextEnd,
}

impl Scanner {
    /// Takes the next bytes, and passes on each piece that they complete.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Piece<'_>)) {
        while !bytes.is_empty() {
            bytes = match self.at {
                At::Ground => self.plain(bytes, &mut each),
                At::Character(_) | At::Escape | At::Csi | At::Osc | At::Text | At::TextEnd => {
                    self.unfinished(bytes, &mut each)
                }
            };
        }
    }

    /// The unfinished sequence or character; empty between two of them.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// Whether the next byte begins a character or a sequence.
    pub fn is_whole(&self) -> bool {
        self.at == At::Ground
    }

    /// Returns the bytes that bring another terminal, which is between two characters, into the same parser state.
    pub fn continuation(&self) -> Vec<u8> {
        if !self.is_cut {
            return self.held.clone();
        }
        // Its content does not fit: a string that terminals ignore takes its place.
        let (begin, at_end) = match self.held.get(1) {
            Some(b']') => (&b"\x1b]"[..], false),
            Some(b'[') => (&b"\x1b[:"[..], false),
            Some(_) | None => (&b"\x1bX"[..], self.at == At::TextEnd),
        };
        let mut bytes = begin.to_vec();
        bytes.extend(at_end.then_some(ESC));
        bytes
    }

    /// Takes text up to the next sequence. Returns what follows.
    fn plain<'b>(&mut self, bytes: &'b [u8], each: &mut impl FnMut(Piece<'_>)) -> &'b [u8] {
        let end = bytes.iter().position(|byte| *byte == ESC);
        let (text, after) = bytes.split_at(end.unwrap_or(bytes.len()));
        self.text(text, end.is_none(), each);
        if end.is_some() {
            self.begin(At::Escape, ESC);
        }
        after.get(1..).unwrap_or_default()
    }

    /// Handles a byte of an unfinished sequence. Returns the bytes to scan next.
    fn unfinished<'b>(&mut self, bytes: &'b [u8], each: &mut impl FnMut(Piece<'_>)) -> &'b [u8] {
        match bytes.split_first() {
            Some((first, rest)) if self.take(*first, each) => rest,
            Some(_) | None => bytes,
        }
    }

    /// Passes on text. At the end of a read, holds back a character that is cut there.
    fn text(&mut self, text: &[u8], ends_read: bool, each: &mut impl FnMut(Piece<'_>)) {
        let cut = if ends_read { cut_character(text) } else { 0 };
        let (whole, cut) = text.split_at(text.len() - cut);
        if !whole.is_empty() {
            each(Piece::Text(whole));
        }
        if let Some(first) = cut.first() {
            self.held.extend_from_slice(cut);
            self.at = At::Character(length_of(*first) - cut.len());
        }
    }

    fn begin(&mut self, at: At, byte: u8) {
        self.at = at;
        self.is_cut = false;
        self.held.clear();
        self.held.push(byte);
    }

    fn hold(&mut self, byte: u8) {
        if self.held.len() < MOST_HELD {
            self.held.push(byte);
        } else {
            self.is_cut = true;
        }
    }

    fn end(&mut self) {
        self.at = At::Ground;
        self.is_cut = false;
        self.held.clear();
    }

    /// Handles a byte outside of plain text. Returns `false` if the byte must be scanned again.
    fn take(&mut self, byte: u8, each: &mut impl FnMut(Piece<'_>)) -> bool {
        match (self.at, byte) {
            (At::Ground, _) => return false,
            (At::Character(missing), 0x80..=0xbf) => {
                self.hold(byte);
                self.at = At::Character(missing - 1);
                if missing == 1 {
                    self.pass_on(each);
                }
            }
            (At::Character(_), _) => {
                self.pass_on(each);
                return false;
            }
            (_, CAN | SUB) => self.end(),
            (At::TextEnd, b'\\') | (At::Osc, BEL) => {
                self.hold(byte);
                self.pass_on(each);
            }
            // The string is cancelled by the sequence that begins.
            (At::TextEnd, _) => {
                self.begin(At::Escape, ESC);
                return false;
            }
            (At::Osc | At::Text, ESC) => {
                self.hold(byte);
                self.at = At::TextEnd;
            }
            (At::Osc | At::Text, _) => self.hold(byte),
            (At::Escape | At::Csi, ESC) => self.begin(At::Escape, ESC),
            (At::Escape | At::Csi, DEL) => {}
            (At::Escape | At::Csi, 0x00..=0x1f) => each(Piece::Text(&[byte])),
            (At::Escape | At::Csi, 0x80..=0xff) => {
                self.end();
                return false;
            }
            (At::Escape, _) => self.after_escape(byte, each),
            (At::Csi, _) => {
                self.hold(byte);
                if byte >= 0x40 {
                    self.pass_on(each);
                }
            }
        }
        true
    }

    fn after_escape(&mut self, byte: u8, each: &mut impl FnMut(Piece<'_>)) {
        let is_first = self.held.len() == 1;
        self.hold(byte);
        self.at = match byte {
            b'[' if is_first => At::Csi,
            b']' if is_first => At::Osc,
            b'P' | b'X' | b'^' | b'_' if is_first => At::Text,
            0x20..=0x2f => At::Escape,
            _ => return self.pass_on(each),
        };
    }

    /// Passes on the held bytes, unless there were too many.
    fn pass_on(&mut self, each: &mut impl FnMut(Piece<'_>)) {
        let mut held = std::mem::take(&mut self.held);
        if !self.is_cut {
            let is_sequence = held.first() == Some(&ESC);
            each(if is_sequence { Piece::Sequence(&held) } else { Piece::Text(&held) });
        }
        held.clear();
        self.held = held;
        self.end();
    }
}

/// The length of a character that begins with this byte. 1 for a byte that begins none.
const fn length_of(first: u8) -> usize {
    match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

/// How many bytes at the end of the text belong to a character that is cut there.
fn cut_character(text: &[u8]) -> usize {
    let tail = text.iter().rev().take(3).position(|byte| !matches!(byte, 0x80..=0xbf));
    let Some(length) = tail.map(|after| after + 1) else { return 0 };
    let first = text.iter().rev().nth(length - 1);
    if first.is_some_and(|first| length_of(*first) > length) { length } else { 0 }
}
