//! A raw client of `zun.pty.v1`.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use zun_common::grant::{Grant, Target};
use zun_common::pty::{
    ClientHello, Ending, Frame, PROTOCOL, Replay, Resume, ServerHello, SessionEvent, Size, Stream,
    TICKET_PATH, container_path, exec_path,
};
use zun_tests::tls::{Identity, TlsDialer};

pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// TCP or TLS failed.
    Tls,
    /// The gate answered with this status.
    Status(u16),
    /// The gate closed the websocket with this code.
    Close(u16),
}

/// A connection to a session.
pub(super) struct Session {
    socket: Socket,
    pub(super) hello: ServerHello,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) acknowledged: u64,
    pub(super) other: Vec<Frame>,
    pub(super) events: Vec<SessionEvent>,
    pub(super) ending: Option<Ending>,
    pub(super) closed: Option<u16>,
}

pub(super) fn hello() -> ClientHello {
    ClientHello { writes: true, replay: Replay::All, window: 1 << 20, ..ClientHello::default() }
}

pub(super) fn path(grant: &Grant) -> String {
    match &grant.target {
        Target::Container { id, .. } | Target::Data { id, .. } => container_path(id.as_str()),
        Target::Exec { id } => exec_path(id.as_str()),
        Target::Recording { id } => panic!("recording {id} has no console"),
    }
}

/// Opens a websocket on a path, with these subprotocols.
pub(super) async fn open(
    dialer: &TlsDialer,
    identity: Option<&Identity>,
    path: &str,
    offered: &str,
) -> Result<Socket, Refused> {
    let stream = dialer.dial(identity).await.map_err(|_| Refused::Tls)?;
    let mut request =
        format!("wss://{}{path}", dialer.name).into_client_request().expect("a request");
    request.headers_mut().insert("Sec-WebSocket-Protocol", offered.parse().expect("a header"));
    match timeout(TIMEOUT, client_async(request, stream)).await.expect("an answer") {
        Ok((socket, response)) => {
            assert_eq!(response.headers()["sec-websocket-protocol"], PROTOCOL);
            Ok(socket)
        }
        Err(tungstenite::Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            assert!(body.is_empty(), "{:?}", String::from_utf8_lossy(body));
            Err(Refused::Status(response.status().as_u16()))
        }
        // With TLS 1.3, a refused client gets the error only when it reads.
        Err(_) => Err(Refused::Tls),
    }
}

impl Session {
    pub(super) async fn connect(
        dialer: &TlsDialer,
        identity: &Identity,
        grant: &Grant,
        hello: ClientHello,
    ) -> Result<Self, Refused> {
        let offered = format!("{PROTOCOL}, {}", hello.subprotocol());
        Self::over(open(dialer, Some(identity), &path(grant), &offered).await?).await
    }

    /// Connects as browsers do: with a ticket and without a certificate.
    pub(super) async fn with_ticket(
        dialer: &TlsDialer,
        ticket: &str,
        hello: ClientHello,
    ) -> Result<Self, Refused> {
        let offered = format!("{PROTOCOL}, {}, zun.ticket.{ticket}", hello.subprotocol());
        Self::over(open(dialer, None, TICKET_PATH, &offered).await?).await
    }

    async fn over(mut socket: Socket) -> Result<Self, Refused> {
        let first = timeout(TIMEOUT, socket.next()).await.expect("a first message");
        let message = match first {
            Some(Ok(Message::Binary(message))) => message,
            Some(Ok(Message::Close(Some(frame)))) => return Err(Refused::Close(frame.code.into())),
            _ => return Err(Refused::Tls),
        };
        let Ok(Some(Frame::Hello(hello))) = Frame::decode(&message) else {
            panic!("the first message is no hello")
        };
        Ok(Self {
            socket,
            acknowledged: if hello.resumed { 0 } else { hello.stdin_next },
            hello: *hello,
            stdout: Vec::new(),
            stderr: Vec::new(),
            other: Vec::new(),
            events: Vec::new(),
            ending: None,
            closed: None,
        })
    }

    /// Sends a message. Fails if the link is lost.
    pub(super) async fn try_send(&mut self, frame: Frame) -> Result<(), tungstenite::Error> {
        self.socket.send(Message::Binary(frame.encode())).await
    }

    pub(super) async fn send(&mut self, frame: Frame) {
        timeout(TIMEOUT, self.try_send(frame)).await.expect("in time").expect("sent");
    }

    pub(super) async fn types(&mut self, text: &[u8]) {
        self.send(Frame::Stdin(Bytes::copy_from_slice(text))).await;
    }

    /// Receives a message. Returns `false` if the link is lost or closed. Safe to cancel.
    pub(super) async fn receive(&mut self) -> bool {
        match self.socket.next().await {
            Some(Ok(Message::Binary(message))) => {
                self.take(Frame::decode(&message).expect("valid").expect("known"));
                true
            }
            Some(Ok(Message::Close(frame))) => {
                self.closed = frame.map(|frame| frame.code.into());
                // This sends the answer.
                drop(timeout(TIMEOUT, self.socket.next()).await);
                false
            }
            Some(Ok(other)) => panic!("{other:?}"),
            Some(Err(_)) | None => false,
        }
    }

    fn take(&mut self, frame: Frame) {
        match frame.clone() {
            Frame::Stdout(bytes) => self.stdout.extend(&bytes),
            Frame::Stderr(bytes) => self.stderr.extend(&bytes),
            Frame::Ack { stream: Stream::Stdin, offset } => self.acknowledged = offset,
            Frame::Event(event) => self.events.push(event),
            Frame::Status(ending) => self.ending = Some(*ending),
            Frame::Gap { stream: Stream::Stdout, from, to } => {
                assert_eq!(from, self.offsets().0);
                self.hello.stdout_next += to - from;
                self.other.push(frame);
            }
            Frame::Ack { .. } | Frame::Gap { .. } | Frame::Ping(_) | Frame::Pong(_) => {
                self.other.push(frame);
            }
            Frame::Snapshot { offset, .. } => {
                self.hello.stdout_next += offset - self.offsets().0;
                self.other.push(frame);
            }
            Frame::Stdin(_)
            | Frame::StdinEnd
            | Frame::Resize(_)
            | Frame::Signal { .. }
            | Frame::Hello(_) => panic!("{frame:?}"),
        }
    }

    /// The offsets after what was received.
    pub(super) fn offsets(&self) -> (u64, u64) {
        let ServerHello { stdout_next, stderr_next, .. } = self.hello;
        (stdout_next + self.stdout.len() as u64, stderr_next + self.stderr.len() as u64)
    }

    /// Acknowledges all output.
    pub(super) async fn acknowledge(&mut self) -> Result<(), tungstenite::Error> {
        let (stdout, stderr) = self.offsets();
        self.try_send(Frame::Ack { stream: Stream::Stdout, offset: stdout }).await?;
        self.try_send(Frame::Ack { stream: Stream::Stderr, offset: stderr }).await
    }

    /// Receives and acknowledges until stdout contains the text. Returns all of stdout.
    pub(super) async fn until(&mut self, text: &str) -> String {
        let mut searched = 0_usize;
        let reading = async {
            loop {
                let from = searched.saturating_sub(text.len());
                if self.stdout[from..].windows(text.len()).any(|part| part == text.as_bytes()) {
                    return;
                }
                searched = self.stdout.len();
                assert!(self.receive().await, "the link was lost");
                self.acknowledge().await.expect("sent");
            }
        };
        let in_time = timeout(TIMEOUT, reading).await.is_ok();
        let end = &self.stdout[self.stdout.len().saturating_sub(200)..];
        assert!(in_time, "`{text}` is missing: …{:?}", String::from_utf8_lossy(end));
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Receives and acknowledges until the screen was drawn. Returns its size and what draws it.
    pub(super) async fn screen(&mut self) -> (Size, Bytes) {
        let reading = async {
            loop {
                if let Some(Frame::Snapshot { size, draw, .. }) = self.other.last() {
                    return (*size, draw.clone());
                }
                assert!(self.receive().await, "the link was lost");
                self.acknowledge().await.expect("sent");
            }
        };
        timeout(TIMEOUT, reading).await.expect("a screen")
    }

    /// Receives until the gate closes the websocket.
    pub(super) async fn finish(&mut self) -> Option<u16> {
        let reading = async {
            while self.receive().await {
                // The gate may have closed the link already.
                drop(self.acknowledge().await);
            }
        };
        timeout(TIMEOUT, reading).await.expect("the gate closes the websocket");
        self.closed
    }

    /// Receives until the end, and returns how the process ended.
    pub(super) async fn ending(&mut self) -> Ending {
        assert_eq!(self.finish().await, Some(1000));
        self.ending.clone().expect("an ending")
    }

    /// Leaves the session, which does not wait for this client.
    pub(super) async fn detach(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.socket.close(Some(frame)).await.expect("sent");
        let answered = async { while let Some(Ok(_)) = self.socket.next().await {} };
        timeout(TIMEOUT, answered).await.expect("an answer");
    }

    /// What resumes this session.
    pub(super) fn resume(&self) -> ClientHello {
        let (stdout, stderr) = self.offsets();
        self.resume_at(stdout, stderr)
    }

    pub(super) fn resume_at(&self, stdout: u64, stderr: u64) -> ClientHello {
        let ServerHello { session, token, .. } = self.hello.clone();
        ClientHello { resume: Some(Resume { session, token, stdout, stderr }), ..hello() }
    }
}
