//! Messages: a channel number and a payload.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{Ending, ServerHello, SessionEvent};
use crate::units::TerminalSize;

/// The largest message in bytes. A gate closes a connection that sends a larger one.
pub const MAXIMUM_FRAME: usize = 1 << 20;

/// A channel's number: the first byte of each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Channel {
    /// Bytes for the process.
    Stdin = 0,
    /// Bytes of the process, or of its terminal.
    Stdout = 1,
    /// Bytes of the process's standard error.
    Stderr = 2,
    /// How the session ended, in JSON.
    Status = 3,
    /// The terminal's size, in JSON.
    Resize = 4,
    /// The gate's first message, in JSON.
    Hello = 16,
    /// How far a stream was received.
    Ack = 17,
    /// A signal for the process, in JSON.
    Signal = 18,
    /// A ping, or the answer to one.
    Ping = 19,
    /// An event of the session, in JSON.
    Event = 20,
    /// A part of the output that the client does not get.
    Gap = 21,
    /// The terminal's screen.
    Snapshot = 22,
    /// The end of a stream: the payload is the stream's channel.
    Close = 255,
}

impl Channel {
    /// Returns the channel with this number.
    pub const fn of(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Stdin,
            1 => Self::Stdout,
            2 => Self::Stderr,
            3 => Self::Status,
            4 => Self::Resize,
            16 => Self::Hello,
            17 => Self::Ack,
            18 => Self::Signal,
            19 => Self::Ping,
            20 => Self::Event,
            21 => Self::Gap,
            22 => Self::Snapshot,
            255 => Self::Close,
            _ => return None,
        })
    }
}

/// A counted stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Channel 0.
    Stdin,
    /// Channel 1.
    Stdout,
    /// Channel 2.
    Stderr,
    /// The signals of the client, counted from 1. Only in acknowledgements.
    Signals,
    /// The end of stdin. Only in acknowledgements: the offset is that of the end.
    StdinEnd,
}

impl Stream {
    const fn number(self) -> u8 {
        match self {
            Self::Stdin => Channel::Stdin as u8,
            Self::Stdout => Channel::Stdout as u8,
            Self::Stderr => Channel::Stderr as u8,
            Self::Signals => Channel::Signal as u8,
            Self::StdinEnd => Channel::Close as u8,
        }
    }

    const fn of(number: u8) -> Option<Self> {
        match Channel::of(number) {
            Some(Channel::Stdin) => Some(Self::Stdin),
            Some(Channel::Stdout) => Some(Self::Stdout),
            Some(Channel::Stderr) => Some(Self::Stderr),
            Some(Channel::Signal) => Some(Self::Signals),
            Some(Channel::Close) => Some(Self::StdinEnd),
            Some(
                Channel::Status
                | Channel::Resize
                | Channel::Hello
                | Channel::Ack
                | Channel::Ping
                | Channel::Event
                | Channel::Gap
                | Channel::Snapshot,
            )
            | None => None,
        }
    }
}

/// A terminal's size as Kubernetes writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Size {
    /// Characters in a line.
    pub width: u16,
    /// Number of lines.
    pub height: u16,
}

impl Size {
    /// The largest size of a terminal that clients share. Clients allocate memory for the whole of it.
    pub const LARGEST: Self = Self { width: 1000, height: 500 };

    /// Returns this size, or the largest one if it is larger.
    #[must_use]
    pub fn at_most_largest(self) -> Self {
        let Self { width, height } = Self::LARGEST;
        Self { width: self.width.min(width), height: self.height.min(height) }
    }
}

impl From<TerminalSize> for Size {
    fn from(size: TerminalSize) -> Self {
        Self { width: size.columns, height: size.rows }
    }
}

impl From<Size> for TerminalSize {
    fn from(size: Size) -> Self {
        Self { rows: size.height, columns: size.width }
    }
}

/// A message in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Bytes for the process.
    Stdin(Bytes),
    /// Bytes of the process, or of its terminal.
    Stdout(Bytes),
    /// Bytes of the process's standard error.
    Stderr(Bytes),
    /// The end of stdin, at the offset that the client has reached. Output continues.
    StdinEnd,
    /// How the session ended. The last message.
    Status(Box<Ending>),
    /// The size of the client's terminal. A client that sends the same size again takes control of the terminal size, as
    /// typing does.
    Resize(Size),
    /// What the gate says first.
    Hello(Box<ServerHello>),
    /// The peer has received everything of the stream before this offset, and will not ask for it again.
    Ack {
        /// The stream.
        stream: Stream,
        /// The offset of the next byte; for signals, the number of the last one.
        offset: u64,
    },
    /// A signal for the process.
    Signal {
        /// Its number: 1 for the client's first signal. A number that the gate has seen has no effect.
        number: u64,
        /// Its name, such as `SIGTERM`.
        name: String,
    },
    /// A ping with its number. The peer answers at once.
    Ping(u64),
    /// The answer to a ping, with its number.
    Pong(u64),
    /// An event of the session.
    Event(SessionEvent),
    /// The client does not get these bytes of the output. The next bytes of the stream are those at `to`.
    Gap {
        /// The stream.
        stream: Stream,
        /// The offset of the first missing byte.
        from: u64,
        /// The offset after the last one.
        to: u64,
    },
    /// The terminal's screen as it is at an offset of stdout. Writing `draw` to a cleared terminal of this size shows
    /// it. The next bytes of stdout are those at the offset.
    Snapshot {
        /// The offset.
        offset: u64,
        /// The size of the screen.
        size: Size,
        /// What draws it.
        draw: Bytes,
    },
}

/// The message breaks the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFrame {
    /// It is empty.
    #[error("an empty message")]
    Empty,
    /// The channel's payload cannot be read.
    #[error("a bad payload on channel {0}")]
    BadPayload(u8),
}

impl Frame {
    /// Returns the message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Stdin(data) => return bytes_on(Channel::Stdin, data),
            Self::Stdout(data) => return bytes_on(Channel::Stdout, data),
            Self::Stderr(data) => return bytes_on(Channel::Stderr, data),
            Self::StdinEnd => out.put_slice(&[Channel::Close as u8, Channel::Stdin as u8]),
            Self::Status(ending) => return json_on(Channel::Status, ending),
            Self::Resize(size) => return json_on(Channel::Resize, size),
            Self::Hello(hello) => return json_on(Channel::Hello, hello),
            Self::Ack { stream, offset } => {
                out.put_slice(&[Channel::Ack as u8, stream.number()]);
                out.put_u64(*offset);
            }
            Self::Signal { number, name } => {
                return json_on(
                    Channel::Signal,
                    &SignalPayload { number: *number, name: name.clone() },
                );
            }
            Self::Ping(number) => {
                out.put_slice(&[Channel::Ping as u8, 0]);
                out.put_u64(*number);
            }
            Self::Pong(number) => {
                out.put_slice(&[Channel::Ping as u8, 1]);
                out.put_u64(*number);
            }
            Self::Event(event) => return json_on(Channel::Event, event),
            Self::Gap { stream, from, to } => {
                out.put_slice(&[Channel::Gap as u8, stream.number()]);
                out.put_u64(*from);
                out.put_u64(*to);
            }
            Self::Snapshot { offset, size, draw } => {
                out.put_u8(Channel::Snapshot as u8);
                out.put_u64(*offset);
                out.put_u16(size.width);
                out.put_u16(size.height);
                out.put_slice(draw);
            }
        }
        out.freeze()
    }

    /// Reads a message. `None` if its channel is not known: the receiver ignores it.
    pub fn decode(message: &Bytes) -> Result<Option<Self>, InvalidFrame> {
        let number = *message.first().ok_or(InvalidFrame::Empty)?;
        let Some(channel) = Channel::of(number) else { return Ok(None) };
        let payload = message.slice(1..);
        let bad = InvalidFrame::BadPayload(number);
        Self::of(channel, &payload).map_or(Err(bad), |frame| Ok(Some(frame)))
    }

    fn of(channel: Channel, payload: &Bytes) -> Option<Self> {
        Some(match channel {
            Channel::Stdin => Self::Stdin(payload.clone()),
            Channel::Stdout => Self::Stdout(payload.clone()),
            Channel::Stderr => Self::Stderr(payload.clone()),
            Channel::Status => Self::Status(json(payload)?),
            Channel::Resize => Self::Resize(json(payload)?),
            Channel::Hello => Self::Hello(json(payload)?),
            Channel::Ack => {
                let (stream, [offset]) = counted(payload)?;
                Self::Ack { stream, offset }
            }
            Channel::Signal => {
                let SignalPayload { number, name } = json(payload)?;
                Self::Signal { number, name }
            }
            Channel::Ping => {
                let (kind, number) = payload.split_first()?;
                let number = u64::from_be_bytes(number.try_into().ok()?);
                match kind {
                    0 => Self::Ping(number),
                    1 => Self::Pong(number),
                    _ => return None,
                }
            }
            Channel::Event => Self::Event(json(payload)?),
            Channel::Gap => {
                let (stream, [from, to]) = counted(payload)?;
                Self::Gap { stream, from, to }
            }
            Channel::Snapshot => {
                let (offset, rest) = payload.split_first_chunk()?;
                let (width, rest) = rest.split_first_chunk()?;
                let (height, draw) = rest.split_first_chunk()?;
                let size =
                    Size { width: u16::from_be_bytes(*width), height: u16::from_be_bytes(*height) };
                let draw = payload.slice_ref(draw);
                Self::Snapshot { offset: u64::from_be_bytes(*offset), size, draw }
            }
            Channel::Close => match payload.as_ref() {
                [closed] if *closed == Channel::Stdin as u8 => Self::StdinEnd,
                _ => return None,
            },
        })
    }
}

#[derive(Serialize, Deserialize)]
struct SignalPayload {
    number: u64,
    name: String,
}

fn bytes_on(channel: Channel, data: &Bytes) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 1);
    out.put_u8(channel as u8);
    out.put_slice(data);
    out.freeze()
}

fn json_on(channel: Channel, value: &impl Serialize) -> Bytes {
    let mut out = vec![channel as u8];
    // These types have no map with keys that are not strings, so writing to memory cannot fail.
    let written = serde_json::to_writer(&mut out, value);
    debug_assert!(written.is_ok(), "a message that cannot be written: {written:?}");
    out.into()
}

fn json<T: for<'de> Deserialize<'de>>(payload: &[u8]) -> Option<T> {
    serde_json::from_slice(payload).ok()
}

fn counted<const N: usize>(payload: &[u8]) -> Option<(Stream, [u64; N])> {
    let (number, mut rest) = payload.split_first()?;
    let mut offsets = [0; N];
    for offset in &mut offsets {
        let (read, after) = rest.split_first_chunk()?;
        *offset = u64::from_be_bytes(*read);
        rest = after;
    }
    rest.is_empty().then_some((Stream::of(*number)?, offsets))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::super::{EndingReason, SessionKind};
    use super::*;

    fn frames() -> Vec<Frame> {
        let data = Bytes::from_static(b"\x00bytes\xff");
        let hello = ServerHello {
            session: "s".to_owned(),
            token: "t".to_owned(),
            kind: SessionKind::Container,
            tty: true,
            stdin: true,
            writes: true,
            running: false,
            has_screen: true,
            resumed: false,
            stdin_next: 1,
            signal_next: 2,
            stdout_next: 3,
            stderr_next: 4,
            stdin_ended: false,
            signals: true,
            resume_seconds: 900,
            files: None,
            acts_on_disconnect: false,
        };
        vec![
            Frame::Stdin(data.clone()),
            Frame::Stdout(Bytes::new()),
            Frame::Stderr(data.clone()),
            Frame::StdinEnd,
            Frame::Status(Box::new(Ending::new(EndingReason::Detached, "left"))),
            Frame::Resize(Size { width: 80, height: 24 }),
            Frame::Hello(Box::new(hello)),
            // The largest number that JavaScript holds.
            Frame::Ack { stream: Stream::StdinEnd, offset: (1 << 53) - 1 },
            Frame::Signal { number: 7, name: "SIGTERM".to_owned() },
            Frame::Ping(1),
            Frame::Pong(2),
            Frame::Event(SessionEvent::Viewers { own: 1, viewers: 2, others: Vec::new() }),
            Frame::Gap { stream: Stream::Stdout, from: 1, to: 2 },
            Frame::Snapshot { offset: 9, size: Size { width: 1, height: 2 }, draw: data },
        ]
    }

    #[test]
    fn each_message_is_read_as_it_was_written() {
        for frame in frames() {
            assert_eq!(Frame::decode(&frame.encode()), Ok(Some(frame)));
        }
    }

    /// The web console reads and writes the same messages in TypeScript. Its tests read this file.
    #[test]
    fn the_messages_of_the_web_consoles_tests_are_those_of_this_crate() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/tests/frames.txt");
        let frames = frames().into_iter().map(|frame| STANDARD.encode(frame.encode()) + "\n");
        let frames: String = frames.collect();
        if std::env::var_os("ZUN_WRITE_FRAMES").is_some() {
            std::fs::write(file, &frames).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(file).unwrap(),
            frames,
            "run the test with ZUN_WRITE_FRAMES=1"
        );
    }

    #[test]
    fn channels_of_kubernetes_have_its_bytes() {
        assert_eq!(Frame::Stdin(Bytes::from_static(b"x")).encode().as_ref(), b"\x00x");
        assert_eq!(Frame::StdinEnd.encode().as_ref(), [255, 0]);
        let size = Frame::Resize(Size { width: 80, height: 24 });
        assert_eq!(size.encode().as_ref(), b"\x04{\"Width\":80,\"Height\":24}");
    }

    #[test]
    fn an_unknown_channel_is_ignored_and_a_bad_payload_is_an_error() {
        let decode = |message: &'static [u8]| Frame::decode(&Bytes::from_static(message));
        assert_eq!(decode(b"\x63later"), Ok(None));
        assert_eq!(decode(b""), Err(InvalidFrame::Empty));
        for bad in [
            &b"\x11"[..],
            b"\x11\x001234567",
            b"\x11\x00123456789",
            b"\x04{}",
            b"\xff\x01",
            b"\x16",
        ] {
            assert!(matches!(decode(bad), Err(InvalidFrame::BadPayload(_))), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(message in prop::collection::vec(any::<u8>(), 0..64)) {
            let message = Bytes::from(message);
            if let Ok(Some(frame)) = Frame::decode(&message) {
                prop_assert_eq!(Frame::decode(&frame.encode()), Ok(Some(frame)));
            }
        }
    }
}
