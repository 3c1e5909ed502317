//! Writes one recording.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zun_common::pty::Size;
use zun_common::recording::RecordingInfo;

use super::cast::{Batch, DEFAULT_SIZE, Encoder, header, remark};
use super::now;
use super::store::Recordings;

/// Up to where a recording is valid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The length of its file.
    length: u64,
    /// The offsets in stdout and stderr of the output that follows.
    next: (u64, u64),
    /// The time of its last event, in microseconds.
    time: u64,
    /// The width and height of its terminal; 0 if they are not known.
    size: (u16, u16),
}

/// The bytes of a place.
const PLACE: usize = 5 * 8;

impl Place {
    /// The length up to which the recording is valid.
    pub(super) const fn length(self) -> u64 {
        self.length
    }

    fn to_bytes(self) -> Vec<u8> {
        let Self { length, next, time, size } = self;
        let size = (u64::from(size.0) << 16) | u64::from(size.1);
        let numbers = [length, next.0, next.1, time, size];
        numbers.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    /// Reads a place from its file.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut bytes = [0; PLACE];
        file.read_exact_at(&mut bytes, 0)?;
        let numbers = bytes.chunks_exact(8).filter_map(|eight| eight.try_into().ok());
        let mut numbers = numbers.map(u64::from_le_bytes);
        let mut number = || numbers.next().unwrap_or_default();
        let (length, next, time) = (number(), (number(), number()), number());
        let size = number();
        let part = |bits: u64| u16::try_from(bits & 0xFFFF).unwrap_or_default();
        Ok(Self { length, next, time, size: (part(size >> 16), part(size)) })
    }
}

/// A recording in progress.
#[derive(Debug)]
pub struct Writer {
    recordings: Arc<Recordings>,
    info: RecordingInfo,
    cast: File,
    place_file: File,
    place: Place,
    encoder: Encoder,
    /// The time of the recording at an instant of this process.
    clock: (Duration, Instant),
    /// Whether output could not be written since the last event.
    has_failed: bool,
}

impl Writer {
    /// Begins a recording in empty files.
    pub(super) fn begin(
        recordings: Arc<Recordings>,
        info: RecordingInfo,
        (cast, place_file): (File, File),
        size: Option<Size>,
    ) -> io::Result<Self> {
        let size = size.unwrap_or(DEFAULT_SIZE);
        let mut writer = Self {
            encoder: Encoder::new(info.tty, Some(size)),
            recordings,
            info,
            cast,
            place_file,
            place: Place::default(),
            clock: (Duration::ZERO, Instant::now()),
            has_failed: false,
        };
        let (line, encoder) = (header(&writer.info, size), writer.encoder.clone());
        writer.append(&line, (0, 0), (Duration::ZERO, encoder))?;
        Ok(writer)
    }

    /// Continues the recording of a former process.
    pub(super) fn resumed(
        recordings: Arc<Recordings>,
        info: RecordingInfo,
        (cast, place_file): (File, File),
    ) -> io::Result<Self> {
        let place = Place::read(&place_file)?;
        let size = Size { width: place.size.0, height: place.size.1 };
        let since = Duration::from_millis(now().saturating_sub(info.started));
        let time = since.max(Duration::from_micros(place.time));
        let encoder = Encoder::new(info.tty, Some(size));
        let clock = (time, Instant::now());
        Ok(Self { recordings, info, cast, place_file, place, encoder, clock, has_failed: false })
    }

    /// What it is of.
    pub const fn info(&self) -> &RecordingInfo {
        &self.info
    }

    /// The offsets in stdout and stderr of the output that follows, if a former process has recorded what was before.
    pub const fn next(&self) -> (u64, u64) {
        self.place.next
    }

    /// Records output. If this fails, it was not recorded, and can be recorded again.
    pub fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let (mut encoder, time, mut text) = (self.encoder.clone(), self.time(), String::new());
        if self.has_failed {
            remark(time, "the recording could not continue for a while", &mut text);
        }
        encoder.batch(time, batch, &mut text);
        let held = encoder.held();
        let next = (batch.to.0.saturating_sub(held.0), batch.to.1.saturating_sub(held.1));
        let written = self.append(&text, next, (time, encoder));
        self.has_failed = written.is_err();
        written
    }

    /// Ends the recording. `end` says how the session ended.
    pub fn finish(mut self, end: &str) -> io::Result<()> {
        let (mut encoder, time, mut text) = (self.encoder.clone(), self.time(), String::new());
        encoder.finish(time, &mut text);
        remark(time, end, &mut text);
        // There may be no space left. The end is also in the description.
        drop(self.append(&text, self.place.next, (time, encoder)));
        self.recordings.finished(&self.info, self.place.length, end)
    }

    fn time(&self) -> Duration {
        self.clock.0 + self.clock.1.elapsed()
    }

    fn append(
        &mut self,
        text: &str,
        next: (u64, u64),
        (time, encoder): (Duration, Encoder),
    ) -> io::Result<()> {
        let size = encoder.size().map_or((0, 0), |size| (size.width, size.height));
        let length = self.place.length + text.len() as u64;
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let place = Place { length, next, time, size };
        self.recordings.reserve(&self.info, length)?;
        self.cast.write_all_at(text.as_bytes(), self.place.length)?;
        self.place_file.write_all_at(&place.to_bytes(), 0)?;
        (self.place, self.encoder) = (place, encoder);
        Ok(())
    }
}
