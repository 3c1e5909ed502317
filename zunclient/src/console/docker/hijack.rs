//! A hijacked HTTP connection: raw bytes of a terminal, or multiplexed frames without one. Closing our half (TLS
//! `close_notify`) closes the process's input; output continues.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use zun_common::docker_stream::{self, Demultiplexer, Part};

use super::address::Address;
use super::dial::Dialer;
use super::liveness::LivenessProbe;
use super::stream::Stream;
use super::upgrade::{Upgraded, upgrade};
use crate::console::{ConsoleError, Event};

const READ_SIZE: usize = 32 << 10;

/// How output is encoded.
#[derive(Debug)]
pub enum Framing {
    /// One stream, of a terminal.
    Raw,
    /// Multiplexed frames.
    Multiplexed(Demultiplexer),
}

impl Framing {
    /// Returns the framing of a process with or without a terminal.
    pub fn of(tty: bool) -> Self {
        if tty { Self::Raw } else { Self::Multiplexed(Demultiplexer::default()) }
    }
}

/// The reading half of a hijacked connection.
#[derive(Debug)]
pub struct HijackOutput {
    read: ReadHalf<Stream>,
    first: Vec<u8>,
    framing: Framing,
    buffer: BytesMut,
}

/// The writing half of a hijacked connection.
pub struct HijackInput {
    write: WriteHalf<Stream>,
    liveness: LivenessProbe,
}

/// Connects, posts `body` (JSON or empty) and takes the connection over. The host refuses a `Content-Type` on an
/// empty body.
pub async fn hijack(
    dialer: &Dialer,
    address: &Address,
    body: &str,
    framing: Framing,
) -> Result<(HijackOutput, HijackInput), ConsoleError> {
    let stream = dialer.dial(address).await?;
    let authority = address.authority();
    let content = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: zun\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
         {content}Content-Length: {}\r\n\r\n{body}",
        address.target,
        body.len(),
    );
    let Upgraded { stream, first, .. } = upgrade(stream, &authority, request.as_bytes()).await?;
    let liveness = LivenessProbe::new(&stream, dialer, address).map_err(ConsoleError::LinkLost)?;
    let (read, write) = tokio::io::split(stream);
    let output = HijackOutput { read, first, framing, buffer: BytesMut::new() };
    Ok((output, HijackInput { write, liveness }))
}

impl HijackOutput {
    /// Returns the next output, or `None` at its end. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            if let Some(event) = self.take(&first) {
                return Some(event);
            }
        }
        if let Some(event) = self.next_buffered() {
            return Some(event);
        }
        loop {
            self.buffer.reserve(READ_SIZE);
            match self.read.read_buf(&mut self.buffer).await {
                Ok(0) => return self.ended(None),
                Ok(_) => {}
                // The kernel resets a connection that the host closes with unread input. Only the exit code shows
                // whether the process has ended.
                Err(cause) if cause.kind() == std::io::ErrorKind::ConnectionReset => {
                    return self.ended(None);
                }
                Err(cause) => return self.ended(Some(cause.to_string())),
            }
            let bytes = self.buffer.split();
            if let Some(event) = self.take(&bytes) {
                return Some(event);
            }
        }
    }

    /// Returns `Lost` if the stream ended with an error or in the middle of a frame.
    fn ended(&mut self, why: Option<String>) -> Option<Event> {
        let mid_frame =
            matches!(&self.framing, Framing::Multiplexed(frames) if frames.is_mid_frame());
        // Raw framing is never in the middle of a frame, so this is reported only once.
        self.framing = Framing::Raw;
        why.or_else(|| mid_frame.then(|| "the stream ended in the middle of a frame".to_owned()))
            .map(Event::Lost)
    }

    fn take(&mut self, bytes: &[u8]) -> Option<Event> {
        match &mut self.framing {
            Framing::Raw => return Some(Event::Stdout(Bytes::copy_from_slice(bytes))),
            Framing::Multiplexed(frames) => frames.feed(bytes),
        }
        self.next_buffered()
    }

    fn next_buffered(&mut self) -> Option<Event> {
        match &mut self.framing {
            Framing::Raw => None,
            Framing::Multiplexed(frames) => match frames.next_part() {
                Ok(part) => part.map(event),
                Err(unknown) => Some(Event::Lost(unknown.to_string())),
            },
        }
    }
}

fn event(Part { stream, data, .. }: Part) -> Event {
    match stream {
        docker_stream::Stream::Stdout => Event::Stdout(data),
        docker_stream::Stream::Stderr => Event::Stderr(data),
    }
}

impl HijackInput {
    /// Sends bytes. Waits while the process does not read them, as long as its host is reachable.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ConsoleError> {
        let Self { write, liveness } = self;
        let writing = async {
            write.write_all(bytes).await?;
            write.flush().await
        };
        liveness.while_writing(writing).await.map_err(ConsoleError::LinkLost)
    }

    /// Closes our half.
    pub async fn shutdown(&mut self) -> Result<(), ConsoleError> {
        self.write.shutdown().await.map_err(ConsoleError::LinkLost)
    }
}
