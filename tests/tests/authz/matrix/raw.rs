//! Sends raw bytes and reads the whole answer.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use zun_tests::tls::{Identity, TlsDialer};

/// Timeout for the next bytes. A hijacked stream does not end by itself.
const TIMEOUT: Duration = Duration::from_secs(3);
const MOST: u64 = 1 << 20;

/// Sends the bytes, shuts down the sending side and reads to the end. An early end is not an error.
pub(super) async fn exchange(dialer: &TlsDialer, identity: &Identity, bytes: &[u8]) -> String {
    let stream = dialer.dial(Some(identity)).await.expect("a handshake");
    talk(stream, bytes).await
}

/// Like [`exchange`], on an open connection.
pub(super) async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> String {
    drop(stream.write_all(bytes).await);
    drop(stream.flush().await);
    drop(stream.shutdown().await);
    let (mut stream, mut answer) = (stream.take(MOST), Vec::new());
    while matches!(timeout(TIMEOUT, stream.read_buf(&mut answer)).await, Ok(Ok(1..))) {}
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends a request, waits for the answer, and then types. The engine loses bytes that arrive with a request that
/// hijacks the connection.
pub(super) async fn type_in(
    dialer: &TlsDialer,
    identity: &Identity,
    (request, typed): (&str, &str),
) -> String {
    let mut stream = dialer.dial(Some(identity)).await.expect("a handshake");
    drop(stream.write_all(request.as_bytes()).await);
    drop(stream.flush().await);
    let mut answer = Vec::new();
    let answered = async {
        while statuses(&String::from_utf8_lossy(&answer)).iter().all(|status| *status == 100) {
            if !matches!(stream.read_buf(&mut answer).await, Ok(1..)) {
                return;
            }
        }
    };
    drop(timeout(TIMEOUT, answered).await);
    String::from_utf8_lossy(&answer).into_owned() + &talk(stream, typed.as_bytes()).await
}

/// Returns the status of every answer, in order.
pub(super) fn statuses(answer: &str) -> Vec<u16> {
    let heads = answer.split("HTTP/1.").skip(1);
    heads.filter_map(|head| head.get(2..5)?.parse().ok()).collect()
}
