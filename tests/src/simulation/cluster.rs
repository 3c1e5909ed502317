//! A cluster: several zun-api on one database, several hosts with an agent and an engine each, and a broker between them.
//! Database, engines and broker outlive the processes.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};
use zun_api::simulation::{Database, HostRow, Process as Service, Request, Response, Snapshot};
use zun_common::bus::{Bus, MemoryTransport};
use zun_common::id::{ContainerId, HostName};
use zun_common::shutdown::Tasks;
use zun_common::status::Status;
use zun_compute::Agent;
use zun_compute::settings::Settings;

use super::engine::Engine;
use super::executor::{Executor, Process};
use super::network::{Connection, Link};

/// How long an agent may take to shut down before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// The pause before an agent that has failed is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(5);

/// More than any engine has, in MiB.
const ALL_MEMORY: u64 = 1 << 40;

/// The cluster. Clones share it.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    executor: Executor,
    database: Database,
    broker: MemoryTransport,
    hosts: Vec<Host>,
    controllers: Vec<Controller>,
    /// What agents keep over restarts.
    directory: TempDir,
    restores: AtomicUsize,
}

/// A host.
pub struct Host {
    /// Its name.
    pub name: HostName,
    /// Its engine.
    pub engine: Engine,
    /// Its link to the broker.
    pub link: Arc<Link>,
    agent: Mutex<Option<Running>>,
    /// A second agent on the same machine.
    rival: Mutex<Option<Running>>,
    /// By how many seconds its wall clock is wrong.
    clock: AtomicI64,
    /// An agent for the same engine that does not share the state directory.
    stranger: Mutex<Option<Running>>,
}

struct Running {
    process: Process,
    stop: Arc<Notify>,
}

/// A machine with a zun-api.
pub struct Controller {
    /// Its link to the broker.
    pub link: Arc<Link>,
    running: Mutex<Option<(Process, Arc<Service>)>>,
}

/// What a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// There is no connection.
    Unreachable,
    /// The connection was lost, or the client gave up.
    Lost,
    /// The response.
    Response(Response),
}

impl Cluster {
    /// Creates a cluster in which nothing runs.
    pub fn new(executor: &Executor, controllers: usize, hosts: usize) -> Self {
        let host = |number: usize| Host {
            name: format!("host{number}").parse().expect("a host name"),
            engine: Engine::new(executor),
            link: Arc::default(),
            agent: Mutex::default(),
            rival: Mutex::default(),
            clock: AtomicI64::new(0),
            stranger: Mutex::default(),
        };
        let controller = |_| Controller { link: Arc::default(), running: Mutex::default() };
        let inner = Inner {
            executor: executor.clone(),
            database: Database::new().expect("a database"),
            broker: MemoryTransport::new(&Tasks::new()),
            hosts: (0..hosts).map(host).collect(),
            controllers: (0..controllers).map(controller).collect(),
            directory: directory(),
            restores: AtomicUsize::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The executor.
    pub fn executor(&self) -> &Executor {
        &self.inner.executor
    }

    /// The hosts.
    pub fn hosts(&self) -> &[Host] {
        &self.inner.hosts
    }

    /// The machines with zun-api.
    pub fn controllers(&self) -> &[Controller] {
        &self.inner.controllers
    }

    /// All rows.
    pub fn snapshot(&self) -> Snapshot {
        self.inner.database.snapshot().expect("the database can be read")
    }

    /// Starts the agent of a host, unless it runs.
    pub fn start_agent(&self, host: &Host) {
        self.start(host, &host.agent, host.name.as_str());
    }

    /// Starts a second agent of a host. It fails while the first one runs.
    pub fn start_rival(&self, host: &Host) {
        self.start(host, &host.rival, host.name.as_str());
    }

    /// Starts an agent for the engine of a host that has its own state directory, and this host name.
    pub fn start_stranger(&self, host: &Host, name: &HostName) {
        let directory = format!("{name}-on-{}", host.name);
        self.start_as(name, (host, &host.stranger), &directory);
    }

    /// Kills the agent with its own state directory.
    pub fn kill_stranger(&self, host: &Host) {
        if let Some(Running { process, stop: _ }) = lock(&host.stranger).take() {
            self.executor().crash(process);
        }
    }

    /// Kills the second agent of a host.
    pub fn kill_rival(&self, host: &Host) {
        if let Some(Running { process, stop: _ }) = lock(&host.rival).take() {
            self.executor().crash(process);
        }
    }

    /// Saves the database.
    pub fn save(&self) {
        self.inner.database.save().expect("the database can be saved");
    }

    /// Brings the saved database back, while no zun-api runs.
    pub async fn restore(&self) {
        for controller in self.controllers() {
            if let Some((process, _)) = lock(&controller.running).take() {
                self.executor().crash(process);
            }
        }
        self.inner.database.restore().expect("the database can be restored");
        self.inner.restores.fetch_add(1, Ordering::Relaxed);
        for controller in self.controllers() {
            self.start_controller(controller).await;
        }
    }

    /// How often the database was restored.
    pub fn restores(&self) -> usize {
        self.inner.restores.load(Ordering::Relaxed)
    }

    /// Ends the recovery of all hosts.
    pub async fn recover(&self) {
        let recovering = |host: &HostRow| host.agent_sequence.is_some();
        for host in self.snapshot().hosts.into_iter().filter(recovering) {
            for controller in self.controllers() {
                let request = (Request::Recover(host.name.clone()), None);
                self.request(controller, request, Duration::from_secs(10)).await;
            }
        }
    }

    /// Sets by how many seconds the wall clock of a host is wrong.
    pub fn set_clock(&self, host: &Host, wrong_by: i64) {
        host.clock.store(wrong_by, Ordering::Relaxed);
        for slot in [&host.agent, &host.rival, &host.stranger] {
            if let Some(running) = lock(slot).as_ref() {
                self.executor().set_clock(running.process, wrong_by);
            }
        }
    }

    /// Loses what was reported of a container.
    pub fn lose_report(&self, container: ContainerId) {
        let lost = self.inner.database.lose_report(container, Status::Unknown);
        lost.expect("the database can be changed");
    }

    fn start(&self, host: &Host, slot: &Mutex<Option<Running>>, directory: &str) {
        self.start_as(&host.name, (host, slot), directory);
    }

    fn start_as(
        &self,
        name_of_agent: &HostName,
        (host, slot): (&Host, &Mutex<Option<Running>>),
        directory: &str,
    ) {
        let mut agent = lock(slot);
        if agent.is_some() {
            return;
        }
        let (executor, stop) = (self.executor(), Arc::new(Notify::new()));
        let (process, tasks) = (executor.process(), Tasks::new());
        executor.set_clock(process, host.clock.load(Ordering::Relaxed));
        let bus = self.connect(&host.link, (&tasks, name_of_agent.as_str()));
        let state_directory = self.inner.directory.path().join(directory);
        let name = Some(name_of_agent.clone());
        let mut settings = Settings { host: name, state_directory, ..Settings::default() };
        if *name_of_agent != host.name {
            // It offers no memory, so it gets no containers: they would never end after it was killed.
            settings.reserved_memory = ALL_MEMORY;
        }
        let (engine, stopped) = (Arc::new(host.engine.clone()), Arc::clone(&stop));
        executor.spawn(process, async move {
            loop {
                let (settings, engine) = (settings.clone(), Arc::clone(&engine));
                let starting = Agent::start(settings, bus.clone(), engine, &tasks);
                let agent = starting.await.expect("the agent starts");
                let has_failed = tokio::select! {
                    biased;
                    () = stopped.notified() => false,
                    _ = agent.failed() => true,
                };
                agent.stop().await;
                if !has_failed {
                    return;
                }
                // systemd starts it again.
                sleep(RESTART_PAUSE).await;
            }
        });
        *agent = Some(Running { process, stop });
    }

    /// Kills the agent of a host after so many polls of its tasks, and returns when that has happened.
    pub async fn kill_agent(&self, host: &Host, polls: u64) {
        let process = lock(&host.agent).as_ref().map(|running| running.process);
        if let Some(process) = process {
            self.kill(process, polls).await;
            *lock(&host.agent) = None;
        }
    }

    /// Shuts the agent of a host down.
    pub async fn stop_agent(&self, host: &Host) {
        let Some(Running { process, stop }) = lock(&host.agent).take() else { return };
        stop.notify_one();
        sleep(STOP_LIMIT).await;
        self.executor().crash(process);
    }

    /// Starts a zun-api, unless it runs.
    pub async fn start_controller(&self, controller: &Controller) {
        if lock(&controller.running).is_some() {
            return;
        }
        let executor = self.executor();
        let (process, tasks) = (executor.process(), Tasks::new());
        let bus = self.connect(&controller.link, (&tasks, "zun-api"));
        let (database, (started, starting)) = (self.inner.database.clone(), oneshot::channel());
        executor.spawn(process, async move {
            let service = Service::start(&database, bus, &tasks).await.expect("zun-api starts");
            drop(started.send(Arc::new(service)));
            std::future::pending::<()>().await;
        });
        if let Ok(service) = starting.await {
            *lock(&controller.running) = Some((process, service));
        }
    }

    /// Kills a zun-api after so many polls of its tasks, and returns when that has happened.
    pub async fn kill_controller(&self, controller: &Controller, polls: u64) {
        let process = lock(&controller.running).as_ref().map(|(process, _)| *process);
        if let Some(process) = process {
            self.kill(process, polls).await;
            *lock(&controller.running) = None;
        }
    }

    /// Sends a request. `timeout_after` is how long the client waits.
    pub async fn request(
        &self,
        controller: &Controller,
        (request, key): (Request, Option<String>),
        timeout_after: Duration,
    ) -> Reply {
        let running = lock(&controller.running).clone();
        let Some((process, service)) = running else { return Reply::Unreachable };
        let (mut answer, answered) = oneshot::channel();
        // A web server may drop the handler of a client that has gone, or not.
        let drops = self.executor().random().percent(50);
        self.executor().spawn(process, async move {
            let gone = async {
                if drops {
                    answer.closed().await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            let answering = service.answer(request, key.as_deref());
            let response = tokio::select! {
                biased;
                () = gone => return,
                response = answering => response,
            };
            drop(answer.send(response));
        });
        match timeout(timeout_after, answered).await {
            Ok(Ok(response)) => Reply::Response(response),
            Ok(Err(_)) | Err(_) => Reply::Lost,
        }
    }

    fn connect(&self, link: &Arc<Link>, (tasks, sender): (&Tasks, &str)) -> Bus {
        let broker = self.inner.broker.reconnect(tasks);
        let connection = Connection::new(self.executor().clone(), broker, Arc::clone(link));
        Bus::new(Arc::new(connection), sender)
    }

    async fn kill(&self, process: Process, polls: u64) {
        self.executor().crash_after(process, polls);
        // One that has nothing to do dies later.
        for _ in 0..100 {
            if !self.executor().is_doomed(process) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        self.executor().crash(process);
    }
}

/// Creates a directory in memory, if the machine has such a place.
fn directory() -> TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).expect("a directory")
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
