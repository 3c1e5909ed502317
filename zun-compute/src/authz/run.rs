//! The plugin from its start to its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::mpsc;
use zun_common::grant::ApiVersion;
use zun_common::id::HostName;
use zun_common::notify::{self, ServiceManager};
use zun_common::shutdown::{self, Tasks};

use super::counts::Counts;
use super::decision_log::DecisionLog;
use super::health;
use super::listen::{ListenError, Listener};
use super::notify::Notifier;
use super::plugin::Plugin;
use super::reload::ReloadingPolicy;
use super::server;
use super::trusted_cas::TrustedCasError;

/// How long answers under way may take at the end.
const DRAIN: Duration = Duration::from_secs(2);

/// How it decides and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The unix socket to make; systemd's is taken where it hands one over.
    pub socket: Option<PathBuf>,
    /// The authorities whose grants are honoured, PEM; read anew when the file changes.
    pub ca: PathBuf,
    /// This host.
    pub host: HostName,
    /// The one version of Docker's API that grants are good for.
    pub api_version: ApiVersion,
    /// The agent's datagram socket.
    pub notify: Option<PathBuf>,
    /// Whether local requests are logged.
    pub log_local: bool,
}

/// The plugin does not run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The authorities cannot be had.
    #[error("cannot read the authorities")]
    TrustedCas(#[from] TrustedCasError),
    /// There is no socket.
    #[error("cannot listen")]
    Listen(#[from] ListenError),
    /// There is no way to the agent.
    #[error("cannot open a socket for session notes")]
    Notifier(#[source] std::io::Error),
    /// Its end could not be asked for.
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
    /// There are no threads or descriptors.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

/// Decides until SIGTERM or SIGINT.
pub fn run(options: Options, log: &DecisionLog) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    runtime.block_on(serve(options, log))
}

async fn serve(options: Options, log: &DecisionLog) -> Result<(), Failure> {
    let Options { socket, ca, host, api_version, notify, log_local } = options;
    let policy = ReloadingPolicy::load(ca, host, api_version)?;
    let notifier = notify.map(Notifier::to).transpose().map_err(Failure::Notifier)?;
    let listener = Listener::open(socket.as_deref())?;
    log.started(&policy.current(log), &listener.name());
    let counts = Counts::default();
    let plugin = Plugin { policy, notifier, log: log.clone(), counts, log_local };
    let tasks = Tasks::new();
    let (connections, own) = mpsc::channel(1);
    let manager = ServiceManager::from_env();
    let watched = manager.is_some();
    let serving = server::serve(listener.socket(), own, Arc::new(plugin), &tasks);
    let ended = tokio::select! {
        () = serving => Ok(()),
        () = watch_health(connections, manager) => Ok(()),
        signal = shutdown::signal() => signal.map_err(Failure::Signals),
    };
    if watched {
        notify::stopping();
    }
    tasks.finish(DRAIN).await;
    ended
}

/// Never ends: without a service manager nobody is told.
async fn watch_health(connections: mpsc::Sender<UnixStream>, manager: Option<ServiceManager>) {
    match manager {
        Some(manager) => health::feed_watchdog(connections, manager).await,
        None => std::future::pending().await,
    }
}
