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
use tokio::task::spawn_blocking;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info, warn};
use zun_common::chain;
use zun_common::client_certificate::GrantCertificate;
use zun_common::grant::Target;
use zun_common::id::RecordingId;
use zun_common::recording::recording_path;

use super::allowance::Allowance;
use super::origin;
use super::places::{PlaceLimits, Places};
use super::serve::{HEAD, LARGEST_HEAD, MOST_HEADERS, Peer, Server};
use super::tls::now;
use crate::recording::NoRecording;

/// The downloads at the same time.
const DOWNLOADS: PlaceLimits = PlaceLimits { all: 32, of_source: 8, kept: DOWNLOAD };
/// How long a download may take.
const DOWNLOAD: Duration = Duration::from_hours(1);
/// How long its client may take nothing.
const STALLED: Duration = Duration::from_mins(1);
/// The size of a piece of the answer, in bytes.
const PIECE: usize = 64 << 10;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The places of downloads.
pub(super) fn recording_downloads() -> Places {
    Places::new(DOWNLOADS)
}

/// How long a download may still take.
#[derive(Clone)]
struct Progress {
    allowance: Allowance,
    latest: Instant,
}

impl Progress {
    /// Begins a download whose client may take nothing for as long as `stalled`.
    fn begin(stalled: Duration) -> Self {
        Self { allowance: Allowance::of(stalled), latest: Instant::now() + DOWNLOAD }
    }

    /// Extends the deadline: the client has taken something.
    fn extend(&self) {
        self.allowance.end_at((Instant::now() + STALLED).min(self.latest));
    }
}

impl Server {
    /// Serves one request of a client whose grant is for a recording.
    pub(super) async fn serve_recording(
        &self,
        stream: TlsStream<TcpStream>,
        (certificate, id): (&GrantCertificate, RecordingId),
        Peer { source, handshake }: Peer,
    ) {
        let handshake = Mutex::new(Some(handshake));
        let replaced = Arc::default();
        let place = self.recording_downloads.take(source, &replaced, Instant::now());
        let progress = Progress::begin(STALLED);
        let service = service_fn(async |request: Request<Incoming>| {
            drop(handshake.lock().unwrap_or_else(PoisonError::into_inner).take());
            let (head, _) = request.into_parts();
            let answer = if place.is_some() {
                self.recording(&head, (certificate, id), &progress).await
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
        tokio::select! {
            served = serving => if let Err(error) = served {
                debug!(grant.id = %certificate.id, error = %chain(&error), "a download has failed");
            },
            () = progress.allowance.ended(&self.rights) => {
                debug!(grant.id = %certificate.id, "a download took too long, or its grant was revoked");
            }
            () = replaced.notified() => {}
        }
    }

    async fn recording(
        &self,
        head: &Parts,
        (certificate, id): (&GrantCertificate, RecordingId),
        progress: &Progress,
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
        progress.allowance.bind(certificate.id.clone());
        let content = pieces(file, length, progress.clone());
        let mut response = Response::new(StreamBody::new(content).boxed_unsync());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-asciicast"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// The content of a file.
fn pieces(
    file: File,
    length: u64,
    progress: Progress,
) -> impl Stream<Item = io::Result<Frame<Bytes>>> {
    let file = Arc::new(file);
    stream::try_unfold(0, move |at: u64| {
        let (file, progress) = (Arc::clone(&file), progress.clone());
        async move {
            if at >= length {
                return Ok(None);
            }
            progress.extend();
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures_util::StreamExt as _;
    use tokio::time::timeout;

    use super::*;
    use crate::rights::Rights;

    #[tokio::test]
    async fn a_download_ends_if_its_client_takes_nothing_and_continues_while_it_does() {
        let (rights, short) = (Rights::default(), Duration::from_millis(50));
        let stalled = Progress::begin(short);
        timeout(STALLED / 2, stalled.allowance.ended(&rights)).await.expect("it ends soon");
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"content").expect("written");
        let progress = Progress::begin(short);
        let mut content = Box::pin(pieces(file, 7, progress.clone()));
        let piece = content.next().await.expect("a piece").expect("read");
        assert_eq!(piece.into_data().expect("data"), "content");
        assert!(timeout(4 * short, progress.allowance.ended(&rights)).await.is_err());
        progress.allowance.bind("g2".to_owned());
        rights.revoke("g2", Instant::now()).expect("revoked");
        progress.allowance.ended(&rights).await;
    }
}
