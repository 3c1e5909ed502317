//! One connection to the console gate: a websocket with whole messages.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use zun_common::pty::{ClientHello, Frame, PROTOCOL, ServerHello, Ticket};

use crate::console::ConsoleError;
use crate::console::docker::address::Address;
use crate::console::docker::websocket::{Protocols, websocket};

/// How long the gate's hello may take after the upgrade.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long sending a close may take, and how long the gate may take to answer it.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);
const CLOSE_ANSWER_TIMEOUT: Duration = Duration::from_millis(150);

/// The code of a websocket that ends without one (RFC 6455, section 7.1.5).
const NO_CODE: u16 = 1005;

/// Opens connections to the host. Tests have one without TLS.
#[async_trait]
pub(super) trait Host: Send + Sync + 'static {
    /// The stream under the websocket.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The console's address at the gate.
    fn address(&self) -> &Address;

    /// The ticket, if there is one instead of a certificate.
    fn ticket(&self) -> Option<&Ticket> {
        None
    }

    /// Connects, up to the end of the TLS handshake.
    async fn connect(&self) -> Result<Self::Stream, ConsoleError>;
}

/// The receiving half.
pub(super) struct Receiver<S>(SplitStream<WebSocketStream<S>>);

/// The sending half.
pub(super) struct Sender<S>(SplitSink<WebSocketStream<S>, Message>);

/// What arrives.
#[derive(Debug)]
pub(super) enum Received {
    /// A message.
    Frame(Frame),
    /// The gate closes the link, with a code and a reason.
    Closed(u16, String),
    /// The link is lost, and why.
    Lost(String),
    /// A message that violates the protocol, and how.
    Invalid(String),
}

/// Opens the websocket and exchanges the hellos. They travel with the upgrade, so this takes one round trip.
pub(super) async fn open<H: Host>(
    stream: H::Stream,
    host: &H,
    hello: &ClientHello,
) -> Result<(Sender<H::Stream>, Receiver<H::Stream>, ServerHello), ConsoleError> {
    let address = host.address();
    let offers = match host.ticket() {
        Some(ticket) => format!("{}, {}", hello.subprotocol(), ticket.subprotocol()),
        None => hello.subprotocol(),
    };
    let protocols = Protocols { wanted: PROTOCOL, others: &offers };
    let socket = websocket(stream, address, Some(protocols)).await?;
    let (sender, receiver) = socket.split();
    let (sender, mut receiver) = (Sender(sender), Receiver(receiver));
    let authority = address.authority();
    let bad = |problem| ConsoleError::BadAnswer { address: authority.clone(), problem };
    match timeout(HELLO_TIMEOUT, receiver.next()).await {
        Ok(Received::Frame(Frame::Hello(hello))) => Ok((sender, receiver, *hello)),
        Ok(Received::Frame(_) | Received::Invalid(_)) => {
            Err(bad("its first message is not a hello"))
        }
        Ok(Received::Closed(status, message)) => Err(ConsoleError::Refused { status, message }),
        Ok(Received::Lost(why)) => Err(ConsoleError::LinkLost(std::io::Error::other(why))),
        Err(_elapsed) => Err(ConsoleError::NoAnswer { address: authority }),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Receiver<S> {
    /// Returns what arrives next. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Received {
        loop {
            let message = match self.0.next().await {
                Some(Ok(Message::Binary(message))) => message,
                Some(Ok(Message::Text(_))) => {
                    return Received::Invalid("it sent a text message".to_owned());
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    return Received::Closed(code.into(), reason.as_str().to_owned());
                }
                Some(Ok(Message::Close(None))) => return Received::Closed(NO_CODE, String::new()),
                Some(Err(Error::Capacity(_))) => {
                    return Received::Invalid("its message is too long".to_owned());
                }
                Some(Err(cause)) => return Received::Lost(cause.to_string()),
                None => return Received::Lost("the connection closed".to_owned()),
            };
            match Frame::decode(&message) {
                Ok(Some(frame)) => return Received::Frame(frame),
                Ok(None) => {}
                Err(invalid) => return Received::Invalid(invalid.to_string()),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Receiver<S> {
    /// Waits until the gate has answered a close. Without that, the kernel may discard what was sent before it.
    pub(super) async fn closed(&mut self) {
        let closed = async { while let Received::Frame(_) = self.next().await {} };
        drop(timeout(CLOSE_ANSWER_TIMEOUT, closed).await);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sender<S> {
    /// Queues a message. [`Sender::flush`] sends what is queued.
    pub(super) async fn feed(&mut self, frame: &Frame) -> Result<(), String> {
        let message: Bytes = frame.encode();
        self.0.feed(Message::Binary(message)).await.map_err(|cause| cause.to_string())
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) -> Result<(), String> {
        self.0.flush().await.map_err(|cause| cause.to_string())
    }

    /// Closes the link for good. The caller does not resume it, so errors do not matter.
    pub(super) async fn close(&mut self, code: u16) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        drop(timeout(CLOSE_TIMEOUT, self.0.send(Message::Close(Some(frame)))).await);
    }
}
