//! One raw request over TLS, and what became of it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use zun_common::grant::{ApiVersion, Call, Grant};
use zun_tests::tls::{Dialler, Identity};

const TIMEOUT: Duration = Duration::from_secs(20);
const HIJACK: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: http://x\r\n";

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Cut before a byte of HTTP.
    Handshake,
    /// The engine knows no such call, so the plugin was not even asked.
    NoSuchCall,
    /// Answered with this status.
    Status(u16),
}

/// An answer with its connection.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) stream: TlsStream<TcpStream>,
}

/// A request line with what goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RequestLine {
    pub(super) method: String,
    pub(super) target: String,
}

impl RequestLine {
    pub(super) fn new(method: &str, target: impl Into<String>) -> Self {
        Self { method: method.to_owned(), target: target.into() }
    }

    /// The line of a call that the grant is good for.
    pub(super) fn of(grant: &Grant, version: ApiVersion, call: Call) -> Self {
        let (method, target) = grant.call(version, call).expect("a granted call");
        Self::new(method.as_str(), target)
    }

    /// The whole request.
    pub(super) fn head(&self) -> String {
        let upgrade = if self.target.contains("/attach/ws") {
            WEBSOCKET
        } else if self.target.contains("/attach") || self.target.ends_with("/start") {
            HIJACK
        } else {
            ""
        };
        // An exec start reads its body, and must say that it is JSON; elsewhere it is ignored.
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

/// Dials, asks once and drops the connection.
pub(super) async fn outcome(
    dialler: &Dialler,
    identity: Option<&Identity>,
    line: &RequestLine,
) -> Outcome {
    match open(dialler, identity, line).await {
        Some(answer) if answer.body.contains("page not found") => Outcome::NoSuchCall,
        Some(answer) => Outcome::Status(answer.status),
        None => Outcome::Handshake,
    }
}

/// Dials and asks. `None` where the server cuts the connection instead of answering.
pub(super) async fn open(
    dialler: &Dialler,
    identity: Option<&Identity>,
    line: &RequestLine,
) -> Option<Answer> {
    let stream = dialler.dial(identity).await.ok()?;
    send(stream, line).await
}

/// Asks on an open connection.
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

/// Reads until the text appears.
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

/// A masked websocket frame of at most 125 bytes (the mask is zero).
pub(super) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short payload");
    let mut frame = vec![0x80 | opcode, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}
