//! Reads asciicast v2 from pieces of any size.

use std::time::Duration;

use serde::Deserialize;

/// The longest line that is read, in bytes. A gate writes at most 256 KiB of output in an event, of which each byte may be
/// escaped.
const LONGEST_LINE: usize = 8 << 20;

/// The first line of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Header {
    version: u32,
    pub(super) width: u16,
    pub(super) height: u16,
}

/// A line of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Header(Header),
    /// Output, and when it was printed.
    Output(Duration, String),
    /// A remark of the gate.
    Remark(Duration, String),
    /// Something that is not shown, such as a size.
    Other(Duration),
}

/// Why a recording cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidCast {
    #[error("it is not a recording in asciicast v2")]
    Header,
    #[error("line {0} of the recording is not an event of asciicast v2")]
    Event(usize),
    #[error("line {0} of the recording is too long")]
    Long(usize),
}

/// The lines of a recording.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// How much of the buffer has no line feed.
    searched: usize,
    read: usize,
}

impl Lines {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete line, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<Line>, InvalidCast> {
        let rest = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(found) = rest.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            let is_long = self.searched > LONGEST_LINE;
            return if is_long { Err(InvalidCast::Long(self.read + 1)) } else { Ok(None) };
        };
        let line: Vec<u8> = self.buffer.drain(..=self.searched + found).collect();
        self.searched = 0;
        self.read += 1;
        if self.read == 1 {
            return match serde_json::from_slice::<Header>(&line) {
                Ok(header) if header.version == 2 => Ok(Some(Line::Header(header))),
                Ok(_) | Err(_) => Err(InvalidCast::Header),
            };
        }
        event(&line).map(Some).ok_or(InvalidCast::Event(self.read))
    }
}

fn event(line: &[u8]) -> Option<Line> {
    let (time, code, text): (f64, String, String) = serde_json::from_slice(line).ok()?;
    let time = Duration::try_from_secs_f64(time).ok()?;
    Some(match code.as_str() {
        "o" => Line::Output(time, text),
        "m" => Line::Remark(time, text),
        _ => Line::Other(time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&str]) -> Result<Vec<Line>, InvalidCast> {
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece.as_bytes());
            while let Some(line) = lines.next()? {
                all.push(line);
            }
        }
        Ok(all)
    }

    #[test]
    fn lines_are_read_in_any_pieces() {
        let text = "{\"version\": 2, \"width\": 80, \"height\": 24, \"title\": \"x\"}\n\
                    [0.25, \"o\", \"a\\u001b[1m\"]\n[1.5, \"r\", \"100x30\"]\n[2, \"m\", \"note\"]\n";
        let millis = Duration::from_millis;
        let expected = vec![
            Line::Header(Header { version: 2, width: 80, height: 24 }),
            Line::Output(millis(250), "a\u{1b}[1m".to_owned()),
            Line::Other(millis(1500)),
            Line::Remark(millis(2000), "note".to_owned()),
        ];
        assert_eq!(lines(&[text]), Ok(expected.clone()));
        let single: Vec<_> = text.split_inclusive(|_| true).collect();
        assert_eq!(lines(&single), Ok(expected));
    }

    #[test]
    fn what_is_not_a_recording_is_refused() {
        assert_eq!(lines(&["hello\n"]), Err(InvalidCast::Header));
        assert_eq!(
            lines(&["{\"version\":1,\"width\":1,\"height\":1}\n"]),
            Err(InvalidCast::Header)
        );
        let header = "{\"version\":2,\"width\":1,\"height\":1}\n";
        for bad in ["[-1, \"o\", \"x\"]\n", "[1, \"o\"]\n", "x\n"] {
            assert_eq!(lines(&[header, bad]), Err(InvalidCast::Event(2)), "{bad}");
        }
        let long = "x".repeat(LONGEST_LINE + 1);
        assert_eq!(lines(&[header, &long]), Err(InvalidCast::Long(2)));
    }
}
