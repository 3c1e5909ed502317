//! Whole HTTP calls with a grant: a body that goes to the host, or one that comes from it, as a stream. Neither
//! the control plane nor this process ever holds more of it than a piece.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use zun_common::shutdown::Tasks;

use super::address::Address;
use super::dial::Dialer;
use super::side::body;
use super::upgrade::words;
use crate::console::{ConsoleError, Dial};

const TAR: &str = "application/x-tar";

/// How long the head of an answer may take that does not wait for a body of ours.
const ANSWER: Duration = Duration::from_secs(30);

/// Makes calls with one grant, each on a connection of its own.
#[derive(Clone)]
pub struct Direct {
    dialer: Dialer,
    tasks: Tasks,
}

impl Direct {
    /// With the grant of this dial; connections run on its tasks.
    pub fn new(dial: &Dial) -> Result<Self, ConsoleError> {
        let Dial { endpoint, key, link, proxies, tasks, .. } = dial;
        let dialer = Dialer::new(&endpoint.tls, key)?.over(*link, proxies.clone());
        Ok(Self { dialer, tasks: tasks.clone() })
    }

    /// The answer to a call without a body, as soon as its head is there.
    pub async fn get(
        &self,
        method: Method,
        address: &Address,
    ) -> Result<Response<Incoming>, ConsoleError> {
        let request = Request::builder().method(method);
        let call = self.call(address, request, Empty::<Bytes>::new());
        timeout(ANSWER, call).await.unwrap_or_else(|_elapsed| Err(silent(address)))
    }

    /// Puts a stream. The answer comes when the host has taken all of it.
    pub async fn put<B>(&self, address: &Address, stream: B) -> Result<(), ConsoleError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let request = Request::builder().method(Method::PUT).header(CONTENT_TYPE, TAR);
        self.call(address, request, stream).await.map(drop)
    }

    /// Posts JSON; the answer says no more than that it went well.
    pub async fn post(&self, address: &Address, json: String) -> Result<(), ConsoleError> {
        let request =
            Request::builder().method(Method::POST).header(CONTENT_TYPE, "application/json");
        let call = self.call(address, request, Full::new(Bytes::from(json)));
        timeout(ANSWER, call).await.unwrap_or_else(|_elapsed| Err(silent(address))).map(drop)
    }

    async fn call<B>(
        &self,
        address: &Address,
        request: Builder,
        content: B,
    ) -> Result<Response<Incoming>, ConsoleError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let stream = self.dialer.dial(address).await?;
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
        let request = request
            .uri(&address.target)
            .header(HOST, address.authority())
            .body(content)
            .map_err(|_bad| ConsoleError::BadAddress(address.target.clone()))?;
        let answer = sender.send_request(request).await.map_err(|cause| broken(address, cause))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let told = timeout(ANSWER, body(answer)).await.unwrap_or_default();
        Err(ConsoleError::Refused { status, words: words(&told.unwrap_or_default()) })
    }
}

/// The next piece of a body; `None` at its end. Dropping the future loses nothing.
pub async fn piece(body: &mut Incoming) -> Option<Result<Bytes, ConsoleError>> {
    loop {
        match body.frame().await? {
            Ok(frame) => {
                if let Ok(bytes) = frame.into_data() {
                    return Some(Ok(bytes));
                }
            }
            Err(cause) => return Some(Err(ConsoleError::Broken(std::io::Error::other(cause)))),
        }
    }
}

fn silent(address: &Address) -> ConsoleError {
    ConsoleError::Silent { address: address.authority() }
}

/// With TLS 1.3 a host refuses a certificate only after the handshake; that is what it is then.
fn broken(address: &Address, cause: hyper::Error) -> ConsoleError {
    ConsoleError::Handshake { address: address.authority(), cause: std::io::Error::other(cause) }
}
