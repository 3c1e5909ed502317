//! Serves the metrics over plain HTTP, and nothing else. Connections and times are limited.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zun_common::chain;
use zun_common::shutdown::Tasks;

use crate::host::Host;

/// Maximum number of open connections. Further connections wait in the backlog.
const MAX_CONNECTIONS: usize = 16;
/// The time limit for reading a request head, and for an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// The pause after a failed accept, so that running out of file descriptors does not cause a busy loop.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// The largest request head, in bytes (hyper accepts no lower limit).
const MAX_HEAD: usize = 8 << 10;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Serves until the tasks are cancelled.
pub(crate) async fn serve(host: Arc<Host>, listener: TcpListener, tasks: Tasks) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        let accepted = tokio::select! {
            () = tasks.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _peer)) => {
                tasks.spawn(connection((stream, permit), Arc::clone(&host), tasks.clone()));
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot accept a connection for metrics");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection(
    (stream, _permit): (TcpStream, OwnedSemaphorePermit),
    host: Arc<Host>,
    tasks: Tasks,
) {
    let service = service_fn(move |request| {
        let answer = answer(&request, &host);
        async move { Ok::<_, Infallible>(answer) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // An error means that the peer has disconnected or does not speak HTTP, so nobody is left to report it to.
    tokio::select! {
        ended = serving => drop(ended),
        () = tasks.cancelled() => {}
    }
}

fn answer(request: &Request<Incoming>, host: &Host) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => (StatusCode::OK, host.metrics_text()),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
        _ => (StatusCode::NOT_FOUND, String::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
    response
}
