//! Tests of `docker.attach` against a fake engine: half-close, separate streams, refusals and wrong certificates.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use zun_common::chain;
use zun_common::units::TerminalSize;
use zunclient::console::{Console, ConsoleError, Event, connection};

use crate::fake::{Engine, EngineRequest};

const UPGRADED: &[u8] =
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

async fn open(engine: &Engine, tty: bool) -> Result<Console, ConsoleError> {
    connection(engine.dial(tty, "127.0.0.1"))?.open().await
}

async fn next(console: &mut Console) -> Option<Event> {
    timeout(Duration::from_secs(10), console.events.next()).await.expect("in time")
}

fn frame(stream: u8, bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![stream, 0, 0, 0];
    frame.extend(u32::try_from(bytes.len()).expect("short").to_be_bytes());
    frame.extend(bytes);
    frame
}

async fn answer(mut request: EngineRequest, status: &str, body: &str) {
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    request.stream.write_all(answer.as_bytes()).await.expect("answered");
    request.stream.shutdown().await.expect("ended");
}

/// Answers the wait with this exit code, at once.
async fn answer_wait(request: EngineRequest, code: i64) {
    answer(request, "200 OK", &format!("{{\"Error\":null,\"StatusCode\":{code}}}")).await;
}

/// Acts like `cat` without a terminal, and also writes to stderr after the end of its input.
async fn cat(mut request: EngineRequest) {
    if request.head.starts_with("POST /c/wait?condition=next-exit ") {
        return answer_wait(request, 7).await;
    }
    assert!(request.head.starts_with("POST /c/attach?stdin=1 HTTP/1.1\r\n"), "{}", request.head);
    request.stream.write_all(UPGRADED).await.expect("upgraded");
    let mut typed = Vec::new();
    request.stream.read_to_end(&mut typed).await.expect("an orderly end of the input");
    request.stream.write_all(&frame(1, &typed)).await.expect("printed");
    request
        .stream
        .write_all(&frame(2, b"late"))
        .await
        .expect("output continues after the half-close");
    request.stream.shutdown().await.expect("ended");
}

#[tokio::test]
async fn output_still_arrives_after_the_input_is_half_closed() {
    let engine = Engine::start(&["127.0.0.1"], cat).await;
    let mut console = open(&engine, false).await.expect("a console");
    console.input.write(Bytes::from_static(b"hello ")).await.expect("sent");
    console.input.write(Bytes::from_static(b"world")).await.expect("sent");
    console.input.eof().await.expect("ended");
    assert_eq!(next(&mut console).await, Some(Event::Stdout(Bytes::from_static(b"hello world"))));
    assert_eq!(next(&mut console).await, Some(Event::Stderr(Bytes::from_static(b"late"))));
    assert_eq!(next(&mut console).await, Some(Event::Exit(7)));
    assert_eq!(next(&mut console).await, None);
}

/// A terminal that echoes over a WebSocket.
async fn terminal(mut request: EngineRequest) {
    if request.head.starts_with("POST /c/wait") {
        return answer_wait(request, 0).await;
    }
    if request.head.starts_with("POST /c/resize") {
        assert!(
            request.head.starts_with("POST /c/resize?h=30&w=90 HTTP/1.1\r\n"),
            "{}",
            request.head
        );
        return answer(request, "200 OK", "").await;
    }
    let first = "GET /c/attach/ws?detachKeys=%FF,%FE HTTP/1.1\r\n";
    assert!(request.head.starts_with(first), "{}", request.head);
    let key = request.head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let accept = derive_accept_key(key.expect("a key").as_bytes());
    let switch = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    request.stream.write_all(switch.as_bytes()).await.expect("upgraded");
    let mut socket = WebSocketStream::from_raw_socket(request.stream, Role::Server, None).await;
    while let Some(Ok(Message::Binary(typed))) = socket.next().await {
        if typed.as_ref() == b"\x04" {
            break;
        }
        socket.send(Message::Binary(typed)).await.expect("echoed");
    }
    socket.close(None).await.expect("closed");
}

#[tokio::test]
async fn a_terminal_over_a_websocket_echoes_resizes_and_exits() {
    let engine = Engine::start(&["127.0.0.1"], terminal).await;
    let mut console = open(&engine, true).await.expect("a console");
    console.input.write(Bytes::from_static(b"ls\r")).await.expect("sent");
    assert_eq!(next(&mut console).await, Some(Event::Stdout(Bytes::from_static(b"ls\r"))));
    console.control.resize(TerminalSize { rows: 30, columns: 90 }).await.expect("resized");
    console.input.eof().await.expect("told");
    assert_eq!(next(&mut console).await, Some(Event::Exit(0)));
}

#[tokio::test]
async fn a_refusal_contains_the_hosts_message() {
    let engine = Engine::start(&["127.0.0.1"], |request| async {
        let body = "{\"message\":\"authorization denied by plugin zun: not granted\"}";
        answer(request, "403 Forbidden", body).await;
    })
    .await;
    for tty in [true, false] {
        let refusal = open(&engine, tty).await.err().expect("a refusal");
        assert_eq!(
            refusal.to_string(),
            "the host refused (403): authorization denied by plugin zun: not granted"
        );
    }
}

#[tokio::test]
async fn a_host_with_a_certificate_of_another_ca_is_refused_before_a_request_is_sent() {
    let engine = Engine::start(&["127.0.0.1"], |_asked| async { panic!("a request came") }).await;
    let stranger = Engine::start(&["127.0.0.1"], |_asked| async {}).await;
    let mut dial = engine.dial(true, "127.0.0.1");
    dial.endpoint.tls.ca = stranger.dial(true, "127.0.0.1").endpoint.tls.ca;
    let refusal = connection(dial).expect("usable").open().await.err().expect("a refusal");
    assert!(matches!(refusal, ConsoleError::Handshake { .. }), "{refusal:?}");
    let message = chain(&refusal);
    assert!(message.contains(&format!("127.0.0.1:{}", engine.port)), "{message}");
}

#[tokio::test]
async fn a_host_with_a_certificate_for_another_name_is_refused() {
    let engine =
        Engine::start(&["other.example"], |_asked| async { panic!("a request came") }).await;
    let refusal = open(&engine, true).await.err().expect("a refusal");
    assert!(matches!(refusal, ConsoleError::Handshake { .. }), "{refusal:?}");
}

#[tokio::test]
async fn a_grant_of_another_ca_is_refused() {
    let engine = Engine::start(&["127.0.0.1"], |_asked| async { panic!("a request came") }).await;
    let stranger = Engine::start(&["127.0.0.1"], |_asked| async {}).await;
    let mut dial = stranger.dial(true, "127.0.0.1");
    let ours = engine.dial(true, "127.0.0.1").endpoint;
    dial.endpoint.calls = ours.calls;
    dial.endpoint.tls.ca = ours.tls.ca;
    assert!(connection(dial).expect("usable").open().await.is_err());
}

#[tokio::test]
async fn an_unreachable_host_is_named() {
    let engine = Engine::start(&["127.0.0.1"], |_asked| async {}).await;
    let mut dial = engine.dial(true, "127.0.0.1");
    dial.endpoint.calls.websocket = Some("wss://127.0.0.1:1/x".to_owned());
    let refusal = connection(dial).expect("usable").open().await.err().expect("nobody there");
    assert_eq!(refusal.to_string(), "cannot reach the host at 127.0.0.1:1");
}

#[tokio::test]
async fn a_console_that_ends_without_an_exit_code_has_none() {
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        if request.head.starts_with("POST /c/wait") {
            // As when Docker restarts: the headers arrive, but the body does not.
            let cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            request.stream.write_all(cut).await.expect("begun");
        } else {
            request.stream.write_all(UPGRADED).await.expect("upgraded");
        }
        request.stream.shutdown().await.expect("ended");
    })
    .await;
    let mut console = open(&engine, false).await.expect("a console");
    assert_eq!(next(&mut console).await, None);
}

#[tokio::test]
async fn a_stream_that_never_ends_is_closed_after_the_process_exited() {
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        if request.head.starts_with("POST /c/wait") {
            return answer_wait(request, 5).await;
        }
        request.stream.write_all(UPGRADED).await.expect("upgraded");
        std::future::pending::<()>().await;
    })
    .await;
    let mut console = open(&engine, false).await.expect("a console");
    assert_eq!(next(&mut console).await, Some(Event::Exit(5)));
}

#[tokio::test]
async fn a_missing_end_of_the_output_is_reported_before_the_exit_code() {
    let engine = Engine::start(&["127.0.0.1"], |mut request: EngineRequest| async move {
        if request.head.starts_with("POST /c/wait") {
            return answer_wait(request, 5).await;
        }
        request.stream.write_all(UPGRADED).await.expect("upgraded");
        request.stream.write_all(&frame(1, b"last")).await.expect("printed");
        std::future::pending::<()>().await;
    })
    .await;
    let mut dial = engine.dial(false, "127.0.0.1");
    dial.link.give_up_after = Duration::from_secs(1);
    dial.link.probe_after = Duration::from_secs(1);
    let mut console = connection(dial).expect("usable").open().await.expect("a console");
    assert_eq!(next(&mut console).await, Some(Event::Stdout(Bytes::from_static(b"last"))));
    assert!(matches!(next(&mut console).await, Some(Event::Lost(_))));
    assert_eq!(next(&mut console).await, Some(Event::Exit(5)));
}

/// Sends a whole frame and closes the connection without `close_notify`, or sends part of a frame and ends the stream
/// properly.
async fn end_abruptly(mut request: EngineRequest, whole: bool) {
    if request.head.starts_with("POST /c/wait") {
        return answer_wait(request, 0).await;
    }
    let mut frame = frame(1, b"output");
    if !whole {
        frame.truncate(frame.len() - 2);
    }
    request.stream.write_all(UPGRADED).await.expect("upgraded");
    request.stream.write_all(&frame).await.expect("printed");
    request.stream.flush().await.expect("sent");
    let ended = if whole {
        request.stream.get_mut().0.shutdown().await
    } else {
        request.stream.shutdown().await
    };
    ended.expect("ended");
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_frame_or_without_close_notify_is_a_lost_link() {
    for whole in [false, true] {
        let engine =
            Engine::start(&["127.0.0.1"], move |request| end_abruptly(request, whole)).await;
        let mut console = open(&engine, false).await.expect("a console");
        assert!(matches!(next(&mut console).await, Some(Event::Stdout(_))));
        assert!(matches!(next(&mut console).await, Some(Event::Lost(_))), "{whole}");
        assert_eq!(next(&mut console).await, Some(Event::Exit(0)));
    }
}
