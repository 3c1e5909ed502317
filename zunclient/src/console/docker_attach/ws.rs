//! The WebSocket of a terminal. Output is one merged stream of binary frames.

use std::io::ErrorKind;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use zun_common::shutdown::Tasks;

use super::END_OF_TRANSMISSION;
use crate::console::docker::address::Address;
use crate::console::docker::dial::Dialer;
use crate::console::docker::liveness::LivenessProbe;
use crate::console::docker::stream::Stream;
use crate::console::docker::websocket::websocket;
use crate::console::{ConsoleError, Event, Input};

type Socket = WebSocketStream<Stream>;

/// The output of the terminal.
pub(super) struct WsOutput(SplitStream<Socket>);

type Sink = Mutex<SplitSink<Socket, Message>>;

/// The input of the terminal.
pub(super) struct WsInput(Arc<Sink>, LivenessProbe);

/// Connects and upgrades to a WebSocket.
pub(super) async fn open(
    dialer: &Dialer,
    address: &Address,
    tasks: &Tasks,
) -> Result<(WsOutput, WsInput), ConsoleError> {
    let stream = dialer.dial(address).await?;
    let liveness = LivenessProbe::new(&stream, dialer, address).map_err(ConsoleError::LinkLost)?;
    let socket: Socket = websocket(stream, address, None).await?;
    let (sink, stream) = socket.split();
    let sink = Arc::new(Mutex::new(sink));
    let every = dialer.link().keepalive;
    tasks.spawn(keep_alive(Arc::downgrade(&sink), every, tasks.clone()));
    Ok((WsOutput(stream), WsInput(sink, liveness)))
}

/// Sends pings until the console is dropped. Unlike the keepalives of the stream, they never stop. A missing pong means
/// nothing, because a process that does not read its input also delays the pings behind it.
async fn keep_alive(sink: Weak<Sink>, every: Duration, tasks: Tasks) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = tasks.cancelled() => return,
        }
        let Some(sink) = sink.upgrade() else { return };
        if sink.lock().await.send(Message::Ping(Bytes::new())).await.is_err() {
            return;
        }
    }
}

impl WsOutput {
    /// Returns the next output, or `None` at its end. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.next().await? {
                Ok(Message::Binary(bytes)) => return Some(Event::Stdout(bytes)),
                Ok(Message::Text(text)) => return Some(Event::Stdout(text.into())),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(_)) | Err(WsError::ConnectionClosed | WsError::AlreadyClosed) => {
                    return None;
                }
                // The kernel resets a connection that the host closes with unread input.
                Err(WsError::Io(cause)) if cause.kind() == ErrorKind::ConnectionReset => {
                    return None;
                }
                Err(cause) => return Some(Event::Lost(cause.to_string())),
            }
        }
    }
}

impl WsInput {
    async fn send(&mut self, message: Message) -> Result<(), ConsoleError> {
        let Self(sink, liveness) = self;
        let sending = async { sink.lock().await.send(message).await };
        let sent = liveness.while_writing(sending).await;
        sent.map_err(|cause| ConsoleError::LinkLost(std::io::Error::other(cause)))
    }
}

#[async_trait]
impl Input for WsInput {
    async fn write(&mut self, typed: Bytes) -> Result<(), ConsoleError> {
        self.send(Message::Binary(typed)).await
    }

    /// Sends ctrl-d, because a terminal has no half-close.
    async fn eof(&mut self) -> Result<(), ConsoleError> {
        self.send(Message::Binary(Bytes::from_static(END_OF_TRANSMISSION))).await
    }

    async fn detach(&mut self) {
        // The connection is dropped next, so an error does not matter.
        drop(self.send(Message::Close(None)).await);
    }
}
