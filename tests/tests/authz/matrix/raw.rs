//! Bytes as they come, and all that is answered.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use zun_tests::tls::{Dialler, Identity};

/// A stream that the engine took over does not end by itself.
const PATIENCE: Duration = Duration::from_secs(3);
const MOST: u64 = 1 << 20;

/// Sends all, says that no more comes, and reads to the end. What ends early is no error.
pub(super) async fn exchange(dialler: &Dialler, identity: &Identity, bytes: &[u8]) -> String {
    let stream = dialler.dial(Some(identity)).await.expect("a handshake");
    talk(stream, bytes).await
}

/// The same on an open connection.
pub(super) async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> String {
    drop(stream.write_all(bytes).await);
    drop(stream.flush().await);
    drop(stream.shutdown().await);
    let mut answer = Vec::new();
    drop(timeout(PATIENCE, (&mut stream).take(MOST).read_to_end(&mut answer)).await);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses of all answers, in their order.
pub(super) fn statuses(answer: &str) -> Vec<u16> {
    let heads = answer.split("HTTP/1.").skip(1);
    heads.filter_map(|head| head.get(2..5)?.parse().ok()).collect()
}
