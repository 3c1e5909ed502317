//! Docker's multiplexed output of a process without a terminal. A frame has a header of 8 bytes (the stream, three
//! zeros, the length in big-endian order) and the data.

use bytes::{Buf as _, Bytes, BytesMut};

const HEADER_SIZE: usize = 8;

/// An output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, and all output of a process with a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A frame of a stream that Docker does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("received a frame for unknown stream {0}")]
pub struct UnknownStream(u8);

/// A part of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The stream.
    pub stream: Stream,
    /// The data, which is never empty.
    pub data: Bytes,
    /// Whether this is the beginning of the frame.
    pub begins: bool,
    /// Whether this is the end of the frame.
    pub ends: bool,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    stream: Stream,
    missing: usize,
    begins: bool,
}

/// Splits a multiplexed stream. The result does not depend on how the bytes are split into reads.
#[derive(Debug, Default)]
pub struct Demultiplexer {
    unread: BytesMut,
    frame: Option<Frame>,
}

impl Demultiplexer {
    /// Adds bytes from the connection.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// Returns the next part that has arrived, or `None` if more bytes are needed.
    pub fn next_part(&mut self) -> Result<Option<Part>, UnknownStream> {
        while self.frame.is_none() && self.unread.len() >= HEADER_SIZE {
            self.frame = self.read_header()?;
        }
        let Some(Frame { stream, missing, begins }) = self.frame else { return Ok(None) };
        if self.unread.is_empty() {
            return Ok(None);
        }
        let data = self.unread.split_to(missing.min(self.unread.len())).freeze();
        let missing = missing - data.len();
        self.frame = (missing > 0).then_some(Frame { stream, missing, begins: false });
        Ok(Some(Part { stream, data, begins, ends: missing == 0 }))
    }

    /// Resumes at another demultiplexer's place ([`Demultiplexer::place`]).
    pub fn within(frame: Option<(Stream, usize)>) -> Self {
        let frame = frame.filter(|(_, missing)| *missing > 0);
        let frame = frame.map(|(stream, missing)| Frame { stream, missing, begins: false });
        Self { unread: BytesMut::new(), frame }
    }

    /// Returns the state to resume from: the number of buffered bytes, and the incomplete frame with the number of bytes
    /// it still needs.
    pub fn place(&self) -> (usize, Option<(Stream, usize)>) {
        (self.unread.len(), self.frame.map(|frame| (frame.stream, frame.missing)))
    }

    /// Returns `true` if the stream must not end here, because a frame is incomplete.
    pub fn is_mid_frame(&self) -> bool {
        self.frame.is_some() || !self.unread.is_empty()
    }

    /// Reads a header. `None` if its frame is empty.
    fn read_header(&mut self) -> Result<Option<Frame>, UnknownStream> {
        let stream = match self.unread.get_u8() {
            // Stream 0 is an echo of stdin that Docker shows on stdout.
            0 | 1 => Stream::Stdout,
            // On stream 3, Docker sends its own errors.
            2 | 3 => Stream::Stderr,
            unknown => return Err(UnknownStream(unknown)),
        };
        self.unread.advance(3);
        let missing = usize::try_from(self.unread.get_u32()).unwrap_or(usize::MAX);
        Ok((missing > 0).then_some(Frame { stream, missing, begins: true }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(frames: &[(bool, Vec<u8>)]) -> Vec<u8> {
        let mut wire = Vec::new();
        for (is_error, bytes) in frames {
            wire.extend([1 + u8::from(*is_error), 0, 0, 0]);
            wire.extend(u32::try_from(bytes.len()).expect("short").to_be_bytes());
            wire.extend(bytes);
        }
        wire
    }

    /// Collects the frames that have arrived. The last one may be incomplete.
    fn drain(demultiplexer: &mut Demultiplexer, frames: &mut Vec<(bool, Vec<u8>)>) {
        while let Some(part) = demultiplexer.next_part().expect("known streams") {
            let Part { stream, data, begins, ends: _ } = part;
            assert!(!data.is_empty());
            if begins {
                frames.push((stream == Stream::Stderr, Vec::new()));
            }
            frames.last_mut().expect("a frame has begun").1.extend(data);
        }
    }

    proptest! {
        #[test]
        fn frames_arrive_in_order_and_reads_do_not_matter(
            sent in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            piece in 1_usize..30,
        ) {
            let mut demultiplexer = Demultiplexer::default();
            let mut got = Vec::new();
            for piece in encode(&sent).chunks(piece) {
                demultiplexer.feed(piece);
                drain(&mut demultiplexer, &mut got);
            }
            prop_assert!(!demultiplexer.is_mid_frame());
            let expected: Vec<_> = sent.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn another_demultiplexer_continues_at_any_byte(
            sent in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            piece in 1_usize..30,
        ) {
            let (wire, mut from) = (encode(&sent), 0);
            let (mut frame, mut got) = (None, [Vec::new(), Vec::new()]);
            while from < wire.len() {
                let mut demultiplexer = Demultiplexer::within(frame);
                let to = wire.len().min(from + piece + HEADER_SIZE);
                demultiplexer.feed(wire.get(from..to).expect("in range"));
                while let Some(part) = demultiplexer.next_part().expect("known streams") {
                    got[usize::from(part.stream == Stream::Stderr)].extend(part.data);
                }
                let (unread, place) = demultiplexer.place();
                (from, frame) = (to - unread, place);
            }
            for (is_error, got) in [false, true].into_iter().zip(got) {
                let of_it = sent.iter().filter(|(error, _)| *error == is_error);
                let expected: Vec<u8> = of_it.flat_map(|(_, bytes)| bytes.clone()).collect();
                prop_assert_eq!(got, expected);
            }
        }

        #[test]
        fn an_end_within_a_frame_is_known(bytes in 1_usize..40, missing in 1_usize..40) {
            let wire = encode(&[(false, vec![7; bytes])]);
            let mut demultiplexer = Demultiplexer::default();
            let arrived = wire.len().saturating_sub(missing).max(1);
            demultiplexer.feed(wire.get(..arrived).expect("shorter"));
            drain(&mut demultiplexer, &mut Vec::new());
            prop_assert!(demultiplexer.is_mid_frame());
        }

        #[test]
        fn garbage_is_an_error_or_bytes_and_never_a_panic(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut demultiplexer = Demultiplexer::default();
            demultiplexer.feed(&garbage);
            while let Ok(Some(_)) = demultiplexer.next_part() {}
        }
    }

    #[test]
    fn the_end_of_a_frame_is_marked() {
        let mut demultiplexer = Demultiplexer::default();
        demultiplexer.feed(&encode(&[(false, vec![1, 2])])[..9]);
        assert!(demultiplexer.next_part().is_ok_and(|part| part.is_some_and(|part| !part.ends)));
        demultiplexer.feed(&[2]);
        assert!(demultiplexer.next_part().is_ok_and(|part| part.is_some_and(|part| part.ends)));
    }
}
