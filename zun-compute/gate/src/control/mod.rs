//! The control socket: a unix socket at which the agent asks for tickets, lists sessions, and ends them.
//!
//! A process that can connect to it can open every console of the host. So the gate accepts only root and its own user:
//! the socket has the mode 0600, and the gate also checks the peer's user.

mod requests;

use std::convert::Infallible;
use std::fs::Permissions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use tracing::{debug, warn};
use zun_common::chain;
use zun_common::shutdown::Tasks;

use crate::hub::Hub;
use crate::rights::Rights;

/// How long a connection may last.
const CONNECTION: Duration = Duration::from_secs(10);
/// The largest text of metrics that is read, in bytes.
const LARGEST_METRICS: u64 = 1 << 20;
/// The pause after a failed accept.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What requests to the control socket read and change.
pub struct Control {
    /// The sessions.
    pub hub: Arc<Hub>,
    /// Tickets, and revoked grants.
    pub rights: Arc<Rights>,
    /// The `host:port` that clients with tickets dial, if there is one.
    pub public: Option<String>,
}

impl Control {
    /// Listens at the path. Replaces a socket that a former gate left there.
    pub fn bind(path: &Path) -> io::Result<UnixListener> {
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
            Ok(_) => {
                return Err(io::Error::other(
                    "a file that is not a socket is in the way: remove it",
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    /// Serves the agent until the tasks are cancelled.
    pub async fn serve(self, listener: UnixListener, tasks: &Tasks) {
        let own = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                () = tasks.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if is_trusted(&stream) => own.spawn(stream, tasks),
                Ok(_) => warn!(
                    "refused a connection to the control socket: its user is neither root nor that of zun-console"
                ),
                Err(error) => {
                    warn!(%error, "cannot accept a connection at the control socket");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn spawn(self: &Arc<Self>, stream: UnixStream, tasks: &Tasks) {
        let (own, cancelled) = (Arc::clone(self), tasks.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = cancelled.cancelled() => {}
                () = own.connection(stream) => {}
            }
        });
    }

    async fn connection(&self, stream: UnixStream) {
        let service = service_fn(async |request| Ok::<_, Infallible>(self.answer(request).await));
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(CONNECTION)
            .serve_connection(TokioIo::new(stream), service);
        if let Ok(Err(error)) = timeout(CONNECTION, serving).await {
            debug!(error = %chain(&error), "a connection to the control socket failed");
        }
    }
}

/// Returns the metrics of the gate that listens at this socket, in the `OpenMetrics` text format. Fails if there is no gate,
/// or if it does not answer.
pub fn metrics(socket: &Path) -> io::Result<String> {
    let mut stream = std::os::unix::net::UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(CONNECTION))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: zun-console\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(LARGEST_METRICS).read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        Some(_) | None => {
            Err(io::Error::other("the running zun-console is too old to have metrics: restart it"))
        }
    }
}

/// Whether the peer is root, or the gate's own user.
fn is_trusted(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}
