//! The agent as a whole: what it begins, and in which order it ends.
//!
//! ```text
//!  stop: take no more ──> drain accepted work ──> tell the last reports ──> say that the host leaves
//! ```

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::watch::{Receiver, Sender};
use zun_common::bus::{Bus, RequestError, Route};
use zun_common::chain;
use zun_common::id::HostName;
use zun_common::shutdown::Tasks;

use crate::attached::NoteSocket;
use crate::console::{self, Console, ConsoleStatus, Endpoint};
use crate::driver::ContainerDriver;
use crate::health::AgentHealth;
use crate::host::Host;
use crate::report::{self, Reports};
use crate::settings::{LoadError, Settings};
use crate::worker::Workers;
use crate::{rpc, watch};

const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
const TASK_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The host has no name.
    #[error(transparent)]
    Settings(#[from] LoadError),
    /// Its queues cannot be served.
    #[error("cannot serve {route}")]
    Bus {
        /// The queue.
        route: Route,
        /// Why.
        #[source]
        cause: RequestError,
    },
    /// The socket that consoles are told on cannot be bound.
    #[error("cannot bind the notify socket {path}")]
    Notify {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// A running agent. Dropping it without [`Agent::stop`] ends it without draining.
pub struct Agent {
    host: Arc<Host>,
    bus: Bus,
    workers: Workers,
    /// Takes messages; ends first.
    serving: Tasks,
    /// Asks zun-api and orders what is missing; ends first too.
    reconciling: Tasks,
    /// Sees what happens.
    watching: Tasks,
    /// Tells; ends last.
    reporting: Tasks,
}

impl Agent {
    /// Starts to serve, to follow the engine and to tell. It does not wait for the engine or zun-api.
    /// The agent also stops taking messages when shutdown of `tasks` begins, but only [`Agent::stop`]
    /// drains.
    pub async fn start(
        settings: Settings,
        bus: Bus,
        driver: Arc<dyn ContainerDriver>,
        tasks: &Tasks,
    ) -> Result<Self, StartError> {
        let name = settings.host_name()?;
        let bus = bus.with_sender(name.as_str());
        let notes = match &settings.console.notify_socket {
            Some(path) => Some(
                NoteSocket::bind(path)
                    .map_err(|cause| StartError::Notify { path: path.clone(), cause })?,
            ),
            None => None,
        };
        let endpoint = settings.console.endpoint();
        let host = Arc::new(host(name, settings, driver, &endpoint));
        let workers = Workers::new(Arc::clone(&host));
        let agent = Self {
            host,
            bus,
            workers,
            serving: tasks.child(),
            reconciling: tasks.child(),
            watching: Tasks::new(),
            reporting: Tasks::new(),
        };
        agent.spawn_tasks(notes);
        if let Ok(endpoint) = endpoint {
            let (host, watching) = (Arc::clone(&agent.host), &agent.watching);
            watching.spawn(console::monitor(host, endpoint, watching.clone()));
        }
        agent.serve().await?;
        let (host, bus, reporting) = (Arc::clone(&agent.host), agent.bus.clone(), &agent.reporting);
        reporting.spawn(report::beat(host, bus, reporting.clone()));
        tracing::info!(host.name = %agent.host.name, "the agent of host {} serves", agent.host.name);
        Ok(agent)
    }

    /// The host's name.
    pub fn host(&self) -> &HostName {
        &self.host.name
    }

    /// The console listener came up or went; the next heartbeat, at once, says so.
    pub fn set_console(&self, status: ConsoleStatus) {
        let _changed = self.host.console.set(status);
    }

    /// What each heartbeat finds.
    pub fn health(&self) -> Receiver<AgentHealth> {
        self.host.health.subscribe()
    }

    /// Takes no more, drains what was accepted, tells the last reports, and says that the host leaves.
    /// Says whether all accepted work was done; what was not is delivered again.
    pub async fn stop(self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(self.host.limits.drain_timeout);
        self.serving.cancel();
        self.reconciling.finish(TASK_TIMEOUT).await;
        let left = || deadline.saturating_duration_since(Instant::now());
        let served = self.serving.finish(left()).await;
        let drained = self.workers.drain(left()).await && served;
        if !drained {
            tracing::warn!(host.name = %self.host.name, "not all accepted work was done in time");
        }
        if !self.host.reports.flushed(FLUSH_TIMEOUT).await {
            tracing::warn!(host.name = %self.host.name, "not all reports were told in time");
        }
        self.watching.finish(TASK_TIMEOUT).await;
        self.reporting.finish(TASK_TIMEOUT).await;
        report::leave(&self.host, &self.bus).await;
        drained
    }

    fn spawn_tasks(&self, notes: Option<NoteSocket>) {
        let (host, bus) = (&self.host, &self.bus);
        let (reporting, watching) = (&self.reporting, &self.watching);
        reporting.spawn(report::send(Arc::clone(&host.reports), bus.clone(), reporting.clone()));
        if let Some(notes) = notes {
            watching.spawn(count(notes, Arc::clone(&host.reports), watching.clone()));
        }
        watching.spawn(watch::follow(Arc::clone(host), watching.clone()));
        self.reconciling.spawn(watch::reconcile(
            self.workers.clone(),
            Arc::clone(host),
            bus.clone(),
            self.reconciling.clone(),
        ));
    }

    async fn serve(&self) -> Result<(), StartError> {
        let (name, limits) = (&self.host.name, &self.host.limits);
        let queues = [
            (Route::Queries(name.clone()), limits.questions, rpc::questions(&self.host)),
            (Route::Commands(name.clone()), limits.commands, rpc::commands(&self.workers)),
        ];
        for (route, prefetch, router) in queues {
            let taken = self.bus.transport().consume(route.clone(), prefetch).await;
            let deliveries = taken.map_err(|cause| StartError::Bus { route, cause })?;
            Arc::new(router).serve(deliveries, &self.serving);
        }
        Ok(())
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
    name: HostName,
    settings: Settings,
    driver: Arc<dyn ContainerDriver>,
    endpoint: &Result<Endpoint, &'static str>,
) -> Host {
    let Settings { host: _, bus: _, docker: _, heartbeat, labels, console: _, workers, log: _ } =
        settings;
    let why = match endpoint {
        Ok(_) => "its endpoint has not been looked at yet".to_owned(),
        Err(key) => format!("the setting `{key}` of zun-compute is missing there"),
    };
    Host {
        reports: Arc::new(Reports::new(name.clone())),
        name,
        driver,
        console: Console::new(ConsoleStatus::Down(why)),
        labels,
        heartbeat,
        limits: workers,
        engine_back: Notify::new(),
        reconcile_needed: Notify::new(),
        health: Sender::default(),
    }
}

/// Counts consoles until shutdown.
async fn count(mut notes: NoteSocket, reports: Arc<Reports>, tasks: Tasks) {
    loop {
        let note = tokio::select! {
            () = tasks.cancelled() => return,
            note = notes.next() => note,
        };
        match note {
            Ok(note) => reports.note(note),
            Err(error) => {
                tracing::error!(error = %chain(&error), "the notify socket failed: consoles are counted no more");
                return;
            }
        }
    }
}
