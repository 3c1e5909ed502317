//! HTTP/1.1 upgrades: a hijacked stream, a WebSocket or a proxy tunnel. An upgrade sends one request and reads the
//! headers of the answer, and keeps any bytes of the new protocol that follow them.

use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use zun_common::docker_errors::user_message;

use crate::console::ConsoleError;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEAD: usize = 64 << 10;
const MAX_ERROR_BODY: usize = 64 << 10;

/// An upgraded connection.
#[derive(Debug)]
pub struct Upgraded<S> {
    /// The stream of the new protocol.
    pub stream: S,
    /// Its first bytes, which came with the answer.
    pub first: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl<S> Upgraded<S> {
    /// Returns a header of the answer. `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

/// Sends `request` and waits for status 101. Any other status is an error with the host's message.
pub async fn upgrade<S>(
    mut stream: S,
    address: &str,
    request: &[u8],
) -> Result<Upgraded<S>, ConsoleError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (head, mut rest) = exchange(&mut stream, address, request).await?;
    if head.status == 101 {
        return Ok(Upgraded { stream, first: rest, headers: head.headers });
    }
    // A message that arrives only in part is used as it is.
    drop(timeout(Duration::from_secs(2), read_error_body(&mut stream, &head, &mut rest)).await);
    Err(ConsoleError::Refused { status: head.status, message: error_message(&rest) })
}

/// Asks a proxy to open a tunnel to a host.
pub(super) async fn tunnel<S>(
    mut stream: S,
    host: &str,
    proxy: &str,
    authorization: Option<&HeaderValue>,
) -> Result<S, ConsoleError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
    if let Some(authorization) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let address = format!("{host} (through the proxy {proxy})");
    let (head, rest) = exchange(&mut stream, &address, &request).await?;
    match (head.status, rest.is_empty()) {
        (200..=299, true) => Ok(stream),
        (200..=299, false) => {
            let what = "the proxy sent data before the host did";
            Err(ConsoleError::BadAnswer { address, problem: what })
        }
        (status, _) => Err(ConsoleError::RefusedByProxy {
            proxy: proxy.to_owned(),
            address: host.to_owned(),
            status,
        }),
    }
}

async fn exchange<S>(
    stream: &mut S,
    address: &str,
    request: &[u8],
) -> Result<(Head, Vec<u8>), ConsoleError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request_and_head = async {
        stream.write_all(request).await.map_err(ConsoleError::LinkLost)?;
        stream.flush().await.map_err(ConsoleError::LinkLost)?;
        read_head(stream, address).await
    };
    match timeout(ANSWER_TIMEOUT, request_and_head).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(ConsoleError::NoAnswer { address: address.to_owned() }),
    }
}

/// Returns the message in the body of an error.
pub fn error_message(body: &[u8]) -> String {
    user_message(&String::from_utf8_lossy(body))
}

struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

async fn read_head<S>(stream: &mut S, address: &str) -> Result<(Head, Vec<u8>), ConsoleError>
where
    S: AsyncRead + Unpin,
{
    let bad_answer = |what| ConsoleError::BadAnswer { address: address.to_owned(), problem: what };
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            let head = parse_head(&bytes).ok_or_else(|| bad_answer("it is not HTTP"))?;
            return Ok((head, rest));
        }
        if bytes.len() > MAX_HEAD {
            return Err(bad_answer("its headers are too long"));
        }
        if stream.read_buf(&mut bytes).await.map_err(ConsoleError::LinkLost)? == 0 {
            return Err(bad_answer("the connection closed before the answer"));
        }
    }
}

fn parse_head(bytes: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.splitn(3, ' ');
    if !first.next()?.starts_with("HTTP/1.") {
        return None;
    }
    let status = first.next()?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Head { status, headers })
}

async fn read_error_body<S>(stream: &mut S, head: &Head, body: &mut Vec<u8>) -> std::io::Result<()>
where
    S: AsyncRead + Unpin,
{
    let length = head.headers.iter().find(|(name, _)| name == "content-length");
    let wanted = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(MAX_ERROR_BODY);
    while body.len() < wanted.min(MAX_ERROR_BODY) {
        if stream.read_buf(body).await? == 0 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn upgrade_with_answer(
        answer: &'static [u8],
    ) -> Result<Upgraded<tokio::io::DuplexStream>, ConsoleError> {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let server = async move {
            let mut request = [0; 4];
            theirs.read_exact(&mut request).await.expect("a request");
            theirs.write_all(answer).await.expect("an answer");
            theirs
        };
        let (outcome, _theirs) = tokio::join!(upgrade(ours, "h:1", b"ping"), server);
        outcome
    }

    #[tokio::test]
    async fn bytes_after_the_headers_belong_to_the_new_protocol() {
        let upgraded =
            upgrade_with_answer(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nfirst").await;
        let upgraded = upgraded.expect("an upgrade");
        assert_eq!(upgraded.header("upgrade"), Some("tcp"));
        assert!(b"first".starts_with(upgraded.first.as_slice()));
    }

    #[tokio::test]
    async fn a_refusal_contains_the_hosts_message() {
        let refusal = upgrade_with_answer(
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 41\r\n\r\n{\"message\":\"authorization denied: not so\"}",
        )
        .await
        .expect_err("a refusal");
        assert!(refusal.to_string().starts_with("the host refused (403): "), "{refusal}");
    }

    #[tokio::test]
    async fn a_refusal_by_a_proxy_names_the_proxy() {
        let (ours, mut theirs) = tokio::io::duplex(256);
        let proxy = async move {
            let mut request = [0; 4];
            theirs.read_exact(&mut request).await.expect("a request");
            theirs.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await.expect("an answer");
            theirs
        };
        let (outcome, _theirs) = tokio::join!(tunnel(ours, "h:2376", "p:3128", None), proxy);
        let refusal = outcome.expect_err("a refusal").to_string();
        assert_eq!(refusal, "the proxy p:3128 refused to connect to the host at h:2376 (502)");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_http_is_reported_as_such() {
        let refusal = upgrade_with_answer(b"SSH-2.0-x\r\n\r\n").await.expect_err("no HTTP");
        assert!(refusal.to_string().contains("not HTTP"), "{refusal}");
    }
}
