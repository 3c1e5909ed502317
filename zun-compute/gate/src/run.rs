//! Runs the gate from its start to its shutdown.

use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::info;
use zun_common::notify::{self, Health, ServiceManager};
use zun_common::shutdown::{self, Tasks};

use crate::control::Control;
use crate::engine::Engine;
use crate::engine::docker::Docker;
use crate::hub::Hub;
use crate::kept::{DescriptorStore, Inherited, InheritedError, LISTENER};
use crate::recording::{NoRecording, Recordings};
use crate::rights::Rights;
use crate::server::{ListenError, Listener};
use crate::settings::{NoHostName, Settings};

/// How long the gate waits at shutdown for clients to close their connections.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);
/// The same if the next process continues the sessions: clients can reconnect at once.
const KEPT_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);
/// How often recordings that are too old are removed.
const OLD_RECORDINGS: Duration = Duration::from_mins(10);
/// How long the engine may take to answer a health check.
const ENGINE_ANSWER: Duration = Duration::from_secs(2);

/// Why the gate cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The host has no name.
    #[error(transparent)]
    Host(#[from] NoHostName),
    /// The gate cannot listen.
    #[error("cannot serve clients")]
    Listen(#[from] ListenError),
    /// The descriptors of the former process cannot be used.
    #[error(transparent)]
    Inherited(#[from] InheritedError),
    /// The directory of recordings cannot be used.
    #[error("cannot use the recordings in `state_directory`")]
    Recordings(#[from] NoRecording),
    /// The service manager's socket cannot be used.
    #[error("cannot use the socket in NOTIFY_SOCKET")]
    Store(#[source] std::io::Error),
    /// The control socket cannot be used.
    #[error("cannot listen on the control socket {}: check `control_socket`", path.display())]
    Control {
        /// The socket.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// Signal handlers cannot be installed.
    #[error("cannot install signal handlers")]
    Signals(#[source] std::io::Error),
}

/// What the gate gets from a former process, and keeps for the next one.
#[derive(Debug, Default)]
pub struct Handover {
    /// What the next process inherits.
    pub store: Arc<DescriptorStore>,
    /// What this process inherited.
    pub inherited: Inherited,
}

impl Handover {
    /// Reads it from the service manager that started this process. Must be called before anything else opens a file.
    pub fn from_env() -> Result<Self, Failure> {
        let inherited = Inherited::from_env()?;
        let store = DescriptorStore::from_env().map_err(Failure::Store)?;
        Ok(Self { store: Arc::new(store), inherited })
    }
}

/// A running gate.
pub struct Gate {
    hub: Arc<Hub>,
    listener: Arc<Listener>,
    /// The tasks that accept clients, and those of the sessions.
    tasks: (Tasks, Tasks),
}

impl Gate {
    /// Starts a gate for the Docker engine of the settings.
    pub async fn start(settings: &Settings, handover: Handover) -> Result<Self, Failure> {
        let sessions = Tasks::new();
        let engine = Docker::at(settings.docker.socket.clone(), sessions.clone());
        Self::start_with(settings, Arc::new(engine), sessions, handover).await
    }

    /// Starts a gate for this engine. The sessions' tasks belong to `sessions`.
    pub async fn start_with(
        settings: &Settings,
        engine: Arc<dyn Engine>,
        sessions: Tasks,
        handover: Handover,
    ) -> Result<Self, Failure> {
        let Handover { store, mut inherited } = handover;
        let host = settings.host_name()?;
        let limits = settings.limits.of_sessions(settings.state_directory.clone());
        let (most, kept) = (settings.limits.of_hub(), Arc::clone(&store));
        let recordings = Arc::new(settings.recordings.open(settings.state_directory.as_deref())?);
        let hub =
            Hub::new(engine, (limits, most), sessions.clone(), (kept, Arc::clone(&recordings)));
        let rights = Arc::new(Rights::kept(&store, inherited.rights()));
        let held = (Arc::clone(&hub), Arc::clone(&rights));
        let socket = inherited.listener();
        let listener = Arc::new(Listener::open(settings, host, held, socket).await?);
        listener.notify_ends(hub.restore(&mut inherited));
        for name in inherited.names() {
            store.forget(name);
        }
        if !listener.is_inherited() {
            store.forget(LISTENER);
            store.keep(LISTENER, &[listener.descriptor()]);
        }
        let accepting = Tasks::new();
        let cancelled = accepting.clone();
        accepting.spawn(async move {
            tokio::select! {
                () = cancelled.cancelled() => {}
                () = remove_old(recordings) => {}
            }
        });
        if let Some(path) = settings.control_socket.clone() {
            let control = Control { hub: Arc::clone(&hub), rights, public: listener.public() };
            let socket = Control::bind(&path).map_err(|cause| Failure::Control { path, cause })?;
            let tasks = accepting.clone();
            accepting.spawn(async move { control.serve(socket, &tasks).await });
        }
        let (own, tasks) = (Arc::clone(&listener), accepting.clone());
        accepting.spawn(async move { own.serve(&tasks).await });
        Ok(Self { hub, listener, tasks: (accepting, sessions) })
    }

    /// The address on which it listens.
    pub fn address(&self) -> std::io::Result<std::net::SocketAddr> {
        self.listener.address()
    }

    /// Accepts no more clients, and closes all connections.
    pub async fn stop(self) {
        let (accepting, sessions) = self.tasks;
        accepting.cancel();
        self.hub.restart();
        let close_timeout =
            if self.hub.is_kept() { KEPT_SHUTDOWN_TIMEOUT } else { SHUTDOWN_TIMEOUT };
        accepting.finish(close_timeout).await;
        sessions.finish(SHUTDOWN_TIMEOUT).await;
    }

    /// Feeds the watchdog, and reports the number of sessions and whether Docker answers. Never returns.
    async fn report_health(&self, mut manager: ServiceManager) {
        let mut checks = interval(manager.period());
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            checks.tick().await;
            let sessions = self.hub.count();
            let answered = timeout(ENGINE_ANSWER, self.hub.engine().ping()).await;
            let engine = if matches!(answered, Ok(Ok(()))) {
                "Docker answers"
            } else {
                "Docker does not answer"
            };
            let status = format!("{sessions} sessions; {engine}");
            manager.notify(&Health { ready: true, alive: true, status });
        }
    }
}

/// Serves clients until SIGTERM or SIGINT, or until a parent process closes the pipe on stdin.
pub async fn run(
    settings: &Settings,
    handover: Handover,
    until_stdin_ends: bool,
) -> Result<(), Failure> {
    let gate = Gate::start(settings, handover).await?;
    if let Ok(address) = gate.address() {
        info!("serving consoles on {address}");
    }
    let ended = match ServiceManager::from_env() {
        Some(manager) => tokio::select! {
            ended = end(until_stdin_ends) => ended,
            () = gate.report_health(manager) => Ok(()),
        },
        None => end(until_stdin_ends).await,
    };
    notify::stopping();
    gate.stop().await;
    ended.map_err(Failure::Signals)
}

/// Removes old recordings periodically. Never returns.
async fn remove_old(recordings: Arc<Recordings>) {
    let mut checks = interval(OLD_RECORDINGS);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        checks.tick().await;
        let recordings = Arc::clone(&recordings);
        drop(tokio::task::spawn_blocking(move || recordings.remove_old()).await);
    }
}

async fn end(until_stdin_ends: bool) -> std::io::Result<()> {
    if !until_stdin_ends {
        return shutdown::signal().await;
    }
    let mut stdin = Receiver::from_owned_fd(std::io::stdin().as_fd().try_clone_to_owned()?)?;
    let mut ignored = Vec::new();
    tokio::select! {
        ended = shutdown::signal() => ended,
        _ = stdin.read_to_end(&mut ignored) => Ok(()),
    }
}
