//! One connection: TLS, the request, and then the websocket.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::{debug, warn};
use zun_common::chain;
use zun_common::client_certificate::GrantCertificate;
use zun_common::id::HostName;
use zun_common::pty::PROTOCOL;
use zun_common::session_notifier::SessionNotifier;

use super::attached::Attached;
use super::link::{Link, close_message, websocket};
use super::request::{Access, SessionRequest, access};
use super::tls::{Tls, now};
use crate::engine::{EngineError, Target};
use crate::hub::{Client, ConnectError, Hub};
use crate::session::{JoinRefused, KeyHash};

/// How long TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the request's head may take.
const HEAD: Duration = Duration::from_secs(10);
/// How long the answer may take, with what the engine has to do before.
const ANSWER: Duration = Duration::from_secs(75);
/// The largest head of a request, in bytes.
const LARGEST_HEAD: usize = 16 << 10;
/// The most headers of a request.
const MOST_HEADERS: usize = 32;

/// What serves connections.
pub(super) struct Server {
    pub(super) tls: Tls,
    pub(super) host: HostName,
    pub(super) hub: Arc<Hub>,
    pub(super) notifier: Option<Arc<SessionNotifier>>,
}

/// What follows the answer.
enum Next {
    Serve(Link),
    Close(u16),
}

/// An accepted request: the connection's upgrade, and what follows.
type Accepted = Mutex<Option<(OnUpgrade, Next)>>;

impl Server {
    /// Serves one client. The permit is given back when its request was answered.
    pub(super) async fn serve(&self, stream: TcpStream, handshake: OwnedSemaphorePermit) {
        let acceptor = TlsAcceptor::from(self.tls.config());
        let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                debug!(error = %chain(&error), "a TLS handshake failed");
                return;
            }
            Err(_elapsed) => return,
        };
        let Some(certificate) = self.tls.grant(stream.get_ref().1.peer_certificates()) else {
            return;
        };
        let answered = timeout(ANSWER, self.answer_one(stream, &certificate)).await;
        drop(handshake);
        let Ok(Some((upgraded, next))) = answered else { return };
        let mut socket = websocket(upgraded).await;
        match next {
            Next::Serve(link) => link.serve(socket).await,
            Next::Close(code) => {
                // The client may be gone.
                drop(timeout(HEAD, socket.send(close_message(code))).await);
            }
        }
    }

    /// Answers one request. Returns what follows if it became a websocket.
    async fn answer_one(
        &self,
        stream: TlsStream<TcpStream>,
        certificate: &GrantCertificate,
    ) -> Option<(Upgraded, Next)> {
        let accepted: Accepted = Mutex::default();
        let service = service_fn(async |request| {
            Ok::<_, Infallible>(self.answer(request, certificate, &accepted).await)
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LARGEST_HEAD)
            .max_headers(MOST_HEADERS)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        serving.await.ok()?;
        let taken = accepted.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (upgrade, next) = taken?;
        Some((upgrade.await.ok()?, next))
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        certificate: &GrantCertificate,
        accepted: &Accepted,
    ) -> Response<Empty<Bytes>> {
        let upgrade = hyper::upgrade::on(&mut request);
        let (head, _) = request.into_parts();
        match self.admit(&head, certificate).await {
            Ok((key, next)) => {
                *accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, next));
                switching(&key)
            }
            Err(status) => {
                debug!(grant.id = %certificate.id, %status, "a client was refused");
                let mut response = Response::new(Empty::new());
                *response.status_mut() = status;
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                response
            }
        }
    }

    /// Decides a request, and connects the client to its session. Returns the websocket's key, and what follows.
    async fn admit(
        &self,
        head: &hyper::http::request::Parts,
        certificate: &GrantCertificate,
    ) -> Result<(String, Next), StatusCode> {
        let access = access(certificate, &self.host, head)?;
        let SessionRequest { key: websocket_key, hello } = SessionRequest::read(head)?;
        let key = KeyHash::of(&certificate.key);
        let resumes =
            hello.resume.as_ref().is_some_and(|resume| self.hub.knows(&access.target, key, resume));
        if !certificate.is_valid_at(now()) && !resumes {
            return Err(StatusCode::FORBIDDEN);
        }
        let (grant, writes) = (certificate.id.clone(), access.may_write && hello.writes);
        let client = Client { grant, key, may_write: access.may_write, hello };
        let next = match self.hub.connect(&access.target, client).await {
            Ok(connected) => {
                let attached = self.attached(&access, &certificate.id, writes);
                Next::Serve(Link::new(connected, attached))
            }
            Err(ConnectError::Refused(refused)) => Next::Close(refused.close_code()),
            Err(ConnectError::TooManySessions) => Next::Close(JoinRefused::Full.close_code()),
            Err(error) => {
                let status = status(&error);
                warn!(grant.id = %certificate.id, target = %access.target, error = %chain(&error), "cannot open a session");
                return Err(status);
            }
        };
        Ok((websocket_key, next))
    }

    /// Notifies the agent of a container's client.
    fn attached(&self, access: &Access, grant: &str, writes: bool) -> Option<Attached> {
        let (notifier, Target::Container(id)) = (self.notifier.as_ref()?, &access.target) else {
            return None;
        };
        Some(Attached::new(Arc::clone(notifier), grant.to_owned(), id.clone(), !writes))
    }
}

fn status(error: &ConnectError) -> StatusCode {
    match error {
        ConnectError::Engine(EngineError::NotFound(_)) => StatusCode::NOT_FOUND,
        ConnectError::Engine(EngineError::Conflict { .. } | EngineError::Restarted(_)) => {
            StatusCode::CONFLICT
        }
        ConnectError::Engine(EngineError::Failed { .. }) => StatusCode::BAD_GATEWAY,
        ConnectError::Engine(EngineError::Unreachable { .. })
        | ConnectError::Refused(_)
        | ConnectError::TooManySessions
        | ConnectError::Files(_)
        | ConnectError::NoRandomness => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn switching(key: &str) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}
