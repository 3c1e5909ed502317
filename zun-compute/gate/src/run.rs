//! Runs the gate from its start to its shutdown.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::info;
use zun_common::notify::{self, Health, ServiceManager};
use zun_common::shutdown::{self, Tasks};

use crate::engine::Engine;
use crate::engine::docker::Docker;
use crate::hub::Hub;
use crate::server::{ListenError, Listener};
use crate::settings::{NoHostName, Settings};

/// How long clients may take to take their leave at shutdown.
const GOODBYE: Duration = Duration::from_secs(3);
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
    /// Signal handlers cannot be installed.
    #[error("cannot install signal handlers")]
    Signals(#[source] std::io::Error),
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
    pub async fn start(settings: &Settings) -> Result<Self, Failure> {
        let sessions = Tasks::new();
        let engine = Docker::at(settings.docker.socket.clone(), sessions.clone());
        Self::start_with(settings, Arc::new(engine), sessions).await
    }

    /// Starts a gate for this engine. The sessions' tasks belong to `sessions`.
    pub async fn start_with(
        settings: &Settings,
        engine: Arc<dyn Engine>,
        sessions: Tasks,
    ) -> Result<Self, Failure> {
        let host = settings.host_name()?;
        let limits = settings.limits.of_sessions();
        let hub = Hub::new(engine, limits, settings.limits.sessions.get(), sessions.clone());
        let listener = Listener::open(settings, host, Arc::clone(&hub)).await?;
        let listener = Arc::new(listener);
        let accepting = Tasks::new();
        let (own, tasks) = (Arc::clone(&listener), accepting.clone());
        accepting.spawn(async move { own.serve(&tasks).await });
        Ok(Self { hub, listener, tasks: (accepting, sessions) })
    }

    /// The address on which it listens.
    pub fn address(&self) -> std::io::Result<std::net::SocketAddr> {
        self.listener.address()
    }

    /// Accepts no more clients, and closes the connections of those that are there.
    pub async fn stop(self) {
        let (accepting, sessions) = self.tasks;
        accepting.cancel();
        self.hub.restart();
        accepting.finish(GOODBYE).await;
        sessions.finish(GOODBYE).await;
    }

    /// Feeds the watchdog while sessions can be reached. Never returns.
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

/// Serves clients until SIGTERM or SIGINT.
pub async fn run(settings: &Settings) -> Result<(), Failure> {
    let gate = Gate::start(settings).await?;
    if let Ok(address) = gate.address() {
        info!("serving consoles on {address}");
    }
    let ended = match ServiceManager::from_env() {
        Some(manager) => tokio::select! {
            ended = shutdown::signal() => ended,
            () = gate.report_health(manager) => Ok(()),
        },
        None => shutdown::signal().await,
    };
    notify::stopping();
    gate.stop().await;
    ended.map_err(Failure::Signals)
}
