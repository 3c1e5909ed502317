//! A raw HTTP request over TLS, and its outcome.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use zun_common::grant::{ApiVersion, Call, Grant};
use zun_tests::tls::{Identity, TlsDialer};

const TIMEOUT: Duration = Duration::from_secs(20);
const HIJACK: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: http://x\r\n";

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The handshake was refused.
    Handshake,
    /// The engine does not know the route, so it did not ask the plugin.
    NoSuchCall,
    /// The request was answered with this status.
    Status(u16),
}

/// An answer and its connection.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) stream: TlsStream<TcpStream>,
}

/// A request line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RequestLine {
    pub(super) method: String,
    pub(super) target: String,
}

impl RequestLine {
    pub(super) fn new(method: &str, target: impl Into<String>) -> Self {
        Self { method: method.to_owned(), target: target.into() }
    }

    /// Returns the request line of a granted call.
    pub(super) fn of(grant: &Grant, version: ApiVersion, call: Call) -> Self {
        let (method, target) = grant.call(version, call).expect("a granted call");
        Self::new(method.as_str(), target)
    }

    /// Returns the whole request.
    pub(super) fn head(&self) -> String {
        let upgrade = if self.target.contains("/attach/ws") {
            WEBSOCKET
        } else if self.target.contains("/attach") || self.target.ends_with("/start") {
            HIJACK
        } else {
            ""
        };
        // The engine reads the body of an exec start and requires its content type. It ignores other bodies.
        let body = if self.method == "POST" { "{\"Detach\":false}" } else { "" };
        let content =
            if self.target.ends_with("/start") { "Content-Type: application/json\r\n" } else { "" };
        format!(
            "{} {} HTTP/1.1\r\nHost: engine\r\n{upgrade}{content}Content-Length: {}\r\n\r\n{body}",
            self.method,
            self.target,
            body.len()
        )
    }
}

/// Dials, sends one request and drops the connection.
pub(super) async fn outcome(
    dialer: &TlsDialer,
    identity: Option<&Identity>,
    line: &RequestLine,
) -> Outcome {
    match open(dialer, identity, line).await {
        Some(answer) if answer.body.contains("page not found") => Outcome::NoSuchCall,
        Some(answer) => Outcome::Status(answer.status),
        None => Outcome::Handshake,
    }
}

/// Dials and sends a request. Returns `None` if the server closes the connection without an answer.
pub(super) async fn open(
    dialer: &TlsDialer,
    identity: Option<&Identity>,
    line: &RequestLine,
) -> Option<Answer> {
    let stream = dialer.dial(identity).await.ok()?;
    send(stream, line).await
}

/// Sends a request on an open connection.
pub(super) async fn send(mut stream: TlsStream<TcpStream>, line: &RequestLine) -> Option<Answer> {
    stream.write_all(line.head().as_bytes()).await.ok()?;
    let head = timeout(TIMEOUT, head(&mut stream)).await.expect("an answer in time")?;
    let status = head.split(' ').nth(1)?.parse().expect("a status");
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().expect("a length"));
    let mut body = vec![0; length];
    timeout(TIMEOUT, stream.read_exact(&mut body)).await.expect("a body in time").ok()?;
    Some(Answer { status, body: String::from_utf8_lossy(&body).into_owned(), stream })
}

async fn head(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).expect("text"))
}

/// Reads until the text appears, and returns everything read.
pub(super) async fn until(stream: &mut TlsStream<TcpStream>, text: &str) -> String {
    let mut seen = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&seen).contains(text) {
            seen.push(stream.read_u8().await.expect("more output"));
        }
    };
    timeout(TIMEOUT, reading).await.expect("the text in time");
    String::from_utf8_lossy(&seen).into_owned()
}

/// Returns a masked websocket frame of at most 125 bytes (the mask is zero).
pub(super) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short payload");
    let mut frame = vec![0x80 | opcode, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}
