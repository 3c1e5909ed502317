//! Copies files for clients with tickets: tar streams to and from the engine, of limited length, a few at a time. The
//! client must have a session that its ticket has opened, and the ticket must allow it.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::unfold;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;
use tracing::{debug, info};
use zun_common::chain;
use zun_common::grant::ArchiveCall;
use zun_common::pty::{ARCHIVE_PATH, Resume, Ticket};
use zun_common::recording::RECORDING_PATHS;

use super::allowance::Allowance;
use super::origin::is_own;
use super::request::only;
use super::serve::Server;
use crate::engine::{ArchiveAnswer, ArchiveError, ArchiveRequest, Bytestream, EngineError};
use crate::rights::key_of;
use crate::session::FileRight;

/// The most copies at the same time.
const COPIES: usize = 32;
/// The most of them with one grant.
const COPIES_OF_GRANT: usize = 2;
/// How long a copy may make no progress.
const STALLED: Duration = Duration::from_mins(1);
/// How long a copy may take.
const LONGEST: Duration = Duration::from_hours(1);
/// How many parts of an upload may wait for the engine.
const QUEUED: usize = 4;

const SCHEME: &str = "Zun-Session ";
const TAR: HeaderValue = HeaderValue::from_static("application/x-tar");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The engine's description of a path, in the same header that the engine uses.
const STAT: HeaderName = HeaderName::from_static("x-docker-container-path-stat");

/// The copies that run, by their grants.
#[derive(Debug, Clone, Default)]
pub(super) struct Copies(Arc<Mutex<HashMap<String, usize>>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Copy {
    copies: Copies,
    grant: String,
    allowance: Allowance,
    /// Its deadline.
    latest: Instant,
}

impl Copies {
    /// Begins a copy, and binds the connection to its grant. `None` if there are too many.
    pub(super) fn begin(&self, grant: &str, allowance: &Allowance) -> Option<Copy> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_grant = running.get(grant).copied().unwrap_or_default();
        if running.values().sum::<usize>() >= COPIES || of_grant >= COPIES_OF_GRANT {
            return None;
        }
        running.insert(grant.to_owned(), of_grant + 1);
        let latest = Instant::now() + LONGEST;
        let (copies, allowance) = (self.clone(), allowance.clone());
        let copy = Copy { copies, grant: grant.to_owned(), allowance, latest };
        copy.allowance.bind(copy.grant.clone());
        copy.progresses();
        Some(copy)
    }
}

impl Copy {
    fn progresses(&self) {
        self.allowance.end_at((Instant::now() + STALLED).min(self.latest));
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let mut running = self.copies.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = running.remove(&self.grant).unwrap_or_default().saturating_sub(1);
        if left > 0 {
            running.insert(self.grant.clone(), left);
        }
    }
}

/// Why files are not copied: the status, and a message for the user.
type Refusal = (StatusCode, String);

impl Server {
    /// Answers a request for files or for a recording. Returns the body if the request is for something else.
    pub(super) async fn files(
        &self,
        head: &Parts,
        body: Incoming,
        allowance: &Allowance,
    ) -> Result<Response<Bytestream>, Incoming> {
        if head.uri.path().starts_with(RECORDING_PATHS) {
            return Ok(self.recording_with_ticket(head, allowance).await);
        }
        if head.uri.path() != ARCHIVE_PATH {
            return Err(body);
        }
        let answered = self.copy(head, body, allowance).await;
        Ok(answered.unwrap_or_else(|(status, reason)| {
            debug!(%status, reason, "files were not copied");
            let mut response = response(Full::from(reason).map_err(|never| match never {}));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, TEXT);
            response
        }))
    }

    async fn copy(
        &self,
        head: &Parts,
        body: Incoming,
        allowance: &Allowance,
    ) -> Result<Response<Bytestream>, Refusal> {
        let FileRight { container, grant, limit } = self.file_right(head)?;
        let (call, path) = call(head).ok_or_else(|| {
            let reason = "the request is not one for files: its path must be absolute".to_owned();
            (StatusCode::BAD_REQUEST, reason)
        })?;
        let length = body.size_hint().exact();
        if call == ArchiveCall::Write {
            within(length, limit)?;
        }
        let copy = self.copies.begin(&grant, allowance).ok_or_else(|| {
            let reason = "too many files are being copied: try again when some are done".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, reason)
        })?;
        info!(
            grant.id = %grant, container = %container, path = %String::from_utf8_lossy(&path).escape_debug(),
            length, "{}", doing(call)
        );
        let request = |body| ArchiveRequest { container, call, path, body };
        let ArchiveAnswer { stat, body } = match call {
            ArchiveCall::Write => self.upload(request, body, &copy).await?,
            ArchiveCall::Stat | ArchiveCall::Read => {
                let none = Full::default().map_err(|never| match never {}).boxed_unsync();
                self.hub.engine().archive(request(none)).await.map_err(|error| refusal(&error))?
            }
        };
        let mut response = response(Download { body, left: limit, copy });
        response.headers_mut().insert(CONTENT_TYPE, TAR);
        let stat = stat.and_then(|stat| HeaderValue::try_from(stat).ok());
        response.headers_mut().extend(stat.map(|stat| (STAT, stat)));
        Ok(response)
    }

    /// The right of the client, whose session and ticket are in the header. Pages of other sites cannot set it.
    fn file_right(&self, head: &Parts) -> Result<FileRight, Refusal> {
        let refused = || (StatusCode::FORBIDDEN, "this session may not copy files".to_owned());
        if !is_own(&head.headers) {
            return Err(refused());
        }
        let credentials = only(&head.headers, &AUTHORIZATION);
        let credentials = credentials.and_then(|text| text.strip_prefix(SCHEME));
        let mut parts = credentials.unwrap_or_default().split('.');
        let (Some(ticket), Some(session), Some(token), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refused());
        };
        let ticket: Ticket = ticket.parse().map_err(|_invalid| refused())?;
        let (session, token) = (session.to_owned(), token.to_owned());
        let resume = Resume { session, token, stdout: 0, stderr: 0 };
        let right = self.hub.file_right(key_of(&ticket), &resume);
        right
            .filter(|right| !self.rights.is_revoked(&right.grant, Instant::now()))
            .ok_or_else(refused)
    }

    /// Forwards the body. The engine may answer before it has received everything. The rest is read too, because the
    /// client reads no answer while it sends.
    async fn upload(
        &self,
        request: impl FnOnce(Bytestream) -> ArchiveRequest,
        mut body: Incoming,
        copy: &Copy,
    ) -> Result<ArchiveAnswer, Refusal> {
        let (sender, receiver) = mpsc::channel::<io::Result<Frame<Bytes>>>(QUEUED);
        let parts = unfold(receiver, |mut receiver| async {
            let part = receiver.recv().await?;
            Some((part, receiver))
        });
        let request = request(StreamBody::new(parts).boxed_unsync());
        let pass = async {
            while let Some(part) = body.frame().await {
                copy.progresses();
                // After the engine's answer, nothing receives the rest.
                sender.send(part.map_err(io::Error::other)).await.ok();
            }
            drop(sender);
        };
        let (answer, ()) = tokio::join!(self.hub.engine().archive(request), pass);
        answer.map_err(|error| refusal(&error))
    }
}

fn call(head: &Parts) -> Option<(ArchiveCall, Vec<u8>)> {
    let tail = head.uri.query().map(|query| format!("/archive?{query}"))?;
    ArchiveCall::of(head.method.as_str(), &tail)
}

const fn doing(call: ArchiveCall) -> &'static str {
    match call {
        ArchiveCall::Stat => "a client inspects a file",
        ArchiveCall::Read => "a client copies files out",
        ArchiveCall::Write => "a client copies files in",
    }
}

/// Refuses an upload whose length is not known, or above the limit.
fn within(length: Option<u64>, limit: u64) -> Result<(), Refusal> {
    match length {
        Some(length) if length <= limit => Ok(()),
        Some(_) => {
            let reason = format!(
                "the upload is too large: the limit is {} MiB (limits.files of the console gate)",
                limit >> 20
            );
            Err((StatusCode::PAYLOAD_TOO_LARGE, reason))
        }
        None => Err((StatusCode::LENGTH_REQUIRED, "the upload has no Content-Length".to_owned())),
    }
}

fn refusal(error: &ArchiveError) -> Refusal {
    let status = match error {
        ArchiveError::NoFile => StatusCode::NOT_FOUND,
        ArchiveError::Refused { status, .. } => {
            StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST)
        }
        ArchiveError::Engine(EngineError::NotFound(_)) => {
            return (StatusCode::NOT_FOUND, "the container no longer exists".to_owned());
        }
        ArchiveError::Engine(_) => StatusCode::BAD_GATEWAY,
    };
    (status, chain(error))
}

fn response<B>(body: B) -> Response<Bytestream>
where
    B: Body<Data = Bytes, Error = io::Error> + Send + 'static,
{
    let mut response = Response::new(body.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The engine's output, up to the limit. Beyond the limit, the connection is aborted, so that the client does not take
/// the part for the whole.
struct Download {
    body: Bytestream,
    left: u64,
    copy: Copy,
}

impl Body for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) else {
            return Poll::Ready(None);
        };
        let frame = frame?;
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(left) = self.left.checked_sub(length) else {
            return Poll::Ready(Some(Err(io::Error::other("the files are too large"))));
        };
        self.left = left;
        self.copy.progresses();
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_has_few_copies_at_a_time_and_so_have_all_together() {
        let (copies, allowance) = (Copies::default(), Allowance::of(STALLED));
        let first = copies.begin("t1", &allowance).expect("the first");
        let second = copies.begin("t1", &allowance).expect("the second");
        assert!(copies.begin("t1", &allowance).is_none());
        drop(first);
        let third = copies.begin("t1", &allowance).expect("one has ended");
        let others: Vec<_> = (2..COPIES)
            .filter_map(|number| copies.begin(&format!("o{number}"), &allowance))
            .collect();
        assert_eq!(others.len(), COPIES - 2);
        assert!(copies.begin("t2", &allowance).is_none());
        drop((second, third, others));
        assert!(copies.0.lock().expect("unpoisoned").is_empty());
    }

    #[test]
    fn an_upload_has_a_length_within_the_limit() {
        let status = |length, limit| within(length, limit).err().map(|(status, _words)| status);
        assert_eq!(status(Some(10), 10), None);
        assert_eq!(status(Some(11), 10), Some(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(status(None, 10), Some(StatusCode::LENGTH_REQUIRED));
    }
}
