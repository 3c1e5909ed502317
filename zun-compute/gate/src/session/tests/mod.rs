//! Tests of sessions with clients that this file plays.

mod ends;
mod lost_links;
mod on_disconnect;
mod places;
mod recordings;
mod restarts;
mod rights;
mod screens;
mod streams;
mod viewers;

use std::time::{Duration, Instant};

use bytes::Bytes;
use zun_common::docker_stream::Stream as EngineStream;
use zun_common::pty::{
    ClientHello, Frame, Replay, Resume, ServerHello, SessionEvent, SessionKind, Size, Stream,
    ViewerMode,
};

use super::*;

const RING: usize = 256 << 10;
const RESUME: Duration = Duration::from_mins(15);

pub(super) fn session(tty: bool) -> Session {
    let kind = SessionKind::Container;
    session_of(Process { kind, tty, stdin: true, running: true })
}

pub(super) fn session_of(process: Process) -> Session {
    let files = Files::create(process, &limits().spill).expect("files");
    Session::new(process, limits(), files)
}

pub(super) fn limits() -> Limits {
    let memory = Memory::of(64 << 20);
    let spill = SpillLimits { directory: None, stream: 0, space: Memory::of(0) };
    let stats = Stats::default();
    Limits { ring: RING, memory, spill, resume: RESUME, attachments: 4, files: 1 << 20, stats }
}

pub(super) fn hello() -> ClientHello {
    ClientHello { writes: true, replay: Replay::All, window: 64 << 10, ..ClientHello::default() }
}

/// A client with what it has received.
pub(super) struct Client {
    pub(super) key: KeyHash,
    pub(super) id: ConnectionId,
    pub(super) hello: ServerHello,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) acks: Vec<(Stream, u64)>,
    pub(super) events: Vec<SessionEvent>,
    pub(super) other: Vec<Frame>,
    pub(super) closed: Option<u16>,
}

/// Opens an attachment.
pub(super) fn join(session: &mut Session, hello: ClientHello, now: Instant) -> Client {
    join_with(session, hello, true, now).expect("joined")
}

pub(super) fn join_with(
    session: &mut Session,
    hello: ClientHello,
    may_write: bool,
    now: Instant,
) -> Result<Client, JoinRefused> {
    let key = KeyHash::of(b"key");
    let token = Token::random().expect("random");
    let name = format!("s{}", session.last_id);
    let files = may_write.then(|| "ab".repeat(32).parse().expect("an id"));
    let join = Join { name, token, key, grant: "g1".to_owned(), may_write, files, hello };
    let id = session.join(join, now)?;
    Ok(Client::of(session, key, id, now))
}

impl Client {
    fn of(session: &mut Session, key: KeyHash, id: ConnectionId, now: Instant) -> Self {
        let Next::Message(message) = session.next(id, now) else { panic!("no hello") };
        let Ok(Some(Frame::Hello(hello))) = Frame::decode(&message) else { panic!("no hello") };
        let closed = None;
        let (stdout, stderr, acks, other) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let events = Vec::new();
        Self { key, id, hello: *hello, stdout, stderr, acks, events, other, closed }
    }

    /// Receives all that the session has at this time.
    pub(super) fn receive(&mut self, session: &mut Session, now: Instant) {
        while self.receive_one(session, now) {}
    }

    /// Receives one message. Returns whether there was one.
    pub(super) fn receive_one(&mut self, session: &mut Session, now: Instant) -> bool {
        let message = match session.next(self.id, now) {
            Next::Message(message) => message,
            Next::Close(code) => {
                self.closed = Some(code);
                return false;
            }
            Next::Wait(_) => return false,
        };
        match Frame::decode(&message).expect("valid").expect("known") {
            Frame::Stdout(bytes) => self.stdout.extend(&bytes),
            Frame::Stderr(bytes) => self.stderr.extend(&bytes),
            Frame::Event(event) => self.events.push(event),
            Frame::Ack { stream, offset } => self.acks.push((stream, offset)),
            other @ (Frame::Status(_)
            | Frame::Ping(_)
            | Frame::Pong(_)
            | Frame::Gap { .. }
            | Frame::Snapshot { .. }) => self.other.push(other),
            client @ (Frame::Stdin(_)
            | Frame::StdinEnd
            | Frame::Resize(_)
            | Frame::Hello(_)
            | Frame::Signal { .. }) => panic!("{client:?}"),
        }
        true
    }

    /// Acknowledges all that it has received.
    pub(super) fn acknowledge(&self, session: &mut Session, now: Instant) {
        let stdout = self.hello.stdout_next + self.stdout.len() as u64;
        let stderr = self.hello.stderr_next + self.stderr.len() as u64;
        for (stream, offset) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            session.receive(self.id, Frame::Ack { stream, offset }, now);
        }
    }

    pub(super) fn types(&self, session: &mut Session, bytes: &[u8], now: Instant) {
        session.receive(self.id, Frame::Stdin(Bytes::copy_from_slice(bytes)), now);
    }

    /// What resumes its session at these offsets.
    pub(super) fn resume(&self, stdout: u64, stderr: u64) -> Resume {
        let ServerHello { session, token, .. } = self.hello.clone();
        Resume { session, token, stdout, stderr }
    }

    /// Opens another connection to its session.
    pub(super) fn again(&self, session: &mut Session, resume: Resume, now: Instant) -> Self {
        let id = session.resume(self.key, &hello(), resume, now).expect("resumed");
        Self::of(session, self.key, id, now)
    }
}

/// Takes stdin as the engine does.
pub(super) fn engine_reads(session: &mut Session, now: Instant) -> (Vec<u8>, bool) {
    let (mut bytes, mut ended) = (Vec::new(), false);
    while let Some(next) = session.next_input() {
        match next.chunk {
            Chunk::Bytes(piece) => bytes.extend(&piece),
            Chunk::Dropped(_) => {}
            Chunk::End => ended = true,
        }
        session.wrote(now);
    }
    (bytes, ended)
}

pub(super) fn prints(session: &mut Session, bytes: &[u8], now: Instant) {
    session.output(EngineStream::Stdout, bytes, now);
}

pub(super) const SIZE: Size = Size { width: 80, height: 24 };
