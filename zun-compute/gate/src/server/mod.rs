//! The listener: TLS, one request, one websocket. Connections, sizes and times are limited. A client that is refused
//! gets a status code and nothing else.
//!
//! It serves two kinds of clients under different server names of the TLS handshake: clients with certificates
//! (`certified`), and clients with tickets, which are not asked for a certificate (`public`).

mod allowance;
mod attached;
mod certified;
mod files;
mod link;
mod origin;
mod places;
mod public;
mod raw;
mod recording;
mod reloading;
mod request;
mod serve;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tracing::warn;
use zun_common::id::HostName;
use zun_common::session_notifier::SessionNotifier;
use zun_common::shutdown::Tasks;

pub use tls::TlsError;

use self::attached::Attached;
use crate::engine::Target;
use crate::hub::{FormerClient, Hub};
use crate::page::WebConsole;
use crate::rights::Rights;
use crate::settings::Settings;
use crate::stats::Limit;
use files::Copies;
use origin::Origins;
use places::{PlaceLimits, Places, Source};
use recording::recording_downloads;
use serve::{Peer, Server, page_downloads};
use tls::Tls;

/// The pause after a failed accept, so that running out of file descriptors does not cause a busy loop.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// The connections whose TLS or request is not complete. After a restart, all clients of a network come back at once.
const HANDSHAKES: PlaceLimits =
    PlaceLimits { all: 512, of_source: 128, kept: Duration::from_secs(1) };
/// How long a client may be silent before the kernel probes it.
const PROBE_AFTER: Duration = Duration::from_secs(4);
/// The time between two probes.
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// How many probes may stay unanswered.
const PROBES: u32 = 3;
/// How long sent data may stay unacknowledged. A suspended client acknowledges none; it reconnects later.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Why the gate cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be used.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The TLS files cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The socket that notifies the agent cannot be created.
    #[error("cannot create the socket that notifies the agent")]
    Notifier(#[source] io::Error),
}

/// The gate's listener.
pub struct Listener {
    socket: TcpListener,
    /// Whether a former process opened the socket.
    is_inherited: bool,
    /// The name and port that clients with tickets dial.
    public: Option<(HostName, Option<NonZeroU16>)>,
    server: Arc<Server>,
    connections: Arc<Semaphore>,
    handshakes: Places,
}

impl Listener {
    /// Listens as the settings say, with the socket of a former process if it has the same address: connections that
    /// were opened meanwhile wait there.
    pub async fn open(
        settings: &Settings,
        host: HostName,
        (hub, rights): (Arc<Hub>, Arc<Rights>),
        inherited: Option<std::net::TcpListener>,
    ) -> Result<Self, ListenError> {
        let public = settings.public.as_ref();
        let tls = Tls::load(&settings.tls, public)?;
        let origins = public.map(Origins::of);
        let page = WebConsole::new(public.into_iter().flat_map(|public| &public.origins));
        let notifier = settings.notify_socket.clone().map(SessionNotifier::to).transpose();
        let notifier = notifier.map_err(ListenError::Notifier)?.map(Arc::new);
        let address = settings.listen;
        let bind = |cause| ListenError::Bind { address, cause };
        let inherited = inherited.filter(|socket| listens_on(socket, address));
        let is_inherited = inherited.is_some();
        let socket = match inherited {
            Some(socket) => {
                socket.set_nonblocking(true).map_err(bind)?;
                TcpListener::from_std(socket).map_err(bind)?
            }
            None => TcpListener::bind(address).await.map_err(bind)?,
        };
        Ok(Self {
            socket,
            is_inherited,
            public: public.map(|public| (public.name.clone(), public.port)),
            server: Arc::new(Server {
                tls,
                host,
                hub,
                rights,
                origins,
                page,
                notifier,
                downloads: page_downloads(),
                copies: Copies::default(),
                recording_downloads: recording_downloads(),
            }),
            connections: Arc::new(Semaphore::new(settings.limits.connections.get())),
            handshakes: Places::new(HANDSHAKES),
        })
    }

    /// Notifies the agent that the clients of a killed gate process are disconnected.
    pub fn notify_ends(&self, clients: Vec<FormerClient>) {
        for FormerClient { target, grant, writes } in clients {
            if let (Some(notifier), Target::Container(id)) = (&self.server.notifier, target) {
                drop(Attached::of_former_gate(Arc::clone(notifier), grant, id, !writes));
            }
        }
    }

    /// Whether a former process opened the socket: then it is in the store already.
    pub const fn is_inherited(&self) -> bool {
        self.is_inherited
    }

    /// The descriptor of the socket, which the next process should get.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The address on which it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The `host:port` that clients with tickets dial.
    pub fn public(&self) -> Option<String> {
        let (name, port) = self.public.as_ref()?;
        let port = port
            .map_or_else(|| self.address().ok().map(|own| own.port()), |port| Some(port.get()))?;
        Some(format!("{name}:{port}"))
    }

    /// Serves clients until the tasks are cancelled.
    pub async fn serve(&self, tasks: &Tasks) {
        loop {
            // Those that are not let in wait in the kernel's queue.
            let Ok(connection) = Arc::clone(&self.connections).acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                () = tasks.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    self.spawn(stream, (address.ip().into(), connection), tasks);
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// Serves a connection, unless there are too many new ones that have not sent their request.
    fn spawn(
        &self,
        stream: TcpStream,
        (source, connection): (Source, OwnedSemaphorePermit),
        tasks: &Tasks,
    ) {
        let replaced = Arc::<Notify>::default();
        let Some(handshake) = self.handshakes.take(source, &replaced, Instant::now()) else {
            self.server.hub.stats().refused(Limit::Handshakes);
            return;
        };
        if keep_alive(&stream).is_err() {
            return;
        }
        let server = Arc::clone(&self.server);
        tasks.spawn(async move {
            tokio::select! {
                () = server.serve(stream, Peer { source, handshake }) => {}
                () = replaced.notified() => {}
            }
            drop(connection);
        });
    }
}

/// Whether a socket has the address of the settings. Port 0 is any port.
fn listens_on(socket: &std::net::TcpListener, address: SocketAddr) -> bool {
    socket.local_addr().is_ok_and(|own| {
        own.ip() == address.ip() && (own.port() == address.port() || address.port() == 0)
    })
}

/// Sends echoes without delay, and detects a client that is gone.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    let limit = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, limit)?;
    Ok(())
}
