//! A gate in this process. It speaks the protocol over in-memory connections, which a test cuts, stalls and refuses.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use zun_common::pty::{ClientHello, Ending, Frame, ServerHello, SessionKind, Size, Stream, Ticket};
use zun_common::shutdown::Tasks;

use super::super::link::Host;
use crate::console::ConsoleError;
use crate::console::docker::address::Address;

/// The state of the gate, and its faults.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a test sets one or two of them")]
pub(super) struct State {
    pub(super) stdin: Vec<u8>,
    pub(super) stdin_ended: bool,
    pub(super) signals: Vec<String>,
    pub(super) sizes: Vec<Size>,
    pub(super) stdout: Vec<u8>,
    pub(super) ending: Option<Ending>,
    /// The hellos of the clients, one for each link.
    pub(super) hellos: Vec<ClientHello>,
    /// How many connections were opened.
    pub(super) dials: usize,
    /// Whether a client has closed a link with code 1000.
    pub(super) is_closed: bool,
    /// Whether new connections are refused.
    pub(super) refuses: bool,
    /// Whether links of this generation and older ones are silent.
    pub(super) silent: Option<u64>,
    /// Links of another generation are cut.
    pub(super) generation: u64,
    /// Cut each link after this many bytes in both directions.
    pub(super) cut_after: Option<usize>,
    /// Close links with this code.
    pub(super) close: Option<u16>,
    /// Close links with this code instead of a hello.
    pub(super) close_before_hello: Option<u16>,
    pub(super) acknowledged: u64,
    /// Refuse requests with this status.
    pub(super) status: Option<u16>,
    pub(super) tty: bool,
}

/// The gate. Clones share it.
#[derive(Clone)]
pub(super) struct Gate {
    state: Arc<watch::Sender<State>>,
    random: Arc<Mutex<u64>>,
    address: Address,
    pub(super) ticket: Option<Ticket>,
    pub(super) tasks: Tasks,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            state: Arc::new(watch::channel(State::default()).0),
            random: Arc::new(Mutex::new(1)),
            address: Address::parse("wss://gate.example:2377/pty/v1/containers/c")
                .expect("an address"),
            ticket: None,
            tasks: Tasks::new(),
        }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    pub(super) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until the state is as expected.
    pub(super) async fn until(&self, expected: impl FnMut(&State) -> bool) {
        let mut states = self.state.subscribe();
        let wait = states.wait_for(expected);
        let waited = tokio::time::timeout(std::time::Duration::from_mins(20), wait).await;
        waited.expect("in time").expect("the gate lives");
    }

    pub(super) fn print(&self, text: &[u8]) {
        self.change(|state| state.stdout.extend_from_slice(text));
    }

    /// A number below `limit`, the same in each run.
    fn random(&self, limit: usize) -> usize {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        *random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*random >> 33).expect("31 bits") % limit
    }
}

#[async_trait]
impl Host for Gate {
    type Stream = DuplexStream;

    fn address(&self) -> &Address {
        &self.address
    }

    fn ticket(&self) -> Option<&Ticket> {
        self.ticket.as_ref()
    }

    async fn connect(&self) -> Result<DuplexStream, ConsoleError> {
        self.change(|state| state.dials += 1);
        let State { refuses, generation, cut_after, .. } = self.state();
        if refuses {
            let cause = std::io::ErrorKind::ConnectionRefused.into();
            return Err(ConsoleError::Unreachable { address: self.address.authority(), cause });
        }
        let (client, near) = duplex(1 << 20);
        let (far, server) = duplex(1 << 20);
        let limits = cut_after.map(|most| (self.random(most), self.random(most)));
        let mut states = self.state.subscribe();
        self.tasks.spawn(async move {
            tokio::select! {
                () = carry(near, far, limits) => {}
                _ = states.wait_for(|state| state.generation != generation) => {}
            }
        });
        let gate = self.clone();
        self.tasks.spawn(async move {
            // A link that was cut is no error.
            drop(gate.serve(server, generation).await);
        });
        Ok(client)
    }
}

/// Carries bytes in both directions until one has reached its limit.
async fn carry(near: DuplexStream, far: DuplexStream, limits: Option<(usize, usize)>) {
    let (up, down) = limits.unwrap_or((usize::MAX, usize::MAX));
    let (near_reader, near_writer) = tokio::io::split(near);
    let (far_reader, far_writer) = tokio::io::split(far);
    tokio::select! {
        () = copy(near_reader, far_writer, up) => {}
        () = copy(far_reader, near_writer, down) => {}
    }
}

async fn copy(
    mut from: tokio::io::ReadHalf<DuplexStream>,
    mut to: tokio::io::WriteHalf<DuplexStream>,
    mut limit: usize,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(count) = from.read(&mut buffer).await else { return };
        let count = count.min(limit);
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        limit -= count;
    }
}

impl Gate {
    async fn serve(&self, mut stream: DuplexStream, generation: u64) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).expect("text");
        let header = |name: &str| {
            let found = head.lines().find_map(|line| line.strip_prefix(name));
            found.expect(name).trim().to_owned()
        };
        assert!(head.starts_with("GET /pty/v1/containers/c HTTP/1.1\r\n"), "{head}");
        let offers = header("Sec-WebSocket-Protocol:");
        let offers: Vec<&str> = offers.split(", ").collect();
        assert_eq!(offers.first(), Some(&"zun.pty.v1"));
        let hello = ClientHello::of(offers).expect("readable").expect("a hello");
        if let Some(status) = self.state().status {
            let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
            return stream.write_all(answer.as_bytes()).await;
        }
        let accept = derive_accept_key(header("Sec-WebSocket-Key:").as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Protocol: zun.pty.v1\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await?;
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        // The former link counts no more once this one has begun.
        let link = self.state().hellos.len();
        let answer = self.answer(&hello);
        self.change(|state| state.hellos.push(hello));
        self.talk(socket, answer, (link, generation)).await;
        Ok(())
    }

    fn answer(&self, client: &ClientHello) -> ServerHello {
        let state = self.state();
        ServerHello {
            session: "session".to_owned(),
            token: "token".to_owned(),
            kind: SessionKind::Container,
            tty: state.tty,
            stdin: true,
            writes: client.writes,
            running: true,
            has_screen: false,
            resumed: client.resume.as_ref().is_some_and(|resume| resume.token == "token"),
            stdin_next: state.stdin.len() as u64,
            stdin_ended: state.stdin_ended,
            signal_next: state.signals.len() as u64 + 1,
            stdout_next: client.resume.as_ref().map_or(0, |resume| resume.stdout),
            stderr_next: 0,
            signals: true,
            resume_seconds: 60,
            files: None,
            acts_on_disconnect: false,
        }
    }

    async fn talk(
        &self,
        mut socket: WebSocketStream<DuplexStream>,
        hello: ServerHello,
        (link, generation): (usize, u64),
    ) {
        let mut sent = usize::try_from(hello.stdout_next).expect("small");
        let message = |frame: Frame| Message::Binary(frame.encode());
        if let Some(code) = self.state().close_before_hello {
            let frame = CloseFrame { code: code.into(), reason: "because".into() };
            drop(socket.send(Message::Close(Some(frame))).await);
            return;
        }
        if socket.send(message(Frame::Hello(Box::new(hello)))).await.is_err() {
            return;
        }
        let mut states = self.state.subscribe();
        loop {
            let state = states.borrow_and_update().clone();
            if state.hellos.len() > link + 1 {
                return;
            }
            if state.silent.is_some_and(|silent| silent >= generation) {
                let spoken =
                    states.wait_for(|state| state.silent.is_none_or(|silent| silent < generation));
                drop(spoken.await);
                continue;
            }
            if let Some(code) = state.close {
                let frame = CloseFrame { code: code.into(), reason: "because".into() };
                drop(socket.send(Message::Close(Some(frame))).await);
                return;
            }
            if sent < state.stdout.len() {
                let piece: Vec<u8> = state.stdout[sent..].iter().copied().take(1000).collect();
                sent += piece.len();
                match socket.send(message(Frame::Stdout(piece.into()))).await {
                    Ok(()) => continue,
                    Err(_cut) => return,
                }
            }
            if let Some(ending) = state.ending.clone() {
                drop(socket.send(message(Frame::Status(Box::new(ending)))).await);
            }
            tokio::select! {
                _ = states.changed() => {}
                received = socket.next() => match received {
                    Some(Ok(Message::Binary(received))) => {
                        let Some(answer) = self.receive(&received) else { continue };
                        if socket.send(message(answer)).await.is_err() {
                            return;
                        }
                    }
                    Some(Ok(Message::Close(Some(frame)))) => {
                        assert_eq!(u16::from(frame.code), 1000);
                        return self.change(|state| state.is_closed = true);
                    }
                    _ => return,
                },
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "no other message is expected")]
    fn receive(&self, message: &Bytes) -> Option<Frame> {
        let frame = Frame::decode(message).expect("a good message").expect("a known channel");
        let mut answer = None;
        self.change(|state| {
            answer = match frame {
                Frame::Stdin(data) => {
                    state.stdin.extend_from_slice(&data);
                    Some(Frame::Ack { stream: Stream::Stdin, offset: state.stdin.len() as u64 })
                }
                Frame::StdinEnd => {
                    state.stdin_ended = true;
                    Some(Frame::Ack { stream: Stream::StdinEnd, offset: state.stdin.len() as u64 })
                }
                Frame::Signal { number, name } => {
                    let is_new = number == state.signals.len() as u64 + 1;
                    state.signals.extend(is_new.then_some(name));
                    Some(Frame::Ack { stream: Stream::Signals, offset: number })
                }
                Frame::Resize(size) => {
                    state.sizes.push(size);
                    None
                }
                Frame::Ack { stream: Stream::Stdout, offset } => {
                    state.acknowledged = offset;
                    None
                }
                Frame::Ping(number) => Some(Frame::Pong(number)),
                other => panic!("the gate does not expect {other:?}"),
            };
        });
        answer
    }
}
