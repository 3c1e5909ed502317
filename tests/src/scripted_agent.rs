//! An agent without an engine. It records the calls that zun-api sends to its host, answers them as the test says, and
//! sends the reports that the test wants.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use serde_json::Value;
use tokio::sync::Notify;
use zun_common::bus::{Accepted, Bus, CallError, Incoming, Route, Router};
use zun_common::grant::ApiVersion;
use zun_common::id::{ContainerId, EngineId, ExecId, HostName};
use zun_common::rpc::container::{
    Console, ConsoleListener, CreateContainer, KillContainer, LocateConsole, LocateData, Logs,
    PauseContainer, ReadLogs, ReadStats, RebootContainer, RemoveContainer, ResizeTerminal,
    StartContainer, Stats, StopContainer, Top, TopContainer, UnpauseContainer, UpdateContainer,
};
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::exec::{
    CreateExec, CreatedExec, ExecConsole, ExecOutput, LocateExec, ResizeExec, RunExec, SignalExec,
};
use zun_common::rpc::host::{Heartbeat, Inventory};
use zun_common::rpc::report::ContainerReport;
use zun_common::rpc::{Call, Done, Problem};
use zun_common::shutdown::Tasks;
use zun_common::status::Status;
use zun_common::units::{Cpus, Gibibytes, Mebibytes, Resources};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A call that the agent received.
#[derive(Debug, Clone)]
pub struct ReceivedCall {
    /// The method.
    pub method: &'static str,
    /// The parameters.
    pub body: Value,
    /// The caller.
    pub context: CallContext,
}

#[derive(Debug, Default)]
struct Script {
    refusals: HashMap<&'static str, Problem>,
    tty: bool,
    output: Vec<u8>,
}

/// State that the agent shares with its handlers.
#[derive(Debug, Default)]
struct Shared {
    script: Mutex<Script>,
    received: Mutex<Vec<ReceivedCall>>,
    arrived: Notify,
}

/// The agent.
#[derive(Debug, Clone)]
pub struct ScriptedAgent {
    host: HostName,
    bus: Bus,
    shared: Arc<Shared>,
}

impl ScriptedAgent {
    /// Consumes the queues of the host and sends a heartbeat, with 4 processors and 4 GiB.
    ///
    /// # Panics
    /// Panics if the name is invalid or the bus is not connected.
    pub async fn start(bus: &Bus, host: &str, tasks: &Tasks) -> Self {
        let agent = Self::start_silent(bus, host, tasks).await;
        agent.heartbeat(|_| {}).await;
        agent
    }

    /// Consumes the queues of the host and sends no heartbeat.
    ///
    /// # Panics
    /// Panics if the name is invalid or the bus is not connected.
    pub async fn start_silent(bus: &Bus, host: &str, tasks: &Tasks) -> Self {
        let name: HostName = host.parse().expect("a host name");
        let shared = Arc::new(Shared::default());
        let router = Arc::new(router(&shared));
        for route in [Route::Commands(name.clone()), Route::Queries(name.clone())] {
            let deliveries = bus.transport().consume(route, 16).await.expect("a consumer");
            router.serve(deliveries, tasks);
        }
        Self { host: name, bus: bus.with_sender(host), shared }
    }

    /// Sends a heartbeat after `change` has changed it.
    ///
    /// # Panics
    /// Panics if the bus does not accept it.
    pub async fn heartbeat(&self, change: impl FnOnce(&mut Heartbeat)) {
        let mut heartbeat = Heartbeat {
            host: self.host.clone(),
            inventory: Some(inventory()),
            console: Some(listener()),
            console_trouble: None,
            interval: 60,
            leaving: false,
            generation: Utc::now().timestamp_micros(),
        };
        change(&mut heartbeat);
        self.bus.report(&heartbeat, &CallContext::internal()).await.expect("the heartbeat is sent");
    }

    /// Reports a container after `change` has changed the report. The generation is the current time.
    ///
    /// # Panics
    /// Panics if the bus does not accept it.
    pub async fn report(
        &self,
        container: ContainerId,
        status: Status,
        change: impl FnOnce(&mut ContainerReport),
    ) {
        let mut report = ContainerReport {
            container,
            host: self.host.clone(),
            generation: Utc::now().timestamp_micros(),
            status,
            task_state: None,
            status_reason: None,
            engine: Some(engine_id()),
            exit_code: None,
            oom_killed: false,
            started_at: None,
            finished_at: None,
            attached: 0,
            image_pull: None,
        };
        change(&mut report);
        self.bus.report(&report, &CallContext::internal()).await.expect("the report is sent");
    }

    /// Calls zun-api.
    pub async fn call_api<C: Call>(&self, call: &C) -> Result<C::Reply, CallError> {
        self.bus.call_controller(call, &CallContext::internal()).await
    }

    /// Refuses calls of this method from now on.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub fn refuse(&self, method: &'static str, problem: Problem) {
        self.shared.script.lock().expect("the script").refusals.insert(method, problem);
    }

    /// Reports containers as having a terminal from now on.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub fn with_terminal(&self) {
        self.shared.script.lock().expect("the script").tty = true;
    }

    /// Sets the output of containers and execs.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub fn set_output(&self, output: &[u8]) {
        self.shared.script.lock().expect("the script").output = output.to_vec();
    }

    /// Returns all calls received so far.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub fn received(&self) -> Vec<ReceivedCall> {
        self.shared.received.lock().expect("the received calls").clone()
    }

    /// Waits for a call of this method and returns the newest one.
    ///
    /// # Panics
    /// Panics if none arrives in time.
    pub async fn receives(&self, method: &'static str) -> ReceivedCall {
        let waiting = async {
            loop {
                let arrived = self.shared.arrived.notified();
                let found = self.received().into_iter().rev().find(|call| call.method == method);
                match found {
                    Some(call) => return call,
                    None => arrived.await,
                }
            }
        };
        let Ok(call) = tokio::time::timeout(TIMEOUT, waiting).await else {
            panic!("no {method} arrived, only {:?}", self.received());
        };
        call
    }
}

/// Returns the engine id that the agent reports for every container.
///
/// # Panics
/// Never.
pub fn engine_id() -> EngineId {
    "ab".repeat(32).parse().expect("an engine id")
}

/// Returns the id that the agent reports for every exec.
///
/// # Panics
/// Never.
pub fn exec_id() -> ExecId {
    "cd".repeat(32).parse().expect("an exec id")
}

fn listener() -> ConsoleListener {
    ConsoleListener {
        address: "192.0.2.7:2376".to_owned(),
        api_version: ApiVersion { major: 1, minor: 41 },
    }
}

fn inventory() -> Inventory {
    Inventory {
        total: Resources { cpus: Cpus::from_millis(4000), memory: Mebibytes(4096) },
        disk: Gibibytes(20),
        architecture: "x86_64".to_owned(),
        os_type: "linux".to_owned(),
        os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        kernel: "6.1.0".to_owned(),
        engine: "scripted 1.0".to_owned(),
        runtimes: vec!["runc".to_owned()],
        labels: std::collections::BTreeMap::new(),
    }
}

impl Shared {
    fn record<C: Call>(&self, call: &C, incoming: Incoming) -> Result<(), Problem> {
        let body = serde_json::to_value(call).expect("a call is JSON");
        let call = ReceivedCall { method: C::METHOD, body, context: incoming.context };
        self.received.lock().expect("the received calls").push(call);
        self.arrived.notify_waiters();
        let script = self.script.lock().expect("the script");
        script.refusals.get(C::METHOD).cloned().map_or(Ok(()), Err)
    }
}

/// Accepts a command and does nothing. The test sends the reports.
fn command<C: Call<Reply = Done>>(router: Router, shared: &Arc<Shared>) -> Router {
    let shared = Arc::clone(shared);
    router.accept::<C, _, _>(move |call, incoming| {
        let recorded = shared.record(&call, incoming);
        std::future::ready(recorded.map(|()| Accepted { work: Box::pin(std::future::ready(())) }))
    })
}

/// Answers a query with `reply`.
fn query<C: Call>(
    router: Router,
    shared: &Arc<Shared>,
    reply: impl Fn(&Script) -> C::Reply + Send + Sync + 'static,
) -> Router {
    let shared = Arc::clone(shared);
    router.on::<C, _, _>(move |call, incoming| {
        let recorded = shared.record(&call, incoming);
        let answer = recorded.map(|()| reply(&shared.script.lock().expect("the script")));
        std::future::ready(answer)
    })
}

fn router(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new();
    router = command::<CreateContainer>(router, shared);
    router = command::<StartContainer>(router, shared);
    router = command::<StopContainer>(router, shared);
    router = command::<RebootContainer>(router, shared);
    router = command::<PauseContainer>(router, shared);
    router = command::<UnpauseContainer>(router, shared);
    router = command::<KillContainer>(router, shared);
    router = command::<RemoveContainer>(router, shared);
    router = query::<ResizeTerminal>(router, shared, |_| Done {});
    router = query::<ResizeExec>(router, shared, |_| Done {});
    router = query::<SignalExec>(router, shared, |_| Done {});
    router = query::<LocateExec>(router, shared, |script| ExecConsole {
        listener: listener(),
        tty: script.tty,
        stdin: true,
    });
    router = query::<ReadLogs>(router, shared, |script| Logs {
        data: script.output.clone(),
        cut: false,
    });
    router = query::<LocateConsole>(router, shared, |script| Console {
        engine: engine_id(),
        listener: listener(),
        tty: script.tty,
        stdin: true,
    });
    router = query::<LocateData>(router, shared, |script| Console {
        engine: engine_id(),
        listener: listener(),
        tty: script.tty,
        stdin: false,
    });
    router = query::<TopContainer>(router, shared, |_| Top {
        titles: vec!["PID".to_owned(), "CMD".to_owned()],
        processes: vec![vec!["1".to_owned(), "sleep 1000".to_owned()]],
    });
    router = query::<ReadStats>(router, shared, |_| Stats {
        cpu_percent: 12.5,
        memory: 16 << 20,
        memory_limit: 64 << 20,
        block: (1, 2),
        network: (3, 4),
        processes: 5,
    });
    router = query::<UpdateContainer>(router, shared, |_| Done {});
    router = query::<CreateExec>(router, shared, |_| CreatedExec {
        exec: exec_id(),
        listener: Some(listener()),
        console_trouble: None,
    });
    query::<RunExec>(router, shared, |script| ExecOutput {
        exec: exec_id(),
        stdout: script.output.clone(),
        stderr: b"oops\n".to_vec(),
        exit_code: 7,
        cut: false,
    })
}
