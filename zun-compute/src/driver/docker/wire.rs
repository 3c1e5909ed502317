//! HTTP over Docker's unix socket, with one connection per request.
//!
//! The client library uses this transport too, for two reasons: the socket need not exist at the start, and the
//! library would discard "304 Not Modified". The driver sends some requests itself: raw logs, which the library would
//! buffer without limit, and subscriptions, which the library would send late.

use std::io;
use std::path::{Path, PathBuf};

use bollard::BollardRequest;
use bollard::errors::Error;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use http_body_util::{BodyExt as _, Either, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use hyperlocal::UnixConnector;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::errors::RequestFailure;

/// The largest answer that is normally read into memory, in bytes.
pub(super) const LARGEST_ANSWER: usize = 16 << 20;

/// The body type of the client library.
type Body = Either<Full<Bytes>, StreamBody<BoxStream<'static, io::Result<Frame<Bytes>>>>>;

/// The transport to one engine. Clones share the client.
#[derive(Debug, Clone)]
pub(super) struct EngineTransport {
    socket: PathBuf,
    client: Client<UnixConnector, Body>,
}

/// Docker's error message.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl EngineTransport {
    pub(super) fn new(socket: &Path) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .build(UnixConnector);
        Self { socket: socket.to_owned(), client }
    }

    /// The address for the client library's requests.
    pub(super) fn address(&self) -> String {
        let uri: hyper::Uri = hyperlocal::Uri::new(&self.socket, "/").into();
        format!("unix://{}", uri.host().unwrap_or_default())
    }

    /// Sends a request of the client library. Returns "304 Not Modified" as an error.
    pub(super) async fn carry(&self, request: BollardRequest) -> Result<Response<Incoming>, Error> {
        let response = self.client.request(request).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            let status_code = StatusCode::NOT_MODIFIED.as_u16();
            return Err(Error::DockerResponseServerError { status_code, message: String::new() });
        }
        Ok(response)
    }

    /// Sends a GET, and returns the body after the head of a successful answer has arrived.
    pub(super) async fn get(&self, path_and_query: &str) -> Result<Incoming, RequestFailure> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(hyperlocal::Uri::new(&self.socket, path_and_query))
            .header(hyper::header::HOST, "docker")
            .body(Either::Left(Full::new(Bytes::new())))
            .map_err(|error| RequestFailure::Unexpected(error.to_string()))?;
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| RequestFailure::from(Error::from(error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let answer = whole(response.into_body(), LARGEST_ANSWER).await?;
        let words = serde_json::from_slice(&answer).map_or_else(
            |_not_json| String::from_utf8_lossy(&answer).into_owned(),
            |Refusal { message }| message,
        );
        Err(RequestFailure::Refused { status: status.as_u16(), words })
    }

    /// Sends a GET, and parses the answer as JSON. Fails if it has more than `largest` bytes.
    pub(super) async fn get_json<T: DeserializeOwned>(
        &self,
        path: &str,
        largest: usize,
    ) -> Result<T, RequestFailure> {
        let answer = whole(self.get(path).await?, largest).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| RequestFailure::Unexpected(error.to_string()))
    }
}

async fn whole(body: Incoming, largest: usize) -> Result<Bytes, RequestFailure> {
    match Limited::new(body, largest).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(RequestFailure::Unreachable(error)),
    }
}
