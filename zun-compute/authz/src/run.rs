//! Runs the plugin from its start to its shutdown.

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
use zun_common::client_certificate::TrustedCasError;

/// The time limit for open requests at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The plugin's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The unix socket to create, unless systemd passes one.
    pub socket: Option<PathBuf>,
    /// The PEM file of the CAs whose grants are accepted. It is read again when it changes.
    pub ca: PathBuf,
    /// This host's name; a grant must name it.
    pub host: HostName,
    /// The only version of Docker's API that grants permit.
    pub api_version: ApiVersion,
    /// The agent's datagram socket for session events; without it none are sent.
    pub notify: Option<PathBuf>,
    /// Whether local requests are logged too.
    pub log_local: bool,
}

/// Why the plugin cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The CA file cannot be read.
    #[error("cannot read the CA file")]
    TrustedCas(#[from] TrustedCasError),
    /// The plugin has no socket.
    #[error("cannot listen for Docker's requests")]
    Listen(#[from] ListenError),
    /// The socket for session events cannot be created.
    #[error("cannot create the socket that notifies the agent")]
    Notifier(#[source] std::io::Error),
    /// Signal handlers cannot be installed.
    #[error("cannot install signal handlers")]
    Signals(#[source] std::io::Error),
    /// The tokio runtime cannot be started.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

/// Answers Docker's requests until SIGTERM or SIGINT.
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
    tasks.finish(DRAIN_TIMEOUT).await;
    ended
}

/// Feeds the watchdog, or waits forever if no service manager started the process. Never returns.
async fn watch_health(connections: mpsc::Sender<UnixStream>, manager: Option<ServiceManager>) {
    match manager {
        Some(manager) => health::feed_watchdog(connections, manager).await,
        None => std::future::pending().await,
    }
}
