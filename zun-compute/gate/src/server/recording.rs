//! Downloads of recordings, by clients whose certificate has a grant for one.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info, warn};
use zun_common::chain;
use zun_common::client_certificate::GrantCertificate;
use zun_common::grant::Target;
use zun_common::id::RecordingId;
use zun_common::recording::recording_path;

use super::origin;
use super::serve::{HEAD, LARGEST_HEAD, MOST_HEADERS, Server};
use super::tls::now;
use crate::recording::NoRecording;
use crate::rights::Rights;

/// The most downloads at the same time.
const DOWNLOADS: usize = 32;
/// How long a download may take.
const DOWNLOAD: Duration = Duration::from_hours(1);
/// The size of a piece of the answer, in bytes.
const PIECE: usize = 64 << 10;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The downloads that are allowed.
pub(super) struct RecordingDownloads(Semaphore);

impl Default for RecordingDownloads {
    fn default() -> Self {
        Self(Semaphore::new(DOWNLOADS))
    }
}

impl Server {
    /// Serves one request of a client whose grant is for a recording.
    pub(super) async fn serve_recording(
        &self,
        stream: TlsStream<TcpStream>,
        (certificate, id): (&GrantCertificate, RecordingId),
        handshake: OwnedSemaphorePermit,
    ) {
        let handshake = Mutex::new(Some(handshake));
        let permit = self.recording_downloads.0.try_acquire();
        let service = service_fn(async |request: Request<Incoming>| {
            drop(handshake.lock().unwrap_or_else(PoisonError::into_inner).take());
            let (head, _) = request.into_parts();
            let answer = if permit.is_ok() {
                self.recording(&head, (certificate, id)).await
            } else {
                Err(StatusCode::SERVICE_UNAVAILABLE)
            };
            Ok::<_, Infallible>(answer.unwrap_or_else(|status| {
                debug!(grant.id = %certificate.id, %status, "a download was refused");
                refused(status)
            }))
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LARGEST_HEAD)
            .max_headers(MOST_HEADERS)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        if let Ok(Err(error)) = timeout(DOWNLOAD, serving).await {
            debug!(grant.id = %certificate.id, error = %chain(&error), "a download has failed");
        }
    }

    async fn recording(
        &self,
        head: &Parts,
        (certificate, id): (&GrantCertificate, RecordingId),
    ) -> Result<Response<Body>, StatusCode> {
        let is_granted = certificate.grant.host == self.host
            && certificate.grant.target == Target::Recording { id }
            && head.uri.to_string() == recording_path(id);
        let is_revoked = self.rights.is_revoked(&certificate.id, Instant::now());
        if !is_granted || is_revoked || !certificate.is_valid_at(now()) {
            return Err(StatusCode::FORBIDDEN);
        }
        if !origin::is_own(&head.headers) {
            return Err(StatusCode::FORBIDDEN);
        }
        if head.method != Method::GET {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let hub = Arc::clone(&self.hub);
        let opened = spawn_blocking(move || hub.recordings().read(id)).await;
        let opened = opened.map_err(|_panicked| StatusCode::INTERNAL_SERVER_ERROR)?;
        let (file, length) = opened.map_err(|error| match error {
            NoRecording::Ended(_) | NoRecording::NoDirectory => StatusCode::NOT_FOUND,
            NoRecording::File { .. } | NoRecording::Interrupted(_) => {
                warn!(recording.id = %id, error = %chain(&error), "cannot read a recording");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        })?;
        info!(grant.id = %certificate.id, recording.id = %id, length, "a recording is downloaded");
        let right = (Arc::clone(&self.rights), certificate.id.clone());
        let mut response =
            Response::new(StreamBody::new(pieces(file, length, right)).boxed_unsync());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-asciicast"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// The content of a file, as long as the grant is not revoked.
fn pieces(
    file: File,
    length: u64,
    right: (Arc<Rights>, String),
) -> impl Stream<Item = io::Result<Frame<Bytes>>> {
    let file = Arc::new(file);
    stream::try_unfold(0, move |at: u64| {
        let (file, right) = (Arc::clone(&file), right.clone());
        async move {
            if at >= length {
                return Ok(None);
            }
            if right.0.is_revoked(&right.1, Instant::now()) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            let size = usize::try_from(length - at).unwrap_or(PIECE).min(PIECE);
            let piece = spawn_blocking(move || {
                let mut piece = vec![0; size];
                file.read_exact_at(&mut piece, at).map(|()| piece)
            });
            let piece = piece.await.map_err(io::Error::other)??;
            Ok(Some((Frame::data(Bytes::from(piece)), at + size as u64)))
        }
    })
}

fn refused(status: StatusCode) -> Response<Body> {
    let body = Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
