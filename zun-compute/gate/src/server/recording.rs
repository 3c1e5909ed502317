//! Downloads of recordings, by clients whose certificate has a grant for one, and by browsers with a ticket for one.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName,
    HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
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
use zun_common::pty::Ticket;
use zun_common::recording::{RECORDING_PATHS, recording_path};

use super::allowance::Allowance;
use super::files::Copy;
use super::origin;
use super::places::{PlaceLimits, Places};
use super::request::only;
use super::serve::{HEAD, LARGEST_HEAD, MOST_HEADERS, Peer, Server};
use super::tls::now;
use crate::engine::Bytestream;
use crate::recording::{NoRecording, OpenRecording};
use crate::rights::key_of;

/// The downloads at the same time.
const DOWNLOADS: PlaceLimits = PlaceLimits { all: 32, of_source: 8, kept: DOWNLOAD };
/// How long a download may take.
const DOWNLOAD: Duration = Duration::from_hours(1);
/// How long its client may take nothing.
const STALLED: Duration = Duration::from_mins(1);
/// The size of a piece of the answer, in bytes.
const PIECE: usize = 64 << 10;

/// How a browser presents its ticket, in the header `Authorization`.
const SCHEME: &str = "Zun-Ticket ";
/// Whether the session of the recording has ended.
const STATE: HeaderName = HeaderName::from_static("zun-recording");

/// The places of downloads.
pub(super) fn recording_downloads() -> Places {
    Places::new(DOWNLOADS)
}

/// How long a download may still take.
#[derive(Clone)]
struct Progress {
    allowance: Allowance,
    latest: Instant,
    /// The place of a browser's download, which ends with it.
    _copy: Option<Arc<Copy>>,
}

impl Progress {
    /// Begins a download whose client may take nothing for as long as `stalled`.
    fn begin(stalled: Duration) -> Self {
        let latest = Instant::now() + DOWNLOAD;
        Self { allowance: Allowance::of(stalled), latest, _copy: None }
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
    ) -> Result<Response<Bytestream>, StatusCode> {
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
        let opened = self.open_recording(id).await?;
        info!(
            grant.id = %certificate.id, recording.id = %id, length = opened.length,
            "a recording is downloaded"
        );
        progress.allowance.bind(certificate.id.clone());
        Ok(content(opened, progress))
    }

    /// Answers a browser's request for a recording. It is one of the copies of files that run at the same time.
    /// `allowance` is that of its connection.
    pub(super) async fn recording_with_ticket(
        &self,
        head: &Parts,
        allowance: &Allowance,
    ) -> Response<Bytestream> {
        self.content_with_ticket(head, allowance).await.unwrap_or_else(|status| {
            debug!(%status, "a recording was not sent to a browser");
            refused(status)
        })
    }

    async fn content_with_ticket(
        &self,
        head: &Parts,
        allowance: &Allowance,
    ) -> Result<Response<Bytestream>, StatusCode> {
        let id = head.uri.path().strip_prefix(RECORDING_PATHS).and_then(|id| id.parse().ok());
        let id: RecordingId = id.ok_or(StatusCode::NOT_FOUND)?;
        // The whole request target must match. Pages of other sites cannot set the header.
        if !origin::is_own(&head.headers) || head.uri.to_string() != recording_path(id) {
            return Err(StatusCode::FORBIDDEN);
        }
        if head.method != Method::GET {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let credentials = only(&head.headers, &AUTHORIZATION).ok_or(StatusCode::FORBIDDEN)?;
        let ticket = credentials.strip_prefix(SCHEME).and_then(|text| text.parse::<Ticket>().ok());
        let key = key_of(&ticket.ok_or(StatusCode::FORBIDDEN)?);
        let right = self.rights.take_for_recording(key, id, Instant::now());
        let right = right.ok_or(StatusCode::FORBIDDEN)?;
        let grant = right.grant.clone();
        let copy = self.copies.begin(&grant, allowance);
        let opened = match &copy {
            Some(_) => self.open_recording(id).await,
            None => Err(StatusCode::SERVICE_UNAVAILABLE),
        };
        let opened = opened.inspect_err(|_status| {
            self.rights.give_back_for_recording(key, right, Instant::now());
        })?;
        info!(
            grant.id = %grant, recording.id = %id, length = opened.length,
            "a browser plays a recording"
        );
        let latest = Instant::now() + DOWNLOAD;
        let progress = Progress { allowance: allowance.clone(), latest, _copy: copy.map(Arc::new) };
        progress.extend();
        Ok(content(opened, &progress))
    }

    async fn open_recording(&self, id: RecordingId) -> Result<OpenRecording, StatusCode> {
        let hub = Arc::clone(&self.hub);
        let opened = spawn_blocking(move || hub.recordings().read(id)).await;
        let opened = opened.map_err(|_panicked| StatusCode::INTERNAL_SERVER_ERROR)?;
        opened.map_err(|error| match error {
            NoRecording::Ended(_) | NoRecording::NoDirectory => StatusCode::NOT_FOUND,
            NoRecording::File { .. } | NoRecording::Interrupted(_) => {
                warn!(recording.id = %id, error = %chain(&error), "cannot read a recording");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        })
    }
}

/// The answer with a recording.
fn content(opened: OpenRecording, progress: &Progress) -> Response<Bytestream> {
    let OpenRecording { file, length, is_in_progress } = opened;
    let content = pieces(file, length, progress.clone());
    let mut response = Response::new(StreamBody::new(content).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-asciicast"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let state = if is_in_progress { "in-progress" } else { "ended" };
    headers.insert(STATE, HeaderValue::from_static(state));
    response
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

fn refused(status: StatusCode) -> Response<Bytestream> {
    let body = Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
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
