//! One connection: TLS, the request, and then the websocket.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::SinkExt as _;
use http_body_util::{BodyExt as _, Full};
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
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::{debug, warn};
use zun_common::chain;
use zun_common::grant::Target as GrantTarget;
use zun_common::id::HostName;
use zun_common::session_notifier::SessionNotifier;

use super::allowance::Allowance;
use super::attached::Attached;
use super::files::Copies;
use super::link::{Link, NOT_RECORDED, close_message, websocket};
use super::origin::Origins;
use super::places::{Place, PlaceLimits, Places, Source};
use super::raw::RawLink;
use super::tls::{Presented, Tls};
use crate::engine::{Bytestream, EngineError, Target};
use crate::hub::{Client, ConnectError, Connected, Hub};
use crate::page::WebConsole;
use crate::rights::Rights;
use crate::session::{ClientInfo, JoinRefused};

/// How long TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the request's head may take.
pub(super) const HEAD: Duration = Duration::from_secs(10);
/// How long the answer may take, including the engine's work for it.
const ANSWER: Duration = Duration::from_secs(75);
/// How long a client may take to download the web console.
const DOWNLOAD: Duration = Duration::from_secs(30);
/// The clients that download the web console. It is served to everybody. A browser keeps its connection for a while.
const DOWNLOADS: PlaceLimits = PlaceLimits { all: 64, of_source: 32, kept: Duration::from_secs(5) };
/// The largest head of a request, in bytes.
pub(super) const LARGEST_HEAD: usize = 16 << 10;
/// The most headers of a request.
pub(super) const MOST_HEADERS: usize = 32;

/// What serves connections.
pub(super) struct Server {
    pub(super) tls: Tls,
    pub(super) host: HostName,
    pub(super) hub: Arc<Hub>,
    pub(super) rights: Arc<Rights>,
    /// The allowed origins of clients with tickets, if tickets are enabled.
    pub(super) origins: Option<Origins>,
    /// The web console, at the name for clients with tickets.
    pub(super) page: WebConsole,
    pub(super) notifier: Option<Arc<SessionNotifier>>,
    /// Downloads of the web console.
    pub(super) downloads: Places,
    /// Copies of files.
    pub(super) copies: Copies,
    /// Downloads of recordings.
    pub(super) recording_downloads: Places,
}

/// The places of clients that download the web console.
pub(super) fn page_downloads() -> Places {
    Places::new(DOWNLOADS)
}

/// The remote end of a new connection.
pub(super) struct Peer {
    pub(super) source: Source,
    /// Its place until its first request has arrived.
    pub(super) handshake: Place,
}

/// What a connection holds until it has become a websocket.
struct Pending {
    source: Source,
    /// Set until its first request has arrived.
    handshake: Mutex<Option<Place>>,
    /// Set once it has requested the web console.
    download: OnceLock<Place>,
    /// Notified when another connection takes the place of the download.
    replaced: Arc<Notify>,
    allowance: Allowance,
    /// The upgraded connection of an accepted request, and how it is served.
    accepted: Mutex<Option<(OnUpgrade, Next)>>,
}

/// What follows the answer.
pub(super) enum Next {
    Serve(Link),
    ServeRaw(RawLink),
    Close(u16, &'static str),
}

/// The protocol of a client.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// `zun.pty.v1`.
    Pty,
    /// The bytes of the terminal.
    Raw {
        /// Whether they must be UTF-8.
        is_text: bool,
    },
}

/// An accepted request.
pub(super) struct Admitted {
    /// The websocket's key.
    pub(super) key: String,
    /// The subprotocol that was selected.
    pub(super) protocol: Option<&'static str>,
    pub(super) next: Next,
}

impl Server {
    /// Serves one client.
    pub(super) async fn serve(&self, stream: TcpStream, peer: Peer) {
        let (stream, presented) = match timeout(HANDSHAKE, self.tls.accept(stream)).await {
            Ok(Ok(Some(accepted))) => accepted,
            Ok(Err(error)) => {
                debug!(error = %chain(&error), "a TLS handshake failed");
                return;
            }
            Ok(Ok(None)) | Err(_) => return,
        };
        if let Presented::Grant(certificate) = &presented
            && let GrantTarget::Recording { id } = certificate.grant.target
        {
            return self.serve_recording(stream, (certificate, id), peer).await;
        }
        let answered = self.answer_one(stream, &presented, peer).await;
        let Some((upgraded, next)) = answered else { return };
        let mut socket = websocket(upgraded).await;
        match next {
            Next::Serve(link) => link.serve(socket).await,
            Next::ServeRaw(link) => link.serve(socket).await,
            Next::Close(code, reason) => {
                // The client may be gone.
                drop(timeout(HEAD, socket.send(close_message(code, reason))).await);
            }
        }
    }

    /// Answers one request. Returns what follows if it became a websocket.
    async fn answer_one(
        &self,
        stream: TlsStream<TcpStream>,
        presented: &Presented,
        Peer { source, handshake }: Peer,
    ) -> Option<(Upgraded, Next)> {
        let pending = Pending {
            source,
            handshake: Mutex::new(Some(handshake)),
            download: OnceLock::new(),
            replaced: Arc::default(),
            allowance: Allowance::of(ANSWER),
            accepted: Mutex::default(),
        };
        let service = service_fn(async |request| {
            Ok::<_, Infallible>(self.answer(request, presented, &pending).await)
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LARGEST_HEAD)
            .max_headers(MOST_HEADERS)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::select! {
            served = serving => served.ok()?,
            () = pending.allowance.ended(&self.rights) => return None,
            () = pending.replaced.notified() => return None,
        }
        let taken = pending.accepted.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (upgrade, next) = taken?;
        Some((timeout(HEAD, upgrade).await.ok()?.ok()?, next))
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        presented: &Presented,
        pending: &Pending,
    ) -> Response<Bytestream> {
        drop(pending.handshake.lock().unwrap_or_else(PoisonError::into_inner).take());
        let upgrade = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let page = match presented {
            Presented::Grant(_) => None,
            Presented::Nothing => self.page.answer(&head),
        };
        if let Some(page) = page {
            return if self.may_download(pending) {
                whole(page)
            } else {
                whole(refused(StatusCode::SERVICE_UNAVAILABLE))
            };
        }
        if matches!(presented, Presented::Nothing)
            && let Ok(answer) = self.files(&head, body, &pending.allowance).await
        {
            return answer;
        }
        let admitted = match presented {
            Presented::Grant(certificate) => self.admit_certified(&head, certificate).await,
            Presented::Nothing => self.admit_public(&head).await,
        };
        match admitted {
            Ok(Admitted { key, protocol, next }) => {
                *pending.accepted.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((upgrade, next));
                whole(switching(&key, protocol))
            }
            Err(status) => {
                debug!(grant.id = presented.grant_id(), %status, "a client was refused");
                whole(refused(status))
            }
        }
    }

    /// Lets a connection download the web console, unless too many do.
    fn may_download(&self, pending: &Pending) -> bool {
        if pending.download.get().is_none() {
            let (now, Pending { source, replaced, .. }) = (Instant::now(), pending);
            let Some(place) = self.downloads.take(*source, replaced, now) else { return false };
            drop(pending.download.set(place));
            pending.allowance.end_at(now + DOWNLOAD);
        }
        true
    }

    /// Connects a client to its session.
    pub(super) async fn connect(
        &self,
        target: &Target,
        client: Client,
        kind: Kind,
    ) -> Result<Next, StatusCode> {
        let grant = client.grant.clone();
        let connected = self.hub.connect(target, client, &self.rights).await;
        if self.rights.is_revoked(&grant, Instant::now()) {
            // It was revoked while the session was being opened.
            self.hub.revoke(&grant);
        }
        if let Err(error) = &connected
            && !matches!(
                error,
                ConnectError::Refused(_) | ConnectError::Limit(_) | ConnectError::Revoked
            )
        {
            warn!(grant.id = %grant, %target, error = %chain(error), "cannot open a session");
        }
        self.opened(connected, kind)
    }

    /// Decides what follows the attempt to connect a client to its session.
    pub(super) fn opened(
        &self,
        connected: Result<Connected, ConnectError>,
        kind: Kind,
    ) -> Result<Next, StatusCode> {
        match connected {
            Ok(connected) => {
                let attached = self.attached(&connected);
                Ok(match kind {
                    Kind::Pty => Next::Serve(Link::new(connected, attached)),
                    Kind::Raw { is_text } => {
                        Next::ServeRaw(RawLink::new(connected, is_text, attached))
                    }
                })
            }
            Err(ConnectError::NotRecorded(_) | ConnectError::Refused(JoinRefused::NotRecorded)) => {
                Ok(Next::Close(JoinRefused::NotRecorded.close_code(), NOT_RECORDED))
            }
            Err(ConnectError::Refused(refused)) => Ok(Next::Close(refused.close_code(), "")),
            Err(ConnectError::Limit(limit)) => {
                Ok(Next::Close(JoinRefused::Full.close_code(), limit.reason()))
            }
            Err(error) => Err(status(&error)),
        }
    }

    /// Notifies the agent of a container's client.
    fn attached(&self, Connected { live, id, .. }: &Connected) -> Option<Attached> {
        let (notifier, Target::Container(container)) = (self.notifier.as_ref()?, live.target())
        else {
            return None;
        };
        let ClientInfo { grant, writes, .. } = live.read(|session| session.client(*id))?;
        Some(Attached::new(Arc::clone(notifier), grant, container.clone(), !writes))
    }
}

impl Presented {
    /// The ID of the client's grant, for the log.
    fn grant_id(&self) -> &str {
        match self {
            Self::Grant(certificate) => &certificate.id,
            Self::Nothing => "none",
        }
    }
}

fn status(error: &ConnectError) -> StatusCode {
    match error {
        ConnectError::Revoked => StatusCode::FORBIDDEN,
        ConnectError::Engine(EngineError::NotFound(_)) => StatusCode::NOT_FOUND,
        ConnectError::Engine(EngineError::Conflict { .. } | EngineError::Restarted(_)) => {
            StatusCode::CONFLICT
        }
        // This status tells the client that an exec may have been started.
        ConnectError::Engine(EngineError::Failed { .. }) | ConnectError::StreamLost(_) => {
            StatusCode::BAD_GATEWAY
        }
        ConnectError::Engine(EngineError::Unreachable { .. })
        | ConnectError::Refused(_)
        | ConnectError::Limit(_)
        | ConnectError::NotRecorded(_)
        | ConnectError::Stopping
        | ConnectError::Files(_)
        | ConnectError::NoRandomness => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// An answer with a complete body.
fn whole(response: Response<Full<Bytes>>) -> Response<Bytestream> {
    response.map(|body| body.map_err(|never| match never {}).boxed_unsync())
}

fn refused(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn switching(key: &str, protocol: Option<&'static str>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}
