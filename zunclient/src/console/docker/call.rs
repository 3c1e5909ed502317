//! One HTTP call on its own connection.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::Response;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::http::request::Builder;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use zun_common::shutdown::Tasks;

use super::address::Address;
use super::stream::Stream;
use super::upgrade::error_message;
use crate::console::ConsoleError;

/// How long reading the body of an error may take. Every timeout of a caller is longer than this.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_BODY: usize = 1 << 20;

/// Sends the call and returns after the headers of a successful answer have arrived. Any other status is an error with
/// the host's message. The connection runs on `tasks`. There is no timeout for the headers: a caller that needs one
/// must set it.
pub(super) async fn call<B>(
    stream: Stream,
    tasks: &Tasks,
    address: &Address,
    request: Builder,
    content: B,
) -> Result<Response<Incoming>, ConsoleError>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|cause| handshake_failed(address, cause))?;
    let own = tasks.clone();
    tasks.spawn(async move {
        tokio::select! {
            // The caller gets a connection error from `send_request` or from the body.
            _ended = connection => {}
            () = own.cancelled() => {}
        }
    });
    let request = request
        .uri(&address.target)
        .header(HOST, address.authority())
        .body(content)
        .map_err(|_bad| ConsoleError::BadAddress(address.target.clone()))?;
    let answer =
        sender.send_request(request).await.map_err(|cause| handshake_failed(address, cause))?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status().as_u16();
    let refusal = timeout(ERROR_BODY_TIMEOUT, body(answer)).await.unwrap_or_default();
    Err(ConsoleError::Refused { status, message: error_message(&refusal.unwrap_or_default()) })
}

/// Returns the whole body, or `None` if the connection fails or the body is too large.
pub(super) async fn body(answer: Response<Incoming>) -> Option<Bytes> {
    let collected = Limited::new(answer.into_body(), MAX_BODY).collect().await;
    Some(collected.ok()?.to_bytes())
}

/// Returns the error for a host that does not answer in time.
pub(super) fn no_answer(address: &Address) -> ConsoleError {
    ConsoleError::NoAnswer { address: address.authority() }
}

/// Returns a handshake error: with TLS 1.3, a host rejects a client certificate only after the handshake.
fn handshake_failed(address: &Address, cause: hyper::Error) -> ConsoleError {
    ConsoleError::Handshake { address: address.authority(), cause: std::io::Error::other(cause) }
}
