//! One websocket of a session.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use zun_common::pty::{Frame, InvalidFrame, MAXIMUM_FRAME, close};

use super::attached::Attached;
use crate::hub::{Connected, ToDo};
use crate::session::Left;

/// How long a client may take to answer the close frame of the gate.
const CLOSE_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the gate's answer to a client's close frame may take to be sent.
pub(super) const CLOSE_ECHO_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a client whose access was revoked may take to answer the close frame.
const REVOKED_CLOSE_ANSWER_TIMEOUT: Duration = Duration::from_millis(400);
/// How long after the revocation such a client may stay connected, even if output for it is pending.
const REVOKED_TIMEOUT: Duration = Duration::from_millis(900);
/// How long the last messages may take to be sent once the connection must be closed.
const LAST_SEND_TIMEOUT: Duration = Duration::from_millis(500);
/// The buffers of a websocket, in bytes.
const BUFFER: usize = 16 << 10;

/// Why a session ends that must be recorded, in at most 123 bytes.
pub(super) const NOT_RECORDED: &str = "the session must be recorded, and its host cannot record it: ask the administrator to check the log of zun-console";

/// A message of at least this length, in bytes, is probably one of many.
const BULK: usize = 8 << 10;

/// The websocket.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A connection to a session. Dropping it disconnects the client.
pub(super) struct Link {
    connected: Connected,
    left: Left,
    _attached: Option<Attached>,
}

impl Link {
    pub(super) const fn new(connected: Connected, attached: Option<Attached>) -> Self {
        Self { connected, left: Left::Lost, _attached: attached }
    }

    /// Serves the connection until either side closes it.
    pub(super) async fn serve(mut self, socket: Socket) {
        let relayed = unless_revoked(&self.connected, self.relay(socket)).await;
        self.left = relayed.unwrap_or(Left::Lost);
    }

    async fn relay(&self, socket: Socket) -> Left {
        let (sink, stream) = socket.split();
        let mut receiving = std::pin::pin!(self.receive(stream));
        tokio::select! {
            // What was received comes first: it does not wake the task that sends.
            biased;
            left = &mut receiving => left,
            sent = self.send(sink) => match sent {
                // The client answers the close, and may still be sending.
                Ok((_sink, code)) => {
                    timeout(close_answer_timeout(code), receiving).await.unwrap_or(Left::Lost)
                }
                Err(_lost) => Left::Lost,
            },
        }
    }

    /// Passes messages to the session until the client disconnects.
    async fn receive(&self, mut stream: SplitStream<Socket>) -> Left {
        let Connected { live, id, .. } = &self.connected;
        while let Some(Ok(message)) = stream.next().await {
            let is_bulk = message.len() >= BULK;
            let broken = match message {
                Message::Binary(bytes) => self.pass(&bytes).is_err(),
                Message::Text(_) => true,
                Message::Close(frame) => {
                    // This sends the answer.
                    drop(timeout(CLOSE_ECHO_TIMEOUT, stream.next()).await);
                    return left(frame.as_ref());
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => false,
            };
            if is_bulk {
                // The session passes this on while the next message arrives.
                tokio::task::yield_now().await;
            }
            if broken {
                live.change(|session, _| session.refuse(*id, close::PROTOCOL_ERROR));
            }
        }
        Left::Lost
    }

    /// Passes a message to the session. Ignores one whose channel is not known.
    fn pass(&self, message: &Bytes) -> Result<(), InvalidFrame> {
        if let Some(frame) = Frame::decode(message)? {
            self.connected.receive(frame);
        }
        Ok(())
    }

    /// Sends the client what the session has for it, and finally a close frame.
    async fn send(
        &self,
        mut sink: SplitSink<Socket, Message>,
    ) -> Result<(SplitSink<Socket, Message>, u16), io::Error> {
        let mut outgoing = self.connected.outgoing();
        loop {
            match outgoing.next().await {
                ToDo::Send(messages) => {
                    unless_closed(&self.connected, send_all(&mut sink, messages)).await?;
                }
                ToDo::Close(code) => {
                    send_close(&mut sink, close_message(code, reason(code))).await?;
                    return Ok((sink, code));
                }
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connected.live.disconnect(self.connected.id, self.left);
    }
}

async fn send_all(
    sink: &mut SplitSink<Socket, Message>,
    messages: Vec<Bytes>,
) -> Result<(), io::Error> {
    for message in messages {
        sink.feed(Message::Binary(message)).await.map_err(io::Error::other)?;
    }
    sink.flush().await.map_err(io::Error::other)
}

/// Sends something. Fails if the connection must be closed and the client does not receive in time.
pub(super) async fn unless_closed(
    Connected { live, id, .. }: &Connected,
    sending: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    let cut = async {
        live.closing(*id).await;
        tokio::time::sleep(LAST_SEND_TIMEOUT).await;
    };
    tokio::select! {
        sent = sending => sent,
        () = cut => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Serves a connection to its end. Returns `None` if the client's access was revoked and it did not disconnect in time.
pub(super) async fn unless_revoked<T>(
    Connected { live, id, .. }: &Connected,
    serving: impl Future<Output = T>,
) -> Option<T> {
    let gone = async {
        live.revoked(*id).await;
        tokio::time::sleep(REVOKED_TIMEOUT).await;
    };
    tokio::select! {
        served = serving => Some(served),
        () = gone => None,
    }
}

/// Sends a close frame to a client that may not receive it.
pub(super) async fn send_close(
    sink: &mut SplitSink<Socket, Message>,
    message: Message,
) -> io::Result<()> {
    timeout(LAST_SEND_TIMEOUT, sink.send(message)).await?.map_err(io::Error::other)
}

/// How long a client may take to answer a close frame with this code.
pub(super) const fn close_answer_timeout(code: u16) -> Duration {
    if code == close::REVOKED { REVOKED_CLOSE_ANSWER_TIMEOUT } else { CLOSE_ANSWER_TIMEOUT }
}

/// A client that closes its side does not come back, unless it says that something went wrong.
fn left(frame: Option<&CloseFrame>) -> Left {
    match frame.map(|frame| u16::from(frame.code)) {
        Some(close::NORMAL) => Left::Detached,
        Some(close::GOING_AWAY) => Left::Gone,
        Some(_) | None => Left::Lost,
    }
}

/// The reason in a close frame, for clients that do not know the code.
const fn reason(code: u16) -> &'static str {
    match code {
        close::NOT_RECORDED => NOT_RECORDED,
        _ => "",
    }
}

pub(super) fn close_message(code: u16, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason: reason.into() }))
}

/// Turns an upgraded connection into a websocket.
pub(super) async fn websocket(upgraded: Upgraded) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(MAXIMUM_FRAME))
        .max_frame_size(Some(MAXIMUM_FRAME));
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::connected::tests::{connect, hub};

    #[tokio::test(start_paused = true)]
    async fn a_revoked_client_that_does_not_read_is_cut_off_within_a_second() {
        let (hub, _fake) = hub(true);
        let connected = connect(&hub).await;
        let stuck = unless_closed(&connected, std::future::pending());
        let mut stuck = std::pin::pin!(stuck);
        assert!(timeout(Duration::from_mins(1), &mut stuck).await.is_err(), "it may be slow");
        // As if each step took as long as it may.
        let served = unless_revoked(&connected, std::future::pending::<()>());
        let mut served = std::pin::pin!(served);
        assert!(timeout(Duration::from_mins(1), &mut served).await.is_err(), "it has access");
        assert_eq!(hub.revoke("g1"), 1);
        let cut = timeout(Duration::from_millis(600), stuck);
        let (cut, gone) = tokio::join!(cut, timeout(Duration::from_millis(950), served));
        assert!(cut.expect("cut off").is_err());
        assert_eq!(gone.expect("gone"), None);
    }
}
