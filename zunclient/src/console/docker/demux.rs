//! Docker's multiplexed stream of a process without a terminal. A frame has a header of 8 bytes (the stream, three
//! zeros, the length in big-endian order) and the data. The result does not depend on how the bytes are split into
//! reads.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::console::Event;

const HEADER_SIZE: usize = 8;

/// A frame of a stream that Docker does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("received a frame for unknown stream {0}")]
pub struct UnknownStream(u8);

/// Splits a multiplexed stream into stdout and stderr.
#[derive(Debug, Default)]
pub struct Demux {
    unread: BytesMut,
    current: Option<(u8, usize)>,
}

impl Demux {
    /// Adds bytes from the connection.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// Returns the next output that has arrived, or `None` if more bytes are needed. A frame may come in several parts.
    pub fn next_chunk(&mut self) -> Result<Option<Event>, UnknownStream> {
        while let Some((stream, missing)) = self.current.or_else(|| self.read_header()) {
            if missing > 0 && self.unread.is_empty() {
                self.current = Some((stream, missing));
                return Ok(None);
            }
            let piece = self.unread.split_to(missing.min(self.unread.len())).freeze();
            let left = missing - piece.len();
            self.current = (left > 0).then_some((stream, left));
            if missing > 0 {
                return event(stream, piece).map(Some);
            }
        }
        Ok(None)
    }

    /// Returns `true` if the stream must not end here, because a frame is incomplete.
    pub fn is_mid_frame(&self) -> bool {
        self.current.is_some() || !self.unread.is_empty()
    }

    fn read_header(&mut self) -> Option<(u8, usize)> {
        if self.unread.len() < HEADER_SIZE {
            return None;
        }
        let stream = self.unread.get_u8();
        self.unread.advance(3);
        let length = self.unread.get_u32();
        Some((stream, usize::try_from(length).unwrap_or(usize::MAX)))
    }
}

/// Stream 0 is an echo of stdin that Docker shows on stdout; 3 is an error of Docker itself.
fn event(stream: u8, bytes: Bytes) -> Result<Event, UnknownStream> {
    match stream {
        0 | 1 => Ok(Event::Stdout(bytes)),
        2 | 3 => Ok(Event::Stderr(bytes)),
        unknown => Err(UnknownStream(unknown)),
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

    fn drain(frames: &mut Demux, out: &mut [Vec<u8>; 2]) {
        while let Some(event) = frames.next_chunk().expect("known streams") {
            match event {
                Event::Stdout(bytes) => out[0].extend(bytes),
                Event::Stderr(bytes) => out[1].extend(bytes),
                Event::Exit(_) | Event::NotStarted { .. } | Event::Lost(_) => {
                    panic!("no such frame")
                }
            }
        }
    }

    proptest! {
        #[test]
        fn each_stream_gets_its_bytes_in_order_and_reads_do_not_matter(
            sent in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            piece in 1_usize..30,
        ) {
            let mut frames = Demux::default();
            let mut got = [Vec::new(), Vec::new()];
            for piece in encode(&sent).chunks(piece) {
                frames.feed(piece);
                drain(&mut frames, &mut got);
            }
            prop_assert!(!frames.is_mid_frame());
            for (index, is_error) in [(0, false), (1, true)] {
                let of_stream = sent.iter().filter(|(error, _)| *error == is_error);
                let expected: Vec<u8> = of_stream.flat_map(|(_, bytes)| bytes.clone()).collect();
                prop_assert_eq!(&got[index], &expected);
            }
        }

        #[test]
        fn an_end_within_a_frame_is_known(bytes in 1_usize..40, missing in 1_usize..40) {
            let wire = encode(&[(false, vec![7; bytes])]);
            let mut frames = Demux::default();
            frames.feed(wire.get(..wire.len().saturating_sub(missing).max(1)).expect("shorter"));
            drain(&mut frames, &mut [Vec::new(), Vec::new()]);
            prop_assert!(frames.is_mid_frame());
        }

        #[test]
        fn garbage_is_an_error_or_bytes_and_never_a_panic(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut frames = Demux::default();
            frames.feed(&garbage);
            while let Ok(Some(_)) = frames.next_chunk() {}
        }
    }
}
