//! An HTTP client with keep-alive.

use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use zun_tests::tls::{Identity, TlsDialer};

use crate::authz::request::RequestLine;

const TIMEOUT: Duration = Duration::from_secs(30);
/// A certificate is used for this time and then replaced. It is valid for two minutes.
const FRESH: Duration = Duration::from_secs(50);
/// The engine's message if the plugin refuses a request.
const DENIED: &str = "authorization denied by plugin";
const MOST: u64 = 64 << 10;

type Stream = BufReader<TlsStream<TcpStream>>;

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The handshake was refused.
    Handshake,
    /// The plugin refused the request (403).
    Refused,
    /// The engine does not know the route, so it did not ask the plugin (404).
    Unknown,
    /// The engine could not parse the request line.
    Malformed,
    /// The engine redirected the request before it asked the plugin.
    Redirected(String),
    /// The request passed, with this status.
    Passed(u16),
}

/// A client that dials again if the connection was closed or its certificate is too old.
pub(super) struct KeepAliveClient<'a> {
    dialer: &'a TlsDialer,
    make: Box<dyn Fn() -> Option<Identity> + Send + 'a>,
    identity: Option<Identity>,
    issued: Option<Instant>,
    open: Option<Stream>,
}

struct Reply {
    status: u16,
    location: Option<String>,
    body: String,
    reusable: bool,
}

impl<'a> KeepAliveClient<'a> {
    pub(super) fn new(
        dialer: &'a TlsDialer,
        make: impl Fn() -> Option<Identity> + Send + 'a,
    ) -> Self {
        Self { dialer, make: Box::new(make), identity: None, issued: None, open: None }
    }

    /// Sends a request. Dials once more if the connection turns out to be closed.
    pub(super) async fn send(&mut self, line: &RequestLine) -> Outcome {
        if self.issued.is_none_or(|issued| issued.elapsed() > FRESH) {
            (self.identity, self.open) = ((self.make)(), None);
            self.issued = Some(Instant::now());
        }
        let kept = self.open.take();
        if let Some(stream) = kept
            && let Some(outcome) = self.send_on(stream, line).await
        {
            return outcome;
        }
        let Ok(stream) = self.dialer.dial(self.identity.as_ref()).await else {
            return Outcome::Handshake;
        };
        self.send_on(BufReader::new(stream), line).await.unwrap_or(Outcome::Handshake)
    }

    /// Returns `None` if the connection ends before an answer.
    async fn send_on(&mut self, mut stream: Stream, line: &RequestLine) -> Option<Outcome> {
        stream.write_all(line.head().as_bytes()).await.ok()?;
        let answering = reply(&mut stream, line.method == "HEAD");
        let reply = timeout(TIMEOUT, answering).await.unwrap_or_else(|_| panic!("{line:?}"))?;
        if reply.reusable {
            self.open = Some(stream);
        }
        Some(outcome(reply, line))
    }
}

fn outcome(reply: Reply, line: &RequestLine) -> Outcome {
    let bodiless = line.method == "HEAD";
    match reply.status {
        403 if bodiless || reply.body.contains(DENIED) => Outcome::Refused,
        404 if bodiless || reply.body.contains("page not found") => Outcome::Unknown,
        // The engine's HTTP server answers these itself.
        400 | 501 | 505 if reply.body.is_empty() || is_plain(&reply) => Outcome::Malformed,
        301 | 307 | 308 => Outcome::Redirected(reply.location.unwrap_or_default()),
        status => Outcome::Passed(status),
    }
}

fn is_plain(reply: &Reply) -> bool {
    reply.body.starts_with(&format!("{} ", reply.status))
}

async fn reply(stream: &mut Stream, bodiless: bool) -> Option<Reply> {
    let status = line(stream).await?.split(' ').nth(1)?.parse().ok()?;
    let (mut length, mut location, mut close, mut chunked) = (None, None, false, false);
    loop {
        let header = line(stream).await?;
        let Some((name, value)) = header.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse::<u64>().ok(),
            "location" => location = Some(value.to_owned()),
            "connection" => close = value.eq_ignore_ascii_case("close"),
            "transfer-encoding" => chunked = true,
            _ => {}
        }
    }
    let ends = bodiless || matches!(status, 101 | 204 | 304);
    let most = match length {
        _ if ends || chunked => 0,
        Some(length) => length.min(MOST),
        // Without a length, the body ends with the connection.
        None if close => MOST,
        None => 0,
    };
    let mut body = Vec::new();
    stream.take(most).read_to_end(&mut body).await.ok()?;
    let reusable = !close && !chunked && status != 101;
    Some(Reply { status, location, body: String::from_utf8_lossy(&body).into_owned(), reusable })
}

async fn line(stream: &mut Stream) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    Some(line.trim_end().to_owned())
}
