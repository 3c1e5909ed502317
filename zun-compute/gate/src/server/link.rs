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
use zun_common::pty::{Frame, MAXIMUM_FRAME, close};

use super::attached::Attached;
use crate::hub::{Connected, ToDo};
use crate::session::Left;

/// How long a client may take to answer a close.
pub(super) const GOODBYE: Duration = Duration::from_secs(5);
/// How long a close may take to be sent.
pub(super) const SEND_CLOSE: Duration = Duration::from_secs(2);
/// The buffers of a websocket, in bytes.
const BUFFER: usize = 16 << 10;

/// The websocket.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A connection to a session, which ends with this.
pub(super) struct Link {
    connected: Connected,
    left: Left,
    _attached: Option<Attached>,
}

impl Link {
    pub(super) const fn new(connected: Connected, attached: Option<Attached>) -> Self {
        Self { connected, left: Left::Lost, _attached: attached }
    }

    /// Serves the connection until one of the sides ends it.
    pub(super) async fn serve(mut self, socket: Socket) {
        self.left = self.relay(socket).await;
    }

    async fn relay(&self, socket: Socket) -> Left {
        let (sink, stream) = socket.split();
        let mut receiving = std::pin::pin!(self.receive(stream));
        tokio::select! {
            left = &mut receiving => left,
            sent = self.send(sink) => match sent {
                // The client answers the close, and may still be sending.
                Ok(_sink) => timeout(GOODBYE, receiving).await.unwrap_or(Left::Lost),
                Err(_lost) => Left::Lost,
            },
        }
    }

    /// Passes messages to the session until the client is gone.
    async fn receive(&self, mut stream: SplitStream<Socket>) -> Left {
        let Connected { live, id } = &self.connected;
        while let Some(Ok(message)) = stream.next().await {
            let broken = match message {
                Message::Binary(bytes) => match Frame::decode(&bytes) {
                    Ok(Some(frame)) => {
                        live.change(|session, now| session.receive(*id, frame, now));
                        false
                    }
                    Ok(None) => false,
                    Err(_) => true,
                },
                Message::Text(_) => true,
                Message::Close(frame) => {
                    // This sends the answer.
                    drop(timeout(SEND_CLOSE, stream.next()).await);
                    return left(frame.as_ref());
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => false,
            };
            if broken {
                live.change(|session, _| session.refuse(*id, close::PROTOCOL_ERROR));
            }
        }
        Left::Lost
    }

    /// Sends what the session has for the client, and at last a close.
    async fn send(
        &self,
        mut sink: SplitSink<Socket, Message>,
    ) -> Result<SplitSink<Socket, Message>, io::Error> {
        let Connected { live, id } = &self.connected;
        loop {
            match live.to_do(*id).await {
                ToDo::Send(messages) => send_all(&mut sink, messages).await?,
                ToDo::Close(code) => {
                    let closing = sink.send(close_message(code));
                    timeout(SEND_CLOSE, closing).await?.map_err(io::Error::other)?;
                    return Ok(sink);
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

/// A client that closes its side does not come back, unless it says that something went wrong.
fn left(frame: Option<&CloseFrame>) -> Left {
    match frame.map(|frame| u16::from(frame.code)) {
        Some(1000 | 1001) => Left::Detached,
        Some(_) | None => Left::Lost,
    }
}

pub(super) fn close_message(code: u16) -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason: "".into() }))
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
