//! Starts the agent's tasks, and stops them in order.
//!
//! ```text
//!  stop: stop accepting ──> end the operations ──> send the last reports ──> announce that the host leaves
//! ```

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::watch::{Receiver, Sender};
use tokio::time::Instant;
use zun_common::bus::{Bus, Deliveries, RequestError, Route, Router};
use zun_common::chain;
use zun_common::id::HostName;
use zun_common::rpc::operation::AgentIdentity;
use zun_common::shutdown::Tasks;
use zun_common::units::Mebibytes;

use crate::attached::SessionEventSocket;
use crate::console::{self, Console, ConsoleStatus, Endpoint};
use crate::control::Control;
use crate::driver::ContainerDriver;
use crate::engine_lock::{EngineLock, LockError, create_state_directory};
use crate::gate_control::GateControl;
use crate::health::AgentHealth;
use crate::host::Host;
use crate::ledger_position::{self, PositionFile};
use crate::metrics::{self, Metrics};
use crate::report::{self, Reports};
use crate::settings::{ConsoleSettings, LoadError, MetricsSettings, Settings};
use crate::strays::Strays;
use crate::unanswered::UnansweredStarts;
use crate::worker::{Pulls, Workers};
use crate::{control, identity, rpc, watch};

const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
const TASK_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The host has no valid name.
    #[error(transparent)]
    Settings(#[from] LoadError),
    /// A queue cannot be consumed.
    #[error("cannot consume from the queue of {route}")]
    Bus {
        /// The queue.
        route: Route,
        /// The cause.
        #[source]
        cause: RequestError,
    },
    /// The state directory, or the file in it, cannot be used.
    #[error("cannot use the state directory {}: check `state_directory`", path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The listener for metrics cannot be bound.
    #[error("cannot listen on {address} for metrics: check `metrics.listen`")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The socket for zun-authz's session events cannot be bound.
    #[error("cannot bind the notify socket {path}")]
    Notify {
        /// The socket.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
}

/// A running agent. Dropping it without [`Agent::stop`] stops it and leaves its operations to the next agent.
pub struct Agent {
    host: Arc<Host>,
    bus: Bus,
    workers: Workers,
    /// Tasks that serve the bus. They are cancelled first, and end when their open calls are done.
    serving: Tasks,
    /// Tasks that reconcile with zun-api. They are cancelled next.
    reconciling: Tasks,
    /// Tasks that watch Docker, the console endpoint and session events.
    watching: Tasks,
    /// Tasks that send reports and heartbeats. They end last.
    reporting: Tasks,
    metrics_address: Option<SocketAddr>,
}

impl Agent {
    /// Starts all tasks, without waiting for Docker or zun-api.
    ///
    /// The agent also stops serving the bus when `tasks` is cancelled, but only [`Agent::stop`] ends its operations.
    pub async fn start(
        settings: Settings,
        bus: Bus,
        driver: Arc<dyn ContainerDriver>,
        tasks: &Tasks,
    ) -> Result<Self, StartError> {
        let name = settings.host_name()?;
        let bus = bus.with_sender(name.as_str());
        let directory = &settings.state_directory;
        let state = create_state_directory(directory)
            .and_then(|()| {
                let position = PositionFile::read(directory, &name)?;
                Ok((position, identity::read(directory)?, UnansweredStarts::open(directory)?))
            })
            .map_err(|cause| StartError::State { path: directory.clone(), cause })?;
        let events = match &settings.console.notify_socket {
            Some(path) => Some(
                SessionEventSocket::bind(path)
                    .map_err(|cause| StartError::Notify { path: path.clone(), cause })?,
            ),
            None => None,
        };
        let endpoint = Endpoint::of(&settings.console);
        let metrics = listen(settings.metrics).await?;
        let host = host((name, state, bus.clone()), settings, driver, &endpoint);
        let host = Arc::new(host);
        let workers = Workers::new(Arc::clone(&host));
        let agent = Self {
            host,
            bus,
            workers,
            serving: tasks.child(),
            reconciling: tasks.child(),
            watching: Tasks::new(),
            reporting: Tasks::new(),
            metrics_address: metrics.as_ref().and_then(|listener| listener.local_addr().ok()),
        };
        agent.spawn_tasks(events);
        if let Some(listener) = metrics {
            let (host, watching) = (Arc::clone(&agent.host), &agent.watching);
            watching.spawn(metrics::serve(host, listener, watching.clone()));
        }
        if let Ok(endpoint) = endpoint {
            let (host, watching) = (Arc::clone(&agent.host), &agent.watching);
            watching.spawn(console::monitor(host, endpoint, watching.clone()));
        }
        agent.serve().await?;
        let (host, bus, reporting) = (Arc::clone(&agent.host), agent.bus.clone(), &agent.reporting);
        let workers = agent.workers.clone();
        reporting.spawn(control::beat(host, workers, bus, reporting.clone()));
        tracing::info!(host.name = %agent.host.name, "the agent of host {} is ready", agent.host.name);
        Ok(agent)
    }

    /// The host's name.
    pub fn host(&self) -> &HostName {
        &self.host.name
    }

    /// The address of the listener for metrics, if there is one.
    pub const fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Sets the console status. A heartbeat reports the change at once.
    pub fn set_console(&self, status: ConsoleStatus) {
        let _changed = self.host.console.set(status);
    }

    /// Subscribes to the health that each heartbeat updates.
    pub fn health(&self) -> Receiver<AgentHealth> {
        self.host.health.subscribe()
    }

    /// Waits until the agent cannot continue, and returns why. The caller then stops it.
    pub async fn failed(&self) -> Arc<LockError> {
        let mut failures = self.host.failure.subscribe();
        match failures.wait_for(Option::is_some).await.ok().and_then(|failure| failure.clone()) {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }

    /// Stops serving, ends the operations, sends the last reports, and announces that the host leaves.
    ///
    /// Returns whether all operations have ended. The next agent takes over those that have not.
    pub async fn stop(self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(self.host.limits.drain_timeout);
        self.serving.cancel();
        self.reconciling.finish(TASK_TIMEOUT).await;
        let left = || deadline.saturating_duration_since(Instant::now());
        let served = self.serving.finish(left()).await;
        let drained = self.workers.drain(left()).await && served;
        if !drained {
            tracing::warn!(
                host.name = %self.host.name,
                "some operations did not end before the drain timeout; the next agent takes them over"
            );
        }
        if !self.host.reports.flushed(FLUSH_TIMEOUT).await {
            tracing::warn!(host.name = %self.host.name, "some reports were not sent before the time limit");
        }
        self.watching.finish(TASK_TIMEOUT).await;
        self.reporting.finish(TASK_TIMEOUT).await;
        control::leave(&self.host, &self.bus).await;
        drained
    }

    fn spawn_tasks(&self, events: Option<SessionEventSocket>) {
        let (host, bus) = (&self.host, &self.bus);
        let (reporting, watching) = (&self.reporting, &self.watching);
        reporting.spawn(ledger_position::keep(Arc::clone(host), reporting.clone()));
        reporting.spawn(report::send(Arc::clone(host), bus.clone(), reporting.clone()));
        let images = control::report_images(Arc::clone(host), bus.clone(), reporting.clone());
        reporting.spawn(images);
        if let Some(events) = events {
            watching.spawn(count(events, Arc::clone(&host.reports), watching.clone()));
        }
        let refresh = watch::RefreshQueue::new(Arc::clone(host), watching.clone());
        watching.spawn(watch::follow(Arc::clone(host), refresh.clone(), watching.clone()));
        self.reconciling.spawn(watch::reconcile(
            self.workers.clone(),
            (Arc::clone(host), refresh),
            bus.clone(),
            self.reconciling.clone(),
        ));
    }

    /// Serves the host's queue, except while zun-api refuses this agent: then another agent of this name is running,
    /// which must receive all of its calls.
    async fn serve(&self) -> Result<(), StartError> {
        let route = Route::Host(self.host.name.clone());
        let router = Arc::new(rpc::calls(&self.host, &self.workers));
        let prefetch = self.host.limits.concurrent_calls;
        let deliveries = self.bus.transport().consume(route.clone(), prefetch).await;
        let deliveries =
            deliveries.map_err(|cause| StartError::Bus { route: route.clone(), cause })?;
        let queue = HostQueue {
            host: Arc::clone(&self.host),
            bus: self.bus.clone(),
            router,
            route,
            prefetch,
        };
        self.serving.spawn(queue.serve(deliveries, self.serving.clone()));
        Ok(())
    }
}

/// The queue with the calls to a host.
struct HostQueue {
    host: Arc<Host>,
    bus: Bus,
    router: Arc<Router>,
    route: Route,
    prefetch: u16,
}

impl HostQueue {
    /// Serves until shutdown.
    async fn serve(self, mut deliveries: Deliveries, tasks: Tasks) {
        let control = &self.host.control;
        loop {
            let consuming = tasks.token().child_token();
            self.router.serve_until(consuming.clone(), deliveries, &tasks);
            tokio::select! {
                biased;
                () = tasks.cancelled() => return,
                () = control.until_refused(true) => {}
            }
            tracing::warn!(
                host.name = %self.host.name,
                "another agent of host {} is running: this one answers no calls", self.host.name
            );
            // What it has begun ends by itself.
            consuming.cancel();
            let again = tokio::select! {
                biased;
                () = tasks.cancelled() => return,
                () = control.until_refused(false) => {
                    self.bus.transport().consume(self.route.clone(), self.prefetch).await
                }
            };
            match again {
                Ok(again) => deliveries = again,
                Err(error) => {
                    tracing::error!(error = %chain(&error), "cannot serve {}", self.route);
                    return;
                }
            }
            control.pull_now();
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        for tasks in [&self.serving, &self.reconciling, &self.watching, &self.reporting] {
            tasks.cancel();
        }
        self.workers.abandon();
    }
}

fn host(
    (name, (position, identity, unanswered), bus): (
        HostName,
        (PositionFile, AgentIdentity, UnansweredStarts),
        Bus,
    ),
    settings: Settings,
    driver: Arc<dyn ContainerDriver>,
    endpoint: &Result<Endpoint, &'static str>,
) -> Host {
    let Settings {
        host: _,
        bus: _,
        docker: _,
        heartbeat,
        labels,
        availability_zone,
        reserved_memory,
        console: ConsoleSettings { gate_control, .. },
        workers,
        state_directory,
        ports,
        metrics: _,
        log: _,
    } = settings;
    let why = match endpoint {
        Ok(_) => "the console endpoint has not been checked yet".to_owned(),
        Err(key) => format!("the zun-compute setting `{key}` is missing on the host"),
    };
    Host {
        reports: Arc::new(Reports::new(name.clone())),
        control: Control::new(heartbeat.interval),
        name,
        bus,
        driver,
        pulls: Pulls::default(),
        console: Console::new(ConsoleStatus::Down(why)),
        gate: gate_control.map(GateControl::at),
        labels,
        availability_zone,
        reserved_memory: Mebibytes(reserved_memory),
        heartbeat,
        limits: workers,
        publish_address: ports.address,
        engine_back: Notify::new(),
        reconcile_needed: Notify::new(),
        images_changed: Notify::new(),
        health: Sender::default(),
        engine_lock: EngineLock::new(&state_directory),
        position,
        unanswered,
        identity,
        strays: Strays::default(),
        failure: Sender::default(),
        metrics: Metrics::new(),
    }
}

async fn listen(settings: MetricsSettings) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = settings.listen else { return Ok(None) };
    let bound = TcpListener::bind(address).await;
    let listener = bound.map_err(|cause| StartError::Metrics { address, cause })?;
    tracing::info!(
        "metrics are served on http://{}/metrics",
        listener.local_addr().unwrap_or(address)
    );
    Ok(Some(listener))
}

/// Counts console sessions until shutdown.
async fn count(mut events: SessionEventSocket, reports: Arc<Reports>, tasks: Tasks) {
    loop {
        let event = tokio::select! {
            biased;
            () = tasks.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            Ok(event) => reports.count_session(event),
            Err(error) => {
                tracing::error!(
                    error = %chain(&error),
                    "the notify socket failed; console sessions are no longer counted"
                );
                return;
            }
        }
    }
}
