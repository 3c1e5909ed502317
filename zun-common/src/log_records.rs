//! An engine's log with timestamps, taken apart into records.
//!
//! Docker keeps a line of more than 16 KiB as several records and puts a timestamp before each of them. A
//! process without a terminal has its records framed: `[stream][0 0 0][length, big-endian][bytes]`. With a
//! terminal they come one after another with nothing between.

const HEADER_SIZE: usize = 8;

/// `2026-11-23T18:00:00.000000000` without the zone behind it.
const PATTERN: &[u8] = b"0000-00-00T00:00:00.000000000";

/// Which output a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, and all output of a process with a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A frame that Docker never sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame for unknown stream {0}")]
pub struct UnknownStream(u8);

/// A piece of a record, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The output that it belongs to.
    pub stream: Stream,
    /// The record's timestamp, on its first piece.
    pub stamp: Option<String>,
    /// Its bytes; maybe none yet.
    pub text: Vec<u8>,
}

/// How records come over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Framed(Option<Frame>),
    Raw { stamp: String, at_line_start: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    stream: Stream,
    remaining: usize,
    at_start: bool,
}

/// Reads records, whatever the pieces that they arrive in.
#[derive(Debug)]
pub struct RecordReader {
    state: State,
    bytes: Vec<u8>,
    read: usize,
}

impl RecordReader {
    /// Of a process with or without a terminal.
    pub const fn new(tty: bool) -> Self {
        let state = if tty {
            State::Raw { stamp: String::new(), at_line_start: true }
        } else {
            State::Framed(None)
        };
        Self { state, bytes: Vec::new(), read: 0 }
    }

    /// Adds bytes from the connection.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next piece, or `None` until more has come.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, UnknownStream> {
        match std::mem::replace(&mut self.state, State::Framed(None)) {
            State::Framed(frame) => self.framed(frame),
            State::Raw { stamp, at_line_start } => Ok(self.raw(stamp, at_line_start)),
        }
    }

    /// The bytes that were held because they could have been the beginning of a timestamp.
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

    fn framed(&mut self, frame: Option<Frame>) -> Result<Option<Piece>, UnknownStream> {
        let mut now = frame.filter(|frame| frame.remaining > 0);
        // An empty frame has a header only.
        while now.is_none_or(|frame| frame.remaining == 0) {
            now = self.header()?;
            if now.is_none() {
                return Ok(None);
            }
        }
        self.state = State::Framed(now);
        let Some(frame) = now else { return Ok(None) };
        let here = self.unread().get(..frame.remaining).unwrap_or(self.unread());
        let stamp = if frame.at_start { Stamp::at(here) } else { Stamp::None };
        if here.is_empty() || (stamp == Stamp::Partial && here.len() < frame.remaining) {
            return Ok(None);
        }
        let (stamp, taken) = self.stamp(stamp);
        let text = self.take((frame.remaining - taken).min(self.unread().len()));
        let remaining = frame.remaining - taken - text.len();
        self.state = State::Framed(Some(Frame { remaining, at_start: false, ..frame }));
        Ok(Some(Piece { stream: frame.stream, stamp, text }))
    }

    fn header(&mut self) -> Result<Option<Frame>, UnknownStream> {
        let Some(&[stream, _, _, _, a, b, c, d]) = self.unread().first_chunk::<HEADER_SIZE>()
        else {
            return Ok(None);
        };
        // Stream 3 is an error of Docker itself.
        let stream = match stream {
            0 | 1 => Stream::Stdout,
            2 | 3 => Stream::Stderr,
            unknown => return Err(UnknownStream(unknown)),
        };
        self.read += HEADER_SIZE;
        let remaining = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        Ok(Some(Frame { stream, remaining, at_start: true }))
    }

    /// Without frames a record is known by its timestamp. Within a line one counts only if it is not older than that
    /// of the record before: what a program prints itself is older than the time at which Docker reads it.
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
                (self.stamp(found).0, Vec::new())
            }
            (_, _) => (None, self.take(length)),
        };
        last = stamp.clone().unwrap_or(last);
        self.state = State::Raw { stamp: last, at_line_start };
        let is_piece = stamp.is_some() || !text.is_empty();
        is_piece.then_some(Piece { stream: Stream::Stdout, stamp, text })
    }

    /// Takes a whole timestamp and the blank behind it, and says how many bytes that was.
    fn stamp(&mut self, stamp: Stamp) -> (Option<String>, usize) {
        let Stamp::Complete(length) = stamp else { return (None, 0) };
        let text = String::from_utf8_lossy(&self.take(length)).into_owned();
        self.read += 1;
        (Some(text), length + 1)
    }
}

/// Whether a text begins with a timestamp and a blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    None,
    /// It could, once more has come.
    Partial,
    /// With one of this length, without the blank.
    Complete(usize),
}

impl Stamp {
    /// The same, or none if it is a whole one like this.
    fn unless(self, unlike: impl Fn(&[u8]) -> bool, text: &[u8]) -> Self {
        match self {
            Self::Complete(length) if text.get(..length).is_some_and(unlike) => Self::None,
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

/// Puts one timestamp before each line, and none before the later pieces of a long one.
#[derive(Debug, Default)]
pub struct LineTimestamps {
    mid_line: [bool; 2],
}

impl LineTimestamps {
    /// What is shown of a piece.
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

    /// What is shown of a log that arrives in pieces of this size: stdout, and stderr.
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
    fn an_engines_own_error_has_no_timestamp() {
        let wire = frame(3, "Error grabbing logs: it is gone");
        assert_eq!(shown(false, &wire, 5)[1], "Error grabbing logs: it is gone");
    }

    proptest! {
        #[test]
        fn each_record_is_shown_whole(
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
                // A record without text leaves its timestamp.
                prop_assume!(sent.iter().all(|(_, text)| !text.is_empty()));
                prop_assert_eq!(output, &right);
            }
        }

        #[test]
        fn garbage_is_an_error_or_bytes_and_never_a_panic(
            tty: bool,
            garbage in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut records = RecordReader::new(tty);
            records.feed(&garbage);
            while let Ok(Some(_)) = records.next_piece() {}
        }
    }
}
