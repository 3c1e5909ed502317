//! HTTP calls with a grant. Bodies are streamed directly to or from the host and never held in memory as a whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Builder;
use hyper::{Method, Request, Response};
use tokio::time::timeout;
use zun_common::shutdown::Tasks;

use super::address::Address;
use super::call::{call, no_answer};
use super::dial::Dialer;
use super::liveness::LivenessProbe;
use crate::console::{ConsoleError, Dial};

/// How long an answer's headers may take if no upload has to finish first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends calls with one grant, each on its own connection.
#[derive(Clone)]
pub struct Direct {
    dialer: Dialer,
    tasks: Tasks,
}

impl Direct {
    /// Creates it from the grant in `dial`. The connections run on the tasks in `dial`.
    pub fn new(dial: &Dial) -> Result<Self, ConsoleError> {
        let Dial { endpoint, key, link, proxies, tasks, .. } = dial;
        let dialer = Dialer::new(&endpoint.tls, key)?.with_options(*link, proxies.clone());
        Ok(Self { dialer, tasks: tasks.clone() })
    }

    /// Sends a call without a body and returns after the headers of the answer have arrived.
    pub async fn get(
        &self,
        method: Method,
        address: &Address,
    ) -> Result<Response<Incoming>, ConsoleError> {
        let request = Request::builder().method(method);
        let call = self.dial_and_call(address, request, Empty::<Bytes>::new());
        timeout(ANSWER_TIMEOUT, call).await.unwrap_or_else(|_elapsed| Err(no_answer(address)))
    }

    /// Uploads a stream and returns after the host has answered. A slow host has no time limit while it is reachable. The
    /// request has no `Content-Type`, because the host refuses one: Docker prefers the values of a URL-encoded form to
    /// those of the query, so a form could name another destination.
    pub async fn put<B>(&self, address: &Address, stream: B) -> Result<(), ConsoleError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let dialled = self.dialer.dial(address).await?;
        let mut liveness =
            LivenessProbe::new(&dialled, &self.dialer, address).map_err(ConsoleError::LinkLost)?;
        let progress = Arc::new(UploadProgress::default());
        let stream = CountedBody { stream, progress: Arc::clone(&progress) };
        let request = Request::builder().method(Method::PUT);
        let call = call(dialled, &self.tasks, address, request, stream);
        tokio::pin!(call);
        let (mut before, mut probed) = (0, false);
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut call => break outcome,
                () = tokio::time::sleep(liveness.slow_after()) => {}
            }
            let now = progress.count.load(Ordering::Relaxed);
            if now != before {
                liveness.write_finished();
                (before, probed) = (now, false);
            } else if !probed || !progress.waiting_for_data.load(Ordering::Relaxed) {
                // While the local source is idle, one probe covers the data that is still in flight.
                liveness.probe().await;
                probed = true;
            }
        };
        outcome.map(drop).map_err(|error| progress.explain(error))
    }

    /// Posts JSON and discards the body of the answer.
    pub async fn post(&self, address: &Address, json: String) -> Result<(), ConsoleError> {
        let request =
            Request::builder().method(Method::POST).header(CONTENT_TYPE, "application/json");
        let call = self.dial_and_call(address, request, Full::new(Bytes::from(json)));
        timeout(ANSWER_TIMEOUT, call)
            .await
            .unwrap_or_else(|_elapsed| Err(no_answer(address)))
            .map(drop)
    }

    async fn dial_and_call<B>(
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
        call(stream, &self.tasks, address, request, content).await
    }
}

/// The progress of an upload.
#[derive(Debug, Default)]
struct UploadProgress {
    /// The bytes that the connection has taken from the stream.
    count: AtomicU64,
    /// Whether the connection waits for the local source. If not, it waits for the host.
    waiting_for_data: AtomicBool,
}

impl UploadProgress {
    /// Turns a handshake error after the first byte into a lost link, unless the error is from TLS itself.
    fn explain(&self, error: ConsoleError) -> ConsoleError {
        let bytes = self.count.load(Ordering::Relaxed);
        if bytes == 0 {
            return error;
        }
        if let ConsoleError::Handshake { address, cause } = error {
            return if is_tls_error(&cause) {
                ConsoleError::Handshake { address, cause }
            } else {
                ConsoleError::LinkLost(std::io::Error::other(LostAfter { bytes, cause }))
            };
        }
        error
    }
}

/// How much was sent before the link was lost.
#[derive(Debug, thiserror::Error)]
#[error("after {bytes} bytes")]
struct LostAfter {
    bytes: u64,
    #[source]
    cause: std::io::Error,
}

fn is_tls_error(cause: &std::io::Error) -> bool {
    let mut cause = cause.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(error) = cause {
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>()
            || held.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A stream that reports its progress.
struct CountedBody<B> {
    stream: B,
    progress: Arc<UploadProgress>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for CountedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.stream).poll_frame(context);
        self.progress.waiting_for_data.store(polled.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let count = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.progress.count.fetch_add(count, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.stream.size_hint()
    }
}

/// Returns the next chunk of a body, or `None` at its end. Dropping the future loses nothing.
pub async fn next_chunk(body: &mut Incoming) -> Option<Result<Bytes, ConsoleError>> {
    loop {
        match body.frame().await? {
            Ok(frame) => {
                if let Ok(bytes) = frame.into_data() {
                    return Some(Ok(bytes));
                }
            }
            Err(cause) => return Some(Err(ConsoleError::LinkLost(std::io::Error::other(cause)))),
        }
    }
}
