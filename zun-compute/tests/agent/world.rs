//! The test environment: an in-memory bus, an in-memory engine, a scripted zun-api, and agents that can be killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use zun_common::bus::{
    Bus, CallError, Deliveries, MemoryTransport, Outgoing, RequestError, Route, Transport,
};
use zun_common::id::{ContainerId, HostName, RequestId};
use zun_common::rpc::container::{ConsoleSpec, ContainerSpec};
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::host::AssignedContainer;
use zun_common::rpc::operation::{Change, Outcome, PerformOperation};
use zun_common::rpc::{Call, Problem};
use zun_common::shutdown::Tasks;
use zun_common::status::Status;
use zun_compute::Agent;
use zun_compute::driver::fake::{FakeDriver, Operation};
use zun_compute::driver::{Inspect, ListedContainer};
use zun_compute::settings::Settings;

use crate::controller::Controller;

pub(crate) struct World {
    pub(crate) engine: FakeDriver,
    pub(crate) controller: Controller,
    pub(crate) line: Arc<Line>,
    pub(crate) bus: Bus,
    pub(crate) tasks: Tasks,
    pub(crate) settings: Settings,
    state: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let world = Self::with_mute_controller().await;
        world.controller.answers();
        world
    }

    /// An environment in which zun-api does not say which containers are assigned.
    pub(crate) async fn with_mute_controller() -> Self {
        let tasks = Tasks::new();
        let transport = MemoryTransport::new(&tasks);
        let line = Arc::new(Line {
            inner: transport.reconnect(&tasks),
            here: Handle::current(),
            disconnected: AtomicBool::new(false),
            lost: AtomicUsize::new(0),
        });
        let bus = Bus::new(Arc::new(transport), "zun-api");
        let controller = Controller::start(&bus, &tasks).await;
        let settings = Settings { host: Some(host()), ..Settings::default() };
        let state = tempfile::tempdir().expect("a directory");
        Self { engine: FakeDriver::new(), controller, line, bus, tasks, settings, state }
    }

    /// Starts an agent in this runtime, and waits until it is registered.
    pub(crate) async fn agent(&self) -> Agent {
        let (line, epoch) = (Arc::clone(&self.line), self.controller.epoch());
        let agent = start(self.settings(), line, self.engine.clone(), self.tasks.clone()).await;
        self.controller.until_epoch(epoch + 1).await;
        agent
    }

    /// The settings of the next agent. Each has its own state directory, because an agent that is killed within this
    /// process keeps its lock.
    fn settings(&self) -> Settings {
        let state_directory = self.state.path().join(RequestId::random().as_str());
        Settings { state_directory, ..self.settings.clone() }
    }

    /// Starts an agent that can be killed, as by SIGKILL.
    pub(crate) async fn killable_agent(&self) -> KillableAgent {
        let (settings, engine) = (self.settings(), self.engine.clone());
        let (line, epoch) = (Arc::clone(&self.line), self.controller.epoch());
        let (end, ended) = oneshot::channel::<oneshot::Sender<bool>>();
        let (up, is_up) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let agent = start(settings, line, engine, Tasks::new()).await;
                up.send(()).expect("the test waits");
                match ended.await {
                    Ok(drained) => drained.send(agent.stop().await).expect("the test waits"),
                    Err(_killed) => std::mem::forget(agent),
                }
            });
        });
        is_up.await.expect("an agent");
        self.controller.until_epoch(epoch + 1).await;
        KillableAgent { end, thread }
    }

    pub(crate) async fn call<C: Call>(&self, call: &C) -> Result<C::Reply, CallError> {
        self.bus.call(&host(), call, &CallContext::internal()).await
    }

    /// Makes a call that must be refused, and returns the problem.
    pub(crate) async fn refusal<C: Call>(&self, call: &C) -> Problem
    where
        C::Reply: std::fmt::Debug,
    {
        match self.call(call).await {
            Err(CallError::Refused { problem, .. }) => problem,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Accepts an operation and nudges the agent. Returns the outcome, if it ends at once.
    pub(crate) async fn order(&self, container: ContainerId, change: Change) -> Option<Outcome> {
        let call = self.controller.accept(container, change);
        self.call(&call).await.expect("an answer").outcome
    }

    /// Nudges the agent and waits until the driver was asked for this operation, whose engine stalls.
    pub(crate) async fn until_begun(&self, call: &PerformOperation, operation: Operation) {
        let asked = self.until_asked(operation, 1);
        tokio::pin!(asked);
        tokio::select! {
            // The nudge is answered at once if the agent has not received its first list yet.
            _answer = self.call(call) => asked.await,
            () = &mut asked => {}
        }
    }

    /// Like [`World::order`], for the creation of a container.
    pub(crate) async fn create(&self, creation: &Creation) -> Option<Outcome> {
        self.order(creation.container, creation.change()).await
    }

    /// Accepts an operation that the agent must refuse, and returns the problem.
    pub(crate) async fn order_refused(&self, container: ContainerId, change: Change) -> Problem {
        match self.order(container, change).await {
            Some(Outcome::Failed(problem)) => problem,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Creates and starts a container with this command.
    pub(crate) async fn running(&self, command: &[&str]) -> ContainerId {
        let create = create(command);
        let container = create.container;
        self.create(&create).await;
        self.controller.until(container, Status::Created).await;
        self.order(container, START).await;
        self.controller.until(container, Status::Running).await;
        container
    }

    /// Returns how many times the driver was asked for this operation.
    pub(crate) fn count(&self, operation: Operation) -> usize {
        self.engine.calls().iter().filter(|(asked, _)| *asked == operation).count()
    }

    /// Waits until the driver was asked for this operation `times` times.
    pub(crate) async fn until_asked(&self, operation: Operation, times: usize) {
        let asked = async {
            while self.count(operation) < times {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asked).await.expect("the engine is asked");
    }

    /// Waits until the engine shows this status, even if the agent does not know it yet.
    pub(crate) async fn until_engine_shows(&self, container: ContainerId, status: Status) {
        let is_so = async || {
            let listed = self.engine.list().await.expect("a list");
            let mut known = listed.iter().filter_map(ListedContainer::info);
            known.any(|info| info.container == container && info.status == status)
        };
        let waiting = async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the engine shows it");
    }

    pub(crate) async fn containers(&self) -> usize {
        self.engine.list().await.expect("a list").len()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

async fn start(settings: Settings, line: Arc<Line>, engine: FakeDriver, tasks: Tasks) -> Agent {
    let bus = Bus::new(line, "nobody");
    Agent::start(settings, bus, Arc::new(engine), &tasks).await.expect("an agent")
}

/// An agent in its own runtime and thread.
pub(crate) struct KillableAgent {
    end: oneshot::Sender<oneshot::Sender<bool>>,
    thread: JoinHandle<()>,
}

impl KillableAgent {
    /// Kills the agent. All its tasks have ended when this returns.
    pub(crate) fn kill(self) {
        drop(self.end);
        self.thread.join().expect("it ends");
    }

    /// Stops the agent as SIGTERM does. Returns whether all operations have ended.
    pub(crate) async fn stop(self) -> bool {
        let (drained, is_drained) = oneshot::channel();
        self.end.send(drained).expect("the agent is alive");
        let outcome = is_drained.await.expect("an answer");
        self.thread.join().expect("it ends");
        outcome
    }
}

/// The agent's link to the bus. Tests can interrupt what the agent sends.
#[derive(Debug)]
pub(crate) struct Line {
    inner: MemoryTransport,
    /// The runtime of the transport's own tasks, which outlive a killed agent.
    here: Handle,
    disconnected: AtomicBool,
    lost: AtomicUsize,
}

impl Line {
    pub(crate) fn disconnect(&self) {
        self.disconnected.store(true, Ordering::SeqCst);
    }

    pub(crate) fn reconnect(&self) {
        self.disconnected.store(false, Ordering::SeqCst);
    }

    /// Waits until `more` further messages were lost.
    pub(crate) async fn loses(&self, more: usize) {
        let enough = self.lost.load(Ordering::SeqCst) + more;
        let lost = async {
            while self.lost.load(Ordering::SeqCst) < enough {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), lost).await.expect("it tries again");
    }

    fn check(&self) -> Result<(), RequestError> {
        if self.disconnected.load(Ordering::SeqCst) {
            self.lost.fetch_add(1, Ordering::SeqCst);
            return Err(RequestError::Unreachable);
        }
        Ok(())
    }
}

#[async_trait]
impl Transport for Line {
    async fn request(&self, message: Outgoing) -> Result<Bytes, RequestError> {
        self.check()?;
        self.inner.request(message).await
    }

    async fn consume(&self, route: Route, prefetch: u16) -> Result<Deliveries, RequestError> {
        let _here = self.here.enter();
        futures_util::FutureExt::now_or_never(self.inner.consume(route, prefetch))
            .expect("it does not wait")
    }

    fn is_connected(&self) -> bool {
        !self.disconnected.load(Ordering::SeqCst)
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

pub(crate) fn host() -> HostName {
    "compute1".parse().expect("a name")
}

/// Starts a container that has never run.
pub(crate) const START: Change = Change::Start { last_start: None };

/// A container to create.
#[derive(Debug, Clone)]
pub(crate) struct Creation {
    pub(crate) container: ContainerId,
    pub(crate) spec: ContainerSpec,
    pub(crate) start: bool,
}

impl Creation {
    pub(crate) fn change(&self) -> Change {
        Change::Create { spec: Box::new(self.spec.clone()), start: self.start }
    }
}

pub(crate) fn create(command: &[&str]) -> Creation {
    let spec = ContainerSpec {
        command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
        console: ConsoleSpec { tty: true, stdin_open: true, ..ConsoleSpec::default() },
        ..ContainerSpec::of_image("p".parse().expect("a project"), "test", "cirros")
    };
    Creation { container: ContainerId::random(), spec, start: false }
}

/// Returns a container in the form in which zun-api assigns it.
pub(crate) fn assigned(container: ContainerId, status: Status) -> AssignedContainer {
    AssignedContainer {
        container,
        status,
        engine: Some("ab".repeat(32).parse().expect("an id")),
        auto_remove: false,
        is_rebuilding: false,
        last_run: None,
        reported: None,
    }
}
