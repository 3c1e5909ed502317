//! Side calls of a grant: each on a fresh connection, so that a stream that stalls never holds them up.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use zun_common::shutdown::Tasks;

use super::address::Address;
use super::grants::Grants;
use super::stream::Stream;
use super::upgrade::words;
use crate::console::ConsoleError;

const ANSWER: Duration = Duration::from_secs(10);
const LARGEST_BODY: usize = 1 << 20;

/// Makes side calls.
#[derive(Clone)]
pub struct Side {
    grants: Grants,
    tasks: Tasks,
}

impl Side {
    /// With this grant; connections run on these tasks.
    pub const fn new(grants: Grants, tasks: Tasks) -> Self {
        Self { grants, tasks }
    }

    /// Makes a call and returns as soon as the head of a good answer is there.
    pub async fn begin(
        &self,
        method: Method,
        address: &Address,
    ) -> Result<Response<Incoming>, ConsoleError> {
        let outcome = match self.grants.dialer().await?.dial(address).await {
            Ok(stream) => self.call(stream, &method, address).await,
            Err(error) => Err(error),
        };
        match outcome {
            // What should still be good is not taken any more: it is tried once with another grant.
            Err(ConsoleError::Handshake { .. }) => {
                let stream = self.grants.another().await?.dial(address).await?;
                self.call(stream, &method, address).await
            }
            outcome => outcome,
        }
    }

    async fn call(
        &self,
        stream: Stream,
        method: &Method,
        address: &Address,
    ) -> Result<Response<Incoming>, ConsoleError> {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|cause| broken(address, cause))?;
        let own = self.tasks.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                // The caller hears of it through the answer.
                _ended = connection => {}
                () = own.cancelled() => {}
            }
        });
        let request = Request::builder()
            .method(method.clone())
            .uri(&address.target)
            .header(HOST, address.authority())
            .body(Empty::<Bytes>::new())
            .map_err(|_bad| ConsoleError::BadAddress(address.target.clone()))?;
        let answer = match timeout(ANSWER, sender.send_request(request)).await {
            Ok(answer) => answer.map_err(|cause| broken(address, cause))?,
            Err(_elapsed) => return Err(ConsoleError::Silent { address: address.authority() }),
        };
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let body = timeout(ANSWER, body(answer)).await.unwrap_or_default();
        Err(ConsoleError::Refused { status, words: words(&body.unwrap_or_default()) })
    }

    /// Makes a call and takes its whole answer.
    pub async fn whole(&self, method: Method, address: &Address) -> Result<Bytes, ConsoleError> {
        let answer = self.begin(method, address).await?;
        let garbled =
            || ConsoleError::Garbled { address: address.authority(), what: "its answer is cut" };
        match timeout(ANSWER, body(answer)).await {
            Ok(body) => body.ok_or_else(garbled),
            Err(_elapsed) => Err(ConsoleError::Silent { address: address.authority() }),
        }
    }
}

/// The whole body, if it comes and is not too large.
pub async fn body(answer: Response<Incoming>) -> Option<Bytes> {
    let collected = Limited::new(answer.into_body(), LARGEST_BODY).collect().await;
    Some(collected.ok()?.to_bytes())
}

/// With TLS 1.3 a host refuses a certificate only after the handshake; that is what it is then.
fn broken(address: &Address, cause: hyper::Error) -> ConsoleError {
    ConsoleError::Handshake { address: address.authority(), cause: std::io::Error::other(cause) }
}
