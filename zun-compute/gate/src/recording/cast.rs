//! The format of a recording: asciicast v2. The first line is a header, and each other line an event.
//!
//! ```text
//!  {"version": 2, "width": 80, "height": 24, "timestamp": 1764500000, "title": "web"}
//!  [0.250000, "o", "$ "]          output
//!  [1.000000, "r", "100x30"]      the terminal has another size
//!  [2.000000, "m", "…"]           a remark of the gate
//! ```

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use zun_common::pty::Size;
use zun_common::recording::RecordingInfo;

use crate::utf8::Utf8Stream;

/// The size of a terminal whose size is not known.
pub(super) const DEFAULT_SIZE: Size = Size { width: 80, height: 24 };

/// Output to record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// How many bytes before it were lost.
    pub missing: u64,
    /// Of stdout, or of the terminal.
    pub stdout: Vec<u8>,
    /// Of stderr.
    pub stderr: Vec<u8>,
    /// Sizes of the terminal, and after how many bytes of `stdout` it had them.
    pub sizes: Vec<(usize, Size)>,
    /// The offsets in stdout and stderr after it.
    pub to: (u64, u64),
}

/// What the next event depends on.
#[derive(Debug, Clone, Default)]
pub(super) struct Encoder {
    stdout: Utf8Stream,
    stderr: Utf8Stream,
    /// Whether lines end with a line feed only, because there is no terminal.
    plain_lines: bool,
    size: Option<Size>,
}

/// The first line of a recording.
pub(super) fn header(info: &RecordingInfo, size: Size) -> String {
    let Size { width, height } = size;
    let header = json!({
        "version": 2, "width": width, "height": height, "timestamp": info.started / 1000,
        "title": info.container_name, "env": { "TERM": "xterm-256color" },
    });
    format!("{header}\n")
}

impl Encoder {
    pub(super) fn new(tty: bool, size: Option<Size>) -> Self {
        Self { plain_lines: !tty, size, ..Self::default() }
    }

    /// The size of the terminal in the recording.
    pub(super) const fn size(&self) -> Option<Size> {
        self.size
    }

    /// How many bytes of stdout and stderr are the beginning of a character, and not in the recording yet.
    pub(super) const fn held(&self) -> (u64, u64) {
        (self.stdout.held() as u64, self.stderr.held() as u64)
    }

    /// Appends the events of a batch to `out`.
    pub(super) fn batch(&mut self, time: Duration, batch: &Batch, out: &mut String) {
        if batch.missing > 0 {
            let missing = batch.missing;
            self.finish(time, out);
            remark(time, &format!("{missing} bytes of output are missing here"), out);
        }
        let mut done = 0;
        for (at, size) in &batch.sizes {
            let at = (*at).clamp(done, batch.stdout.len());
            self.stdout(time, batch.stdout.get(done..at).unwrap_or_default(), out);
            done = at;
            if self.size.replace(*size) != Some(*size) {
                event(time, 'r', &format!("{}x{}", size.width, size.height), out);
            }
        }
        self.stdout(time, batch.stdout.get(done..).unwrap_or_default(), out);
        let text = self.stderr.feed(&batch.stderr);
        self.output(time, &text, out);
    }

    /// Appends what was held back: nothing follows it.
    pub(super) fn finish(&mut self, time: Duration, out: &mut String) {
        for text in [self.stdout.finish(), self.stderr.finish()] {
            self.output(time, &text, out);
        }
    }

    fn stdout(&mut self, time: Duration, bytes: &[u8], out: &mut String) {
        let text = self.stdout.feed(bytes);
        self.output(time, &text, out);
    }

    fn output(&self, time: Duration, text: &str, out: &mut String) {
        if self.plain_lines {
            event(time, 'o', &text.replace('\n', "\r\n"), out);
        } else {
            event(time, 'o', text, out);
        }
    }
}

/// Appends a remark.
pub(super) fn remark(time: Duration, text: &str, out: &mut String) {
    event(time, 'm', text, out);
}

fn event(time: Duration, code: char, text: &str, out: &mut String) {
    if text.is_empty() {
        return;
    }
    let (seconds, micros, text) = (time.as_secs(), time.subsec_micros(), json!(text));
    writeln!(out, "[{seconds}.{micros:06}, \"{code}\", {text}]").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(encoder: &mut Encoder, batch: &Batch) -> String {
        let mut out = String::new();
        encoder.batch(Duration::from_millis(1250), batch, &mut out);
        out
    }

    #[test]
    fn output_and_sizes_are_events_in_their_order() {
        let mut encoder = Encoder::new(true, Some(DEFAULT_SIZE));
        let larger = Size { width: 100, height: 30 };
        let batch = Batch {
            stdout: b"ab\x1b[1m\r\n".to_vec(),
            sizes: vec![(0, DEFAULT_SIZE), (2, larger)],
            ..Batch::default()
        };
        assert_eq!(
            text(&mut encoder, &batch),
            "[1.250000, \"o\", \"ab\"]\n[1.250000, \"r\", \"100x30\"]\n[1.250000, \"o\", \"\\u001b[1m\\r\\n\"]\n"
        );
    }

    #[test]
    fn a_character_in_two_batches_is_held_back_until_it_is_complete() {
        let mut encoder = Encoder::new(true, None);
        let euro = "€".as_bytes();
        let of = |bytes: &[u8]| Batch { stdout: bytes.to_vec(), ..Batch::default() };
        assert_eq!(text(&mut encoder, &of(&euro[..2])), "");
        assert_eq!(encoder.held(), (2, 0));
        assert_eq!(text(&mut encoder, &of(&euro[2..])), "[1.250000, \"o\", \"€\"]\n");
        assert_eq!(encoder.held(), (0, 0));
        assert_eq!(text(&mut encoder, &of(&euro[..1])), "");
        let mut out = String::new();
        encoder.finish(Duration::from_secs(2), &mut out);
        assert_eq!(out, "[2.000000, \"o\", \"\u{FFFD}\"]\n");
    }

    #[test]
    fn lines_of_a_process_without_a_terminal_begin_at_the_left_and_gaps_are_marked() {
        let mut encoder = Encoder::new(false, None);
        let batch = Batch {
            missing: 7,
            stdout: b"a\n".to_vec(),
            stderr: b"b\n".to_vec(),
            ..Batch::default()
        };
        assert_eq!(
            text(&mut encoder, &batch),
            "[1.250000, \"m\", \"7 bytes of output are missing here\"]\n\
             [1.250000, \"o\", \"a\\r\\n\"]\n[1.250000, \"o\", \"b\\r\\n\"]\n"
        );
    }
}
