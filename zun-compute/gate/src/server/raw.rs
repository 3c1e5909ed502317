//! Clients of OpenStack Zun: a websocket that carries the bytes of a terminal and nothing else.
//!
//! `openstack appcontainer attach` and `exec --interactive` read a websocket in a way that the gate must allow for:
//! they take an empty message for the end, wait for the next message after a ping, do not notice a second message in
//! one TLS record, and end with an error at bytes that are not UTF-8, and at a character that is split over two messages.

use std::io;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use zun_common::pty::{
    ClientHello, DisconnectSignal, Ending, EndingReason, Frame, OnDisconnect, Replay, STDIN_WINDOW,
    ServerHello, Stream, close,
};

use super::attached::Attached;
use super::link::{
    CLOSE_ECHO_TIMEOUT, Socket, close_answer_timeout, send_close, unless_closed, unless_revoked,
};
use crate::hub::{Connected, ToDo};
use crate::session::Left;
use crate::utf8::Utf8Stream;

/// The largest message, in bytes. With its head it fits into one TLS record.
const PIECE: usize = 8 << 10;
/// The close code of the websocket is this number plus the exit code.
const EXIT_CODES: u16 = 4000;

/// Clears a terminal, before a snapshot is drawn.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// The subprotocol that these clients offer.
pub(super) const BINARY: &str = "binary";

/// How long an exec keeps running after its client was lost, in seconds.
const GRACE: u32 = 30;

/// What a client of this kind asks for.
pub(super) fn hello() -> ClientHello {
    ClientHello {
        writes: true,
        replay: Replay::Screen,
        window: STDIN_WINDOW,
        // Such a client cannot resume, and no other client may know of the exec.
        on_disconnect: Some(OnDisconnect { signal: DisconnectSignal::Hup, grace: GRACE }),
        ..ClientHello::default()
    }
}

/// A connection to a session. Dropping it disconnects the client.
pub(super) struct RawLink {
    connected: Connected,
    /// Whether the client has asked for `binary`. It then gets no bytes of a terminal that are not UTF-8.
    is_text: bool,
    _attached: Option<Attached>,
}

/// What the client has received.
struct Shown {
    stdout: u64,
    stderr: u64,
    /// Set if the bytes must be converted to UTF-8.
    text: Option<Utf8Stream>,
    ending: Option<Box<Ending>>,
}

impl RawLink {
    pub(super) const fn new(
        connected: Connected,
        is_text: bool,
        attached: Option<Attached>,
    ) -> Self {
        Self { connected, is_text, _attached: attached }
    }

    /// Serves the connection until either side closes it.
    pub(super) async fn serve(self, socket: Socket) {
        unless_revoked(&self.connected, self.relay(socket)).await;
    }

    async fn relay(&self, socket: Socket) {
        let (sink, stream) = socket.split();
        let (accepted, acknowledged) = watch::channel(0);
        let mut receiving = std::pin::pin!(self.receive(stream, acknowledged));
        tokio::select! {
            // What was received comes first: it does not wake the task that sends.
            biased;
            () = &mut receiving => {}
            sent = self.send(sink, &accepted) => {
                if let Ok((_sink, code)) = sent {
                    // The client answers the close.
                    drop(timeout(close_answer_timeout(code), receiving).await);
                }
            }
        }
    }

    /// Passes input to the session until the client disconnects.
    async fn receive(&self, mut stream: SplitStream<Socket>, mut accepted: watch::Receiver<u64>) {
        let Connected { live, id, .. } = &self.connected;
        let writes = live.read(|session| session.client(*id)).is_some_and(|client| client.writes);
        let mut sent = 0;
        while let Some(Ok(message)) = stream.next().await {
            let typed = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => text.into(),
                Message::Close(_) => {
                    // This sends the answer.
                    drop(timeout(CLOSE_ECHO_TIMEOUT, stream.next()).await);
                    return;
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            if writes && self.pass(typed, &mut sent, &mut accepted).await.is_err() {
                return;
            }
        }
    }

    /// Passes input to the session, as fast as the process takes it.
    async fn pass(
        &self,
        mut typed: Bytes,
        sent: &mut u64,
        accepted: &mut watch::Receiver<u64>,
    ) -> Result<(), watch::error::RecvError> {
        while !typed.is_empty() {
            let piece = typed.split_to(typed.len().min(PIECE));
            *sent += piece.len() as u64;
            accepted.wait_for(|accepted| sent.saturating_sub(*accepted) <= STDIN_WINDOW).await?;
            self.connected.receive(Frame::Stdin(piece));
        }
        Ok(())
    }

    /// Sends output, and finally a close frame.
    async fn send(
        &self,
        mut sink: SplitSink<Socket, Message>,
        accepted: &watch::Sender<u64>,
    ) -> Result<(SplitSink<Socket, Message>, u16), io::Error> {
        let mut outgoing = self.connected.outgoing();
        let mut shown = Shown { stdout: 0, stderr: 0, text: None, ending: None };
        loop {
            let messages = match outgoing.next().await {
                ToDo::Send(messages) => messages,
                ToDo::Close(code) => {
                    let message = close_message(code, shown.ending.as_deref());
                    send_close(&mut sink, message).await?;
                    return Ok((sink, code));
                }
            };
            for frame in messages.iter().filter_map(|message| Frame::decode(message).ok()?) {
                let showing = self.show(&mut sink, frame, &mut shown, accepted);
                unless_closed(&self.connected, showing).await?;
            }
        }
    }

    async fn show(
        &self,
        sink: &mut SplitSink<Socket, Message>,
        frame: Frame,
        shown: &mut Shown,
        accepted: &watch::Sender<u64>,
    ) -> Result<(), io::Error> {
        match frame {
            Frame::Hello(hello) => {
                let ServerHello { tty, stdout_next, stderr_next, .. } = *hello;
                (shown.stdout, shown.stderr) = (stdout_next, stderr_next);
                shown.text = (self.is_text && tty).then(Utf8Stream::default);
            }
            Frame::Stdout(bytes) => {
                shown.stdout += bytes.len() as u64;
                send(sink, shown.readable(bytes)).await?;
                self.acknowledge(Stream::Stdout, shown.stdout);
            }
            Frame::Stderr(bytes) => {
                shown.stderr += bytes.len() as u64;
                send(sink, shown.readable(bytes)).await?;
                self.acknowledge(Stream::Stderr, shown.stderr);
            }
            Frame::Gap { stream: Stream::Stderr, to, .. } => shown.stderr = to,
            Frame::Gap { to, .. } => shown.stdout = to,
            Frame::Snapshot { offset, draw, .. } => {
                shown.stdout = offset;
                send(sink, CLEAR.into()).await?;
                send(sink, shown.readable(draw)).await?;
            }
            Frame::Ack { stream: Stream::Stdin, offset } => {
                accepted.send_replace(offset);
            }
            Frame::Status(ending) => {
                send(sink, shown.rest()).await?;
                if ending.zun.reason == EndingReason::NotStarted && !ending.message.is_empty() {
                    send(sink, format!("{}\r\n", ending.message).into()).await?;
                }
                shown.ending = Some(ending);
            }
            Frame::Ack { .. }
            | Frame::Event(_)
            | Frame::Ping(_)
            | Frame::Pong(_)
            | Frame::Stdin(_)
            | Frame::StdinEnd
            | Frame::Resize(_)
            | Frame::Signal { .. } => {}
        }
        Ok(())
    }

    fn acknowledge(&self, stream: Stream, offset: u64) {
        self.connected.receive(Frame::Ack { stream, offset });
    }
}

impl Drop for RawLink {
    fn drop(&mut self) {
        // Such a client cannot come back to its session.
        self.connected.live.disconnect(self.connected.id, Left::Gone);
    }
}

impl Shown {
    /// Returns what can be shown of these bytes and those that were kept back.
    fn readable(&mut self, bytes: Bytes) -> Bytes {
        match &mut self.text {
            Some(text) => text.feed(&bytes).into(),
            None => bytes,
        }
    }

    /// Returns the bytes that were kept back.
    fn rest(&mut self) -> Bytes {
        self.text.as_mut().map(Utf8Stream::finish).unwrap_or_default().into()
    }
}

/// Sends bytes in non-empty messages. Each message is flushed, so that it is in its own TLS record.
async fn send(sink: &mut SplitSink<Socket, Message>, mut bytes: Bytes) -> Result<(), io::Error> {
    while !bytes.is_empty() {
        let piece = bytes.split_to(piece_length(&bytes));
        sink.send(Message::Binary(piece)).await.map_err(io::Error::other)?;
    }
    Ok(())
}

/// The length of the first message: it ends between two characters, if the bytes are UTF-8.
fn piece_length(bytes: &[u8]) -> usize {
    let starts_character = |index: &usize| bytes.get(*index).is_none_or(|byte| byte & 0xC0 != 0x80);
    let longest = bytes.len().min(PIECE);
    (longest.saturating_sub(3)..=longest)
        .rev()
        .filter(|length| *length > 0)
        .find(starts_character)
        .unwrap_or(longest)
}

/// The close code contains the exit code. OpenStack Zun's clients ignore it.
fn close_message(code: u16, ending: Option<&Ending>) -> Message {
    let exit_code =
        ending.and_then(|ending| ending.zun.exit_code).filter(|_| code == close::NORMAL);
    let (code, reason) = match exit_code.map(u16::try_from) {
        Some(Ok(exit @ 1..=255)) => (EXIT_CODES + exit, format!("exit code {exit}")),
        Some(_) | None => (code, String::new()),
    };
    Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason: reason.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_between_two_characters() {
        let text = "a".repeat(PIECE - 1) + "€" + "b";
        assert_eq!(piece_length(text.as_bytes()), PIECE - 1);
        assert_eq!(piece_length("€".as_bytes()), 3);
        assert_eq!(piece_length(&[0x80; PIECE + 1]), PIECE);
        assert_eq!(piece_length(b"x"), 1);
    }

    #[test]
    fn the_close_code_says_a_failed_exit() {
        let code = |code, exit| {
            let ending = Ending::with_code(EndingReason::Exited, exit, "");
            let Message::Close(Some(frame)) = close_message(code, Some(&ending)) else { panic!() };
            (u16::from(frame.code), frame.reason.to_string())
        };
        assert_eq!(code(close::NORMAL, 0), (1000, String::new()));
        assert_eq!(code(close::NORMAL, 3), (4003, "exit code 3".to_owned()));
        assert_eq!(code(close::REVOKED, 3), (4403, String::new()));
    }
}
