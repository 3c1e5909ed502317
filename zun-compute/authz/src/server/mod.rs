//! Serves Docker's plugin protocol: HTTP/1.1 on a unix socket to which dockerd, `zun-authz --stats` and `zun-authz --metrics` connect.
//! Connections, sizes and times are limited. A request that cannot be parsed is refused.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zun_common::shutdown::Tasks;

use super::decision::Phase;
use super::plugin::Plugin;
use super::truncate::JsonTruncator;

/// The maximum number of open connections. Further connections wait in the backlog.
const MAX_CONNECTIONS: usize = 32;
/// The time limit for reading a request head, and for an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);
/// The time limit for reading a request body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest body that is read, in bytes, before truncation.
const MAX_BODY: usize = 256 << 20;
/// The largest body after truncation, in bytes.
const MAX_KEPT: usize = 256 << 10;
/// The largest request head, in bytes (hyper accepts no lower limit).
const MAX_HEAD: usize = 8 << 10;
/// The pause after a failed accept, so that running out of file descriptors does not cause a busy loop.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The path of the counts, for `zun-authz --stats`.
pub(super) const STATS: &str = "/ZunAuthz.Stats";
/// The path of the counts as metrics, for `zun-authz --metrics`.
pub(super) const METRICS: &str = "/ZunAuthz.Metrics";
const PLUGIN_JSON: HeaderValue =
    HeaderValue::from_static("application/vnd.docker.plugins.v1.1+json");
const ACTIVATED: &str = r#"{"Implements":["authz"]}"#;
const ALLOWED: &str = r#"{"Allow":true}"#;
const REFUSED: &str = r#"{"Allow":false,"Msg":"not granted"}"#;
const UNKNOWN: &str = r#"{"Err":"unknown plugin call"}"#;

/// Serves until the tasks are cancelled. `own` delivers the connections of the plugin's own health check.
pub(super) async fn serve(
    listener: &UnixListener,
    mut own: Receiver<UnixStream>,
    plugin: Arc<Plugin>,
    tasks: &Tasks,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        let accepted = tokio::select! {
            () = tasks.cancelled() => return,
            accepted = listener.accept() => accepted.map(|(stream, _)| stream),
            Some(stream) = own.recv() => Ok(stream),
        };
        match accepted {
            Ok(stream) => {
                tasks.spawn(connection(stream, permit, Arc::clone(&plugin), tasks.clone()));
            }
            Err(cause) => pause_after_failed_accept(&plugin, &cause).await,
        }
    }
}

async fn pause_after_failed_accept(plugin: &Plugin, cause: &io::Error) {
    plugin.log.warning("cannot accept a connection", cause);
    tokio::time::sleep(ACCEPT_RETRY).await;
}

async fn connection(
    stream: UnixStream,
    _permit: OwnedSemaphorePermit,
    plugin: Arc<Plugin>,
    tasks: Tasks,
) {
    let service = service_fn(move |request| {
        let plugin = Arc::clone(&plugin);
        async move { Ok::<_, Infallible>(answer(request, &plugin).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .half_close(true)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    // An error means that the peer has disconnected or does not speak HTTP, so nobody is left to report it to.
    tokio::select! {
        ended = serving.as_mut() => drop(ended),
        () = tasks.cancelled() => {
            serving.as_mut().graceful_shutdown();
            drop(serving.await);
        }
    }
}

async fn answer(request: Request<Incoming>, plugin: &Plugin) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let phase = match (&head.method, head.uri.path()) {
        (&Method::POST, "/Plugin.Activate") => return reply(StatusCode::OK, ACTIVATED),
        (&Method::POST, "/AuthZPlugin.AuthZReq") => Phase::Request,
        (&Method::POST, "/AuthZPlugin.AuthZRes") => Phase::Answer,
        (&Method::GET, STATS) => return reply(StatusCode::OK, plugin.stats()),
        (&Method::GET, METRICS) => return reply(StatusCode::OK, plugin.metrics()),
        _ => return reply(StatusCode::NOT_FOUND, UNKNOWN),
    };
    let request = tokio::time::timeout(BODY_TIMEOUT, read(body)).await.ok().flatten();
    let allowed = match request {
        Some(request) => plugin.allows(phase, &request),
        None => plugin.refuse(phase),
    };
    reply(StatusCode::OK, if allowed { ALLOWED } else { REFUSED })
}

fn reply(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, PLUGIN_JSON);
    response
}

/// Reads the request, and truncates its long strings. `None` if it is incomplete or too large.
async fn read(mut body: Incoming) -> Option<Vec<u8>> {
    let (mut truncator, mut kept, mut seen) = (JsonTruncator::default(), Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame.ok()?.into_data() {
            seen = seen.saturating_add(chunk.len());
            truncator.feed(&chunk, &mut kept);
        }
        if seen > MAX_BODY || kept.len() > MAX_KEPT {
            return None;
        }
    }
    Some(kept)
}

#[cfg(test)]
mod tests;
