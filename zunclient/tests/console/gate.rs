//! Tests of `zun.pty.v1` over real TLS and websockets, and of the fallback to Docker's calls without a gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use zun_common::pty::{
    ClientHello, Ending, EndingReason, Frame, PROTOCOL, ServerHello, SessionKind,
};
use zunclient::console::{Console, ConsoleError, Dial, Event, connection};

use crate::fake::{Engine, EngineRequest, Server};

fn dial(engine: &Engine, tty: bool) -> Dial {
    let mut dial = engine.dial(tty, "127.0.0.1");
    PROTOCOL.clone_into(&mut dial.endpoint.protocol);
    dial.endpoint.calls.pty = Some(format!("wss://127.0.0.1:{}/pty/v1/containers/c", engine.port));
    dial
}

async fn open(dial: Dial) -> Result<Console, ConsoleError> {
    connection(dial)?.open().await
}

async fn next(console: &mut Console) -> Option<Event> {
    timeout(Duration::from_secs(10), console.events.next()).await.expect("in time")
}

fn out(text: &'static str) -> Event {
    Event::Stdout(Bytes::from_static(text.as_bytes()))
}

/// The gate's side of one link.
struct Link(WebSocketStream<Server>);

impl Link {
    /// Accepts the websocket and answers the hello.
    async fn accept(mut request: EngineRequest, stdin_next: u64) -> (Self, ClientHello) {
        let header = |name: &str| {
            let found = request.head.lines().find_map(|line| line.strip_prefix(name));
            found.expect(name).to_owned()
        };
        assert!(request.head.starts_with("GET /pty/v1/containers/c HTTP/1.1\r\n"));
        let offers = header("Sec-WebSocket-Protocol: ");
        let hello = ClientHello::of(offers.split(", ")).expect("readable").expect("a hello");
        let accept = derive_accept_key(header("Sec-WebSocket-Key: ").as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Protocol: {PROTOCOL}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        request.stream.write_all(answer.as_bytes()).await.expect("upgraded");
        let mut link =
            Self(WebSocketStream::from_raw_socket(request.stream, Role::Server, None).await);
        let resume = hello.resume.as_ref();
        let answer = ServerHello {
            session: "s".to_owned(),
            token: "secret".to_owned(),
            kind: SessionKind::Container,
            tty: true,
            stdin: true,
            writes: hello.writes,
            running: true,
            has_screen: false,
            resumed: resume.is_some(),
            stdin_next,
            stdin_ended: false,
            signal_next: 1,
            stdout_next: resume.map_or(0, |resume| resume.stdout),
            stderr_next: 0,
            signals: true,
            resume_seconds: 60,
            files: None,
            acts_on_disconnect: false,
        };
        link.send(Frame::Hello(Box::new(answer))).await;
        (link, hello)
    }

    async fn send(&mut self, frame: Frame) {
        self.0.send(Message::Binary(frame.encode())).await.expect("sent");
    }

    async fn receive(&mut self) -> Frame {
        let message = self.0.next().await.expect("a message").expect("a whole one").into_data();
        Frame::decode(&message).expect("readable").expect("a known channel")
    }

    /// Returns the next input.
    async fn typed(&mut self) -> Bytes {
        loop {
            if let Frame::Stdin(typed) = self.receive().await {
                return typed;
            }
        }
    }
}

async fn serve(link: usize, request: EngineRequest) {
    if link == 0 { first_link(request).await } else { second_link(request).await }
}

/// Takes some input, prints, and resets the connection.
async fn first_link(request: EngineRequest) {
    let (mut link, hello) = Link::accept(request, 0).await;
    assert!(hello.writes && hello.resume.is_none(), "{hello:?}");
    assert_eq!(link.typed().await, "lost on the way".as_bytes());
    link.send(Frame::Stdout(Bytes::from_static(b"before "))).await;
}

/// Continues after the first four bytes of the input.
async fn second_link(request: EngineRequest) {
    let (mut link, hello) = Link::accept(request, 4).await;
    let resume = hello.resume.expect("a resume");
    assert_eq!((resume.token.as_str(), resume.stdout), ("secret", 7));
    assert_eq!(link.typed().await, " on the way".as_bytes());
    link.send(Frame::Stdout(Bytes::from_static(b"after"))).await;
    link.send(Frame::Status(Box::new(Ending::with_code(EndingReason::Exited, 3, "")))).await;
}

#[tokio::test]
async fn a_session_continues_over_a_second_connection_after_the_first_was_reset() {
    let links = Arc::new(AtomicUsize::new(0));
    let engine = Engine::start(&["127.0.0.1"], move |request| {
        serve(links.fetch_add(1, Ordering::Relaxed), request)
    })
    .await;
    let mut console = open(dial(&engine, true)).await.expect("a console");
    console.input.write(Bytes::from_static(b"lost on the way")).await.expect("kept");
    assert_eq!(next(&mut console).await, Some(out("before ")));
    let host = format!("127.0.0.1:{}", engine.port);
    assert_eq!(next(&mut console).await, Some(Event::Reconnecting { host }));
    assert_eq!(next(&mut console).await, Some(Event::Reconnected));
    assert_eq!(next(&mut console).await, Some(out("after")));
    assert_eq!(next(&mut console).await, Some(Event::Exit(3)));
}

/// Acts like Docker for a process that prints and exits, and like a gate that refuses.
async fn no_gate(mut request: EngineRequest) {
    let with_body = |status, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let answer = if request.head.starts_with("GET /pty/") {
        let status = if request.head.contains("/execs/") { "409 Conflict" } else { "503 Busy" };
        with_body(status, "{\"message\":\"no room here\"}")
    } else if request.head.starts_with("POST /c/wait") {
        with_body("200 OK", "{\"Error\":null,\"StatusCode\":7}")
    } else {
        let upgraded = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        format!("{upgraded}\x01\0\0\0\0\0\0\x05hello")
    };
    request.stream.write_all(answer.as_bytes()).await.expect("answered");
    request.stream.shutdown().await.expect("ended");
}

#[tokio::test]
async fn without_a_gate_the_console_is_opened_at_the_engine() {
    let engine = Engine::start(&["127.0.0.1"], no_gate).await;
    let mut nobody = dial(&engine, false);
    // Nothing listens on port 1 of loopback.
    nobody.endpoint.calls.pty = Some("wss://127.0.0.1:1/pty/v1/containers/c".to_owned());
    let mut nowhere = dial(&engine, false);
    nowhere.endpoint.calls.pty = None;
    let reasons = ["the host refused (503): no room here", "cannot reach the host", "no address"];
    for (dial, reason) in [dial(&engine, false), nobody, nowhere].into_iter().zip(reasons) {
        let mut console = open(dial).await.expect("a console");
        assert_eq!(console.running, None);
        let Some(Event::Notice(words)) = next(&mut console).await else { panic!("no notice") };
        assert!(words.contains(reason) && words.contains("does not survive"), "{words}");
        assert_eq!(next(&mut console).await, Some(out("hello")));
        assert_eq!(next(&mut console).await, Some(Event::Exit(7)));
    }
}

#[tokio::test]
async fn if_both_ways_fail_both_reasons_are_named() {
    let engine = Engine::start(&["127.0.0.1"], no_gate).await;
    let mut dial = dial(&engine, false);
    for call in [&mut dial.endpoint.calls.attach, &mut dial.endpoint.calls.wait] {
        *call = Some("https://127.0.0.1:1/x".to_owned());
    }
    let refusal = open(dial).await.err().expect("a refusal").to_string();
    assert!(refusal.starts_with("cannot reach the host at 127.0.0.1:1: "), "{refusal}");
    let gate = "; the console gate failed too: the host refused (503): no room here";
    assert!(refusal.ends_with(gate), "{refusal}");
}

/// Acts like a gate whose first two connections are lost before it answers and that refuses the others, and otherwise like
/// Docker.
async fn lost_gate(request: EngineRequest, asked: Arc<AtomicUsize>) {
    if !request.head.starts_with("GET /pty/") || asked.fetch_add(1, Ordering::Relaxed) >= 2 {
        no_gate(request).await;
    }
}

#[tokio::test]
async fn an_exec_that_the_gate_may_have_started_is_not_started_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let engine =
        Engine::start(&["127.0.0.1"], move |request| lost_gate(request, Arc::clone(&counted)))
            .await;
    let mut container = open(dial(&engine, false)).await.expect("a console");
    assert!(matches!(next(&mut container).await, Some(Event::Notice(_))));
    assert_eq!(next(&mut container).await, Some(out("hello")));
    let mut exec = dial(&engine, false);
    let call = |name: &str| Some(format!("https://127.0.0.1:{}/exec/{name}", engine.port));
    (exec.endpoint.calls.start, exec.endpoint.calls.inspect) = (call("start"), call("inspect"));
    exec.endpoint.calls.pty = Some(format!("wss://127.0.0.1:{}/pty/v1/execs/e", engine.port));
    let error = open(exec).await.err().expect("no console");
    assert!(matches!(error, ConsoleError::MayHaveStarted(_)), "{error:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}
