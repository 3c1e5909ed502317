//! Splits a container's log with timestamps into records.
//!
//! Docker stores a line of more than 16 KiB as several records and writes a timestamp before each record. If the
//! container has no terminal, each record is a frame of Docker's multiplexed stream. If it has a terminal, the records
//! follow each other without a separator.

use crate::docker_stream::{Demultiplexer, Part, Stream, UnknownStream};

/// The pattern of a timestamp without its time zone. A `0` stands for any digit.
const PATTERN: &[u8] = b"0000-00-00T00:00:00.000000000";

/// A record, or a part of one that has not arrived completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The output that the record belongs to.
    pub stream: Stream,
    /// The record's timestamp; only in its first piece.
    pub stamp: Option<String>,
    /// The piece's bytes, without the timestamp. May be empty.
    pub text: Vec<u8>,
}

/// How the records are separated, and the position in the current one.
#[derive(Debug)]
enum State {
    /// By frames. Holds the beginning of a frame that may be a timestamp.
    Framed { frames: Demultiplexer, held: Vec<u8> },
    /// By timestamps only. Holds the timestamp of the last record.
    Raw { stamp: String, at_line_start: bool },
}

/// Reads records from chunks of bytes. The chunks need not match the records.
#[derive(Debug)]
pub struct RecordReader {
    state: State,
    bytes: Vec<u8>,
    read: usize,
}

impl RecordReader {
    /// Creates a reader for a container with or without a terminal.
    pub fn new(tty: bool) -> Self {
        let state = if tty {
            State::Raw { stamp: String::new(), at_line_start: true }
        } else {
            State::Framed { frames: Demultiplexer::default(), held: Vec::new() }
        };
        Self { state, bytes: Vec::new(), read: 0 }
    }

    /// Adds bytes from the connection.
    pub fn feed(&mut self, bytes: &[u8]) {
        if let State::Framed { frames, held: _ } = &mut self.state {
            return frames.feed(bytes);
        }
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next piece, or `None` if more bytes are needed.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, UnknownStream> {
        match &mut self.state {
            State::Framed { frames, held } => framed(frames, held),
            State::Raw { stamp, at_line_start } => {
                let (stamp, at_line_start) = (std::mem::take(stamp), *at_line_start);
                Ok(self.raw(stamp, at_line_start))
            }
        }
    }

    /// Returns the bytes at the end of the log that looked like the start of a timestamp.
    pub fn finish(&mut self) -> Option<Piece> {
        let is_held = matches!(self.state, State::Raw { .. }) && !self.unread().is_empty();
        let text = self.take(if is_held { self.unread().len() } else { 0 });
        is_held.then_some(Piece { stream: Stream::Stdout, stamp: None, text })
    }

    fn unread(&self) -> &[u8] {
        self.bytes.get(self.read..).unwrap_or_default()
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.unread().get(..count).unwrap_or_default().to_vec();
        self.read += taken.len();
        taken
    }

    /// Finds the records by their timestamps. Within a line, an older timestamp than the previous record's is part of
    /// the text: the program printed it before Docker read and timestamped the output.
    fn raw(&mut self, mut last: String, mut at_line_start: bool) -> Option<Piece> {
        let (mut length, mut found) = (0, Stamp::None);
        while let Some(rest) = self.unread().get(length..).filter(|rest| !rest.is_empty()) {
            found = Stamp::at(rest).unless(|stamp| !at_line_start && stamp < last.as_bytes(), rest);
            if found != Stamp::None {
                break;
            }
            at_line_start = rest.first() == Some(&b'\n');
            length += 1;
        }
        let (stamp, text) = match (length, found) {
            (0, Stamp::Complete(_)) => {
                at_line_start = false;
                (self.stamp(found), Vec::new())
            }
            (_, _) => (None, self.take(length)),
        };
        last = stamp.clone().unwrap_or(last);
        self.state = State::Raw { stamp: last, at_line_start };
        let is_piece = stamp.is_some() || !text.is_empty();
        is_piece.then_some(Piece { stream: Stream::Stdout, stamp, text })
    }

    /// Takes a complete timestamp and the space after it.
    fn stamp(&mut self, stamp: Stamp) -> Option<String> {
        let Stamp::Complete(length) = stamp else { return None };
        let text = String::from_utf8_lossy(&self.take(length)).into_owned();
        self.read += 1;
        Some(text)
    }
}

/// Returns the next piece of a record. Holds the beginning of a frame until it is clear whether it is a timestamp.
fn framed(frames: &mut Demultiplexer, held: &mut Vec<u8>) -> Result<Option<Piece>, UnknownStream> {
    while let Some(Part { stream, data, begins, ends }) = frames.next_part()? {
        if !begins && held.is_empty() {
            return Ok(Some(Piece { stream, stamp: None, text: data.into() }));
        }
        held.extend_from_slice(&data);
        let stamp = Stamp::at(held);
        if stamp == Stamp::Partial && !ends {
            continue;
        }
        let mut text = std::mem::take(held);
        let Stamp::Complete(length) = stamp else {
            return Ok(Some(Piece { stream, stamp: None, text }));
        };
        let rest = text.split_off(length + 1);
        text.truncate(length);
        let stamp = Some(String::from_utf8_lossy(&text).into_owned());
        return Ok(Some(Piece { stream, stamp, text: rest }));
    }
    Ok(None)
}

/// Whether a text starts with a timestamp and a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    None,
    /// Perhaps: more bytes are needed.
    Partial,
    /// Yes. The length does not include the space.
    Complete(usize),
}

impl Stamp {
    /// Returns `None` for a complete timestamp that the predicate rejects.
    fn unless(self, rejects: impl Fn(&[u8]) -> bool, text: &[u8]) -> Self {
        match self {
            Self::Complete(length) if text.get(..length).is_some_and(rejects) => Self::None,
            other @ (Self::None | Self::Partial | Self::Complete(_)) => other,
        }
    }

    fn at(text: &[u8]) -> Self {
        let fits = |(byte, pattern): (&u8, &u8)| match pattern {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        };
        let zone: &[u8] = match text.get(PATTERN.len()) {
            Some(b'Z') => b"Z ",
            Some(b'+') => b"+00:00 ",
            Some(b'-') => b"-00:00 ",
            Some(_) => return Self::None,
            None => b"",
        };
        let zoned = text.get(PATTERN.len()..).unwrap_or_default();
        if !text.iter().zip(PATTERN).all(fits) || !zoned.iter().zip(zone).all(fits) {
            return Self::None;
        }
        match zone.len() {
            1.. if zoned.len() >= zone.len() => Self::Complete(PATTERN.len() + zone.len() - 1),
            _ => Self::Partial,
        }
    }
}

/// Writes one timestamp before each line, also if the line consists of several records.
#[derive(Debug, Default)]
pub struct LineTimestamps {
    /// Whether the last piece of stdout, and of stderr, did not end its line.
    mid_line: [bool; 2],
}

impl LineTimestamps {
    /// Returns the bytes to print for a piece.
    pub fn format(&mut self, piece: Piece) -> Vec<u8> {
        let Piece { stream, stamp, text } = piece;
        let [stdout, stderr] = &mut self.mid_line;
        let mid_line = if stream == Stream::Stdout { stdout } else { stderr };
        let ends = text.last().map(|last| *last == b'\n');
        let shown = match stamp.filter(|_| !*mid_line) {
            Some(stamp) => [stamp.as_bytes(), b" ", &text].concat(),
            None => text,
        };
        *mid_line = ends.map_or(*mid_line, |ends| !ends);
        shown
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).expect("short").to_be_bytes();
        [&[stream, 0, 0, 0][..], &length, text.as_bytes()].concat()
    }

    fn stamp(second: usize) -> String {
        format!("2026-11-23T18:00:{:02}.000000000Z", second % 60)
    }

    /// Returns the printed stdout and stderr of a log that arrives in chunks of this size.
    fn shown(tty: bool, wire: &[u8], size: usize) -> [String; 2] {
        let mut records = RecordReader::new(tty);
        let mut stamped = LineTimestamps::default();
        let mut outputs = [Vec::new(), Vec::new()];
        let mut show = |piece: Piece| {
            let output = usize::from(piece.stream == Stream::Stderr);
            outputs[output].extend(stamped.format(piece));
        };
        for part in wire.chunks(size) {
            records.feed(part);
            while let Some(piece) = records.next_piece().expect("known streams") {
                show(piece);
            }
        }
        records.finish().into_iter().for_each(&mut show);
        outputs.map(|output| String::from_utf8(output).expect("text"))
    }

    #[test]
    fn a_long_line_has_one_timestamp_at_its_beginning() {
        let (first, second, third) = (stamp(1), stamp(2), stamp(3));
        let wire = [
            frame(1, &format!("{first} abc")),
            frame(2, &format!("{second} oops ")),
            frame(1, &format!("{first} def\n")),
            frame(2, &format!("{second} ä\n")),
            frame(1, &format!("{third} \n")),
            frame(1, &format!("{third} x")),
        ]
        .concat();
        for size in 1..wire.len() {
            let [stdout, stderr] = shown(false, &wire, size);
            assert_eq!(stdout, format!("{first} abcdef\n{third} \n{third} x"), "{size}");
            assert_eq!(stderr, format!("{second} oops ä\n"), "{size}");
        }
    }

    #[test]
    fn a_long_line_of_a_terminal_keeps_the_times_that_the_program_printed() {
        let (own, first, second) = (stamp(0), stamp(1), stamp(2));
        let wire = format!(
            "{first} abc{first} def {own} 20\r\n{second} x{second} y\r\n{first} \n{first} 2026-1"
        );
        let right = format!("{first} abcdef {own} 20\r\n{second} xy\r\n{first} \n{first} 2026-1");
        for size in 1..wire.len() {
            assert_eq!(shown(true, wire.as_bytes(), size)[0], right, "{size}");
        }
    }

    #[test]
    fn dockers_own_error_has_no_timestamp() {
        let wire = frame(3, "Error grabbing logs: it is gone");
        assert_eq!(shown(false, &wire, 5)[1], "Error grabbing logs: it is gone");
    }

    proptest! {
        #[test]
        fn each_record_is_printed_completely(
            sent in prop::collection::vec((any::<bool>(), "[a-z0-9 \n]{0,40}"), 0..12),
            size in 1_usize..50,
        ) {
            let records = sent.iter().enumerate();
            let wire = records.clone().flat_map(|(second, (is_error, text))| {
                frame(1 + u8::from(*is_error), &format!("{} {text}", stamp(second)))
            });
            let outputs = shown(false, &wire.collect::<Vec<u8>>(), size);
            for (output, is_error) in outputs.iter().zip([false, true]) {
                let mut right = String::new();
                for (second, (error, text)) in records.clone() {
                    if *error == is_error {
                        if right.is_empty() || right.ends_with('\n') {
                            right.push_str(&stamp(second));
                            right.push(' ');
                        }
                        right += text;
                    }
                }
                // An empty record prints its timestamp without a line end.
                prop_assume!(sent.iter().all(|(_, text)| !text.is_empty()));
                prop_assert_eq!(output, &right);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            tty: bool,
            garbage in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut records = RecordReader::new(tty);
            records.feed(&garbage);
            while let Ok(Some(_)) = records.next_piece() {}
        }
    }
}
