//! An agent without an engine. It records the calls that zun-api sends to its host, answers them as the test says, and
//! sends the reports that the test wants.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use serde_json::Value;
use tokio::sync::Notify;
use zun_common::bus::{Bus, CallError, Incoming, Route, Router};
use zun_common::gate_control::{Deleted, IssuedTicket};
use zun_common::grant::ApiVersion;
use zun_common::id::{ClusterId, ContainerId, EngineId, Epoch, ExecId, HostName, OperationId};
use zun_common::pty::Ticket;
use zun_common::rpc::console::{
    ConsoleSessions, ConsoleTicket, DeleteRecording, HostRecordings, IssueRecordingTicket,
    IssueTicket, ListRecordings, ListSessions, RevokeGrant, Revoked,
};
use zun_common::rpc::container::{
    Console, ConsoleListener, LocateConsole, LocateData, Logs, ReadLogs, ReadStats, ResizeTerminal,
    Stats, Top, TopContainer,
};
use zun_common::rpc::digest::Digest;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::exec::{
    CreateExec, CreatedExec, ExecConsole, ExecOutput, LocateExec, ResizeExec, RunExec, SignalExec,
};
use zun_common::rpc::files::{
    Archive, ChangeKind, Changes, CommitContainer, Committed, FileChange, GetArchive, ListChanges,
    PathStat, PutArchive,
};
use zun_common::rpc::host::{Heartbeat, Inventory, RemoveStray};
use zun_common::rpc::operation::{
    AgentIdentity, Change, LedgerPosition, OpenOperations, Operation, OperationOutcome, Outcome,
    PROTOCOL, PerformOperation, Performing, RegisterAgent, Registered, ReportContainer,
    SendHeartbeat,
};
use zun_common::rpc::report::{ContainerReport, LiveState};
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
    epoch: Epoch,
    cluster: Option<ClusterId>,
    position: Option<LedgerPosition>,
    identity: Option<AgentIdentity>,
    /// The newest protocol that it speaks; this build's if `None`.
    protocol: Option<u32>,
    ignores: bool,
    tty: bool,
    output: Vec<u8>,
    sessions: ConsoleSessions,
    recordings: HostRecordings,
}

/// State that the agent shares with its handlers.
#[derive(Debug, Default)]
struct Shared {
    script: Mutex<Script>,
    received: Mutex<Vec<ReceivedCall>>,
    /// Operations that were received and not refused, and have not ended.
    open: Mutex<Vec<(ContainerId, OperationId)>>,
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
    /// Consumes the queue of the host, registers, and sends a heartbeat, with 4 processors and 4 GiB.
    ///
    /// # Panics
    /// Panics if the name is invalid or the bus is not connected.
    pub async fn start(bus: &Bus, host: &str, tasks: &Tasks) -> Self {
        let name: HostName = host.parse().expect("a host name");
        let shared = Arc::new(Shared::default());
        let router = Arc::new(router(&shared));
        let route = Route::Host(name.clone());
        let deliveries = bus.transport().consume(route, 16).await.expect("a consumer");
        router.serve(deliveries, tasks);
        let agent = Self { host: name, bus: bus.with_sender(host), shared };
        agent.register().await;
        agent.heartbeat(|_| {}).await.expect("zun-api accepts the heartbeat");
        agent
    }

    /// Returns the name of its host.
    pub const fn host(&self) -> &HostName {
        &self.host
    }

    /// Registers again, as after a restart.
    ///
    /// # Panics
    /// Panics if zun-api refuses.
    pub async fn register(&self) {
        self.register_again().await.expect("an epoch");
    }

    /// Registers as an agent that speaks this protocol at most.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub fn speak(&self, protocol: u32) {
        self.shared.script.lock().expect("the script").protocol = Some(protocol);
    }

    /// Like [`ScriptedAgent::register`], but returns why zun-api refuses.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub async fn register_again(&self) -> Result<(), CallError> {
        let (position, agent, protocol) = {
            let script = self.shared.script.lock().expect("the script");
            (script.position.clone(), script.identity.clone(), script.protocol)
        };
        let call = RegisterAgent {
            host: self.host.clone(),
            engine_id: format!("engine of {}", self.host),
            protocol: protocol.unwrap_or(PROTOCOL),
            position,
            agent,
        };
        let Registered { epoch, cluster } = self.call_api(&call).await?;
        let mut script = self.shared.script.lock().expect("the script");
        script.epoch = epoch;
        script.cluster = Some(cluster);
        drop(script);
        Ok(())
    }

    /// From now on, reports these sessions and tickets.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub fn with_sessions(&self, sessions: ConsoleSessions) {
        self.shared.script.lock().expect("the script").sessions = sessions;
    }

    /// From now on, reports these recordings.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub fn with_recordings(&self, recordings: HostRecordings) {
        self.shared.script.lock().expect("the script").recordings = recordings;
    }

    /// From the next registration on, reports its identity.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub fn identify(&self, identity: AgentIdentity) {
        self.shared.script.lock().expect("the script").identity = Some(identity);
    }

    /// From the next registration or heartbeat on, reports this position of the host in the cluster's ledger.
    ///
    /// # Panics
    /// Panics if the agent has not registered.
    pub fn remember(&self, epoch: Epoch, sequence: i64) {
        let mut script = self.shared.script.lock().expect("the script");
        let cluster = script.cluster.clone().expect("a cluster");
        script.position =
            Some(LedgerPosition { cluster, epoch, sequence, operation: None, compared: None });
    }

    /// From the next registration or heartbeat on, reports this operation as the last one that the host has received.
    ///
    /// # Panics
    /// Panics if the agent has not registered.
    pub fn remember_operation(&self, sequence: i64, operation: OperationId) {
        let mut script = self.shared.script.lock().expect("the script");
        let (cluster, epoch) = (script.cluster.clone().expect("a cluster"), script.epoch);
        let operation = Some(operation);
        script.position =
            Some(LedgerPosition { cluster, epoch, sequence, operation, compared: None });
    }

    /// From the next registration or heartbeat on, reports what another agent reports.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub fn remember_as(&self, other: &Self) {
        let position = other.shared.script.lock().expect("the script").position.clone();
        self.shared.script.lock().expect("the script").position = position;
    }

    /// Returns the current epoch.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub fn epoch(&self) -> Epoch {
        self.shared.script.lock().expect("the script").epoch
    }

    /// Sends a heartbeat after `change` has changed it, and returns the host's open operations, or why zun-api refused
    /// it.
    pub async fn heartbeat(
        &self,
        change: impl FnOnce(&mut Heartbeat),
    ) -> Result<OpenOperations, CallError> {
        let mut heartbeat = self.state_of_host();
        change(&mut heartbeat);
        self.beat(heartbeat, 0).await
    }

    fn state_of_host(&self) -> Heartbeat {
        Heartbeat {
            host: self.host.clone(),
            inventory: Some(inventory()),
            console: Some(listener()),
            console_trouble: None,
            interval: 60,
            leaving: false,
            generation: Utc::now().timestamp_micros(),
            strays: None,
        }
    }

    /// Sends a heartbeat, and returns the host's open operations after a number.
    ///
    /// # Errors
    /// Fails if zun-api refuses it.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub async fn open_after(&self, after: i64) -> Result<OpenOperations, CallError> {
        self.beat(self.state_of_host(), after).await
    }

    async fn beat(&self, heartbeat: Heartbeat, after: i64) -> Result<OpenOperations, CallError> {
        let position = self.shared.script.lock().expect("the script").position.clone();
        let (epoch, digest) = (self.epoch(), Some(Digest::default()));
        self.call_api(&SendHeartbeat { epoch, heartbeat, position, digest, after, sent_at: None })
            .await
    }

    /// Reports a container after `change` has changed the report, and with it the success of all its operations that
    /// the agent has received and not refused. The generation is the current time. A refusal of zun-api is ignored.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub async fn report(
        &self,
        container: ContainerId,
        status: Status,
        change: impl FnOnce(&mut ContainerReport),
    ) {
        let mut report = self.state(container, status);
        change(&mut report);
        let ended = self.shared.ended(container);
        let outcomes = ended
            .into_iter()
            .map(|operation| OperationOutcome::new(operation, Outcome::Succeeded))
            .collect();
        let outcome = self.report_with(container, (Some(report), outcomes)).await;
        if let Err(CallError::Refused { problem, .. }) = outcome {
            tracing::debug!("zun-api refused a report: {problem}");
        }
    }

    /// A report with this status, not sent yet.
    pub fn state(&self, container: ContainerId, status: Status) -> ContainerReport {
        ContainerReport {
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
            runs: Vec::new(),
            live: LiveState::default(),
        }
    }

    /// Sends a report and outcomes.
    pub async fn report_with(
        &self,
        container: ContainerId,
        (report, outcomes): (Option<ContainerReport>, Vec<OperationOutcome>),
    ) -> Result<Done, CallError> {
        let (host, epoch) = (self.host.clone(), self.epoch());
        self.call_api(&ReportContainer { host, epoch, container, report, outcomes }).await
    }

    /// Calls zun-api.
    pub async fn call_api<C: Call>(&self, call: &C) -> Result<C::Reply, CallError> {
        self.bus.call_controller(call, &CallContext::internal()).await
    }

    /// From now on, refuses calls of this method. Operations have the methods `container.create` and so on.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub fn refuse(&self, method: &'static str, problem: Problem) {
        self.shared.script.lock().expect("the script").refusals.insert(method, problem);
    }

    /// Accepts calls of this method again.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub fn accept(&self, method: &'static str) {
        self.shared.script.lock().expect("the script").refusals.remove(method);
    }

    /// From now on, answers no nudge.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    pub fn ignore_nudges(&self) {
        self.shared.script.lock().expect("the script").ignores = true;
    }

    /// From now on, reports containers as having a terminal.
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
        self.receives_such(method, |_| true).await
    }

    /// Waits for a call of this method about this container and returns the newest one.
    ///
    /// # Panics
    /// Panics if none arrives in time.
    pub async fn receives_about(
        &self,
        method: &'static str,
        container: ContainerId,
    ) -> ReceivedCall {
        let id = container.to_string();
        self.receives_such(method, |call| call.body["container"] == id.as_str()).await
    }

    async fn receives_such(
        &self,
        method: &'static str,
        wanted: impl Fn(&ReceivedCall) -> bool,
    ) -> ReceivedCall {
        let waiting = async {
            loop {
                let arrived = self.shared.arrived.notified();
                let mut received = self.received().into_iter().rev();
                let found = received.find(|call| call.method == method && wanted(call));
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

/// Returns the engine ID that the agent reports for every container.
///
/// # Panics
/// Never.
pub fn engine_id() -> EngineId {
    "ab".repeat(32).parse().expect("an engine id")
}

/// Returns the ticket that the agent always issues.
///
/// # Panics
/// Never.
pub fn ticket() -> Ticket {
    "t".repeat(43).parse().expect("a ticket")
}

/// Returns the ID that the agent reports for every exec.
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
        gate: Some("192.0.2.7:2377".to_owned()),
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
        publish_address: Some(std::net::Ipv4Addr::LOCALHOST.into()),
        availability_zone: Some("nova".to_owned()),
    }
}

impl Shared {
    fn begin(&self, operation: &Operation, incoming: Incoming) -> Result<(), Problem> {
        let (method, body) = describe(operation);
        let call = ReceivedCall { method, body, context: incoming.context };
        let refusal = self.script.lock().expect("the script").refusals.get(method).cloned();
        if refusal.is_none() {
            let mut open = self.open.lock().expect("the open operations");
            open.push((operation.container, operation.id));
        }
        self.received.lock().expect("the received calls").push(call);
        self.arrived.notify_waiters();
        refusal.map_or(Ok(()), Err)
    }

    /// Takes the open operations of a container.
    fn ended(&self, container: ContainerId) -> Vec<OperationId> {
        let mut open = self.open.lock().expect("the open operations");
        open.extract_if(.., |(of, _)| *of == container).map(|(_, operation)| operation).collect()
    }

    fn record<C: Call>(&self, call: &C, incoming: Incoming) -> Result<(), Problem> {
        let body = serde_json::to_value(call).expect("a call is JSON");
        let call = ReceivedCall { method: C::METHOD, body, context: incoming.context };
        self.received.lock().expect("the received calls").push(call);
        self.arrived.notify_waiters();
        let script = self.script.lock().expect("the script");
        script.refusals.get(C::METHOD).cloned().map_or(Ok(()), Err)
    }
}

/// Begins an operation and does nothing. The test sends the reports.
fn perform(router: Router, shared: &Arc<Shared>) -> Router {
    let shared = Arc::clone(shared);
    router.on(move |call: PerformOperation, incoming: Incoming| {
        let shared = Arc::clone(&shared);
        async move {
            if shared.script.lock().expect("the script").ignores {
                std::future::pending::<()>().await;
            }
            let outcome = shared.begin(&call.operation, incoming).err().map(Outcome::Failed);
            Ok(Performing { outcome })
        }
    })
}

/// The name of an operation, and its arguments.
fn describe(operation: &Operation) -> (&'static str, Value) {
    let method = match &operation.change {
        Change::Create { .. } => "container.create",
        Change::Start { .. } => "container.start",
        Change::Stop { .. } => "container.stop",
        Change::Reboot { .. } => "container.reboot",
        Change::Rebuild { .. } => "container.rebuild",
        Change::Pause => "container.pause",
        Change::Unpause => "container.unpause",
        Change::Kill { .. } => "container.kill",
        Change::Update { .. } => "container.update",
        Change::PullImage { .. } => "image.pull",
        Change::RemoveImage { .. } => "image.remove",
        Change::RemoveResource { .. } => "resource.remove",
        Change::Delete { .. } => "container.remove",
    };
    let mut body = serde_json::to_value(operation).expect("JSON")["arguments"].take();
    if body.is_null() {
        body = Value::Object(serde_json::Map::new());
    }
    body["container"] = serde_json::to_value(operation.container).expect("JSON");
    (method, body)
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
    router = perform(router, shared);
    router = query::<ResizeTerminal>(router, shared, |_| Done {});
    router = query::<RemoveStray>(router, shared, |_| Done {});
    router = query::<ResizeExec>(router, shared, |_| Done {});
    router = query::<SignalExec>(router, shared, |_| Done {});
    router = query::<LocateExec>(router, shared, |script| ExecConsole {
        listener: listener(),
        tty: script.tty,
        stdin: true,
    });
    router = query::<IssueTicket>(router, shared, |script| ConsoleTicket {
        ticket: ticket(),
        address: "console.example:2377".to_owned(),
        tty: script.tty,
    });
    router = query::<ListSessions>(router, shared, |script| script.sessions.clone());
    router = query::<ListRecordings>(router, shared, |script| script.recordings.clone());
    router = query::<DeleteRecording>(router, shared, |_| Deleted { size: 70 });
    router = query::<IssueRecordingTicket>(router, shared, |_| IssuedTicket {
        ticket: ticket(),
        address: "console.example:2377".to_owned(),
    });
    router = query::<RevokeGrant>(router, shared, |_| Revoked { sessions: 1 });
    router = query::<ReadLogs>(router, shared, |script| Logs {
        data: script.output.clone(),
        truncated: false,
    });
    router = query::<LocateConsole>(router, shared, |script| Console {
        engine: engine_id(),
        listener: listener(),
        tty: script.tty,
        stdin: true,
        run: Some(1),
        running: true,
    });
    router = query::<LocateData>(router, shared, |script| Console {
        engine: engine_id(),
        listener: listener(),
        tty: script.tty,
        stdin: false,
        run: None,
        running: false,
    });
    router = query::<TopContainer>(router, shared, |_| Top {
        titles: vec!["PID".to_owned(), "CMD".to_owned()],
        processes: vec![vec!["1".to_owned(), "sleep 1000".to_owned()]],
    });
    router = query::<GetArchive>(router, shared, |_| Archive {
        data: vec![0, 200, b'a'],
        stat: PathStat {
            name: "etc".to_owned(),
            size: 4096,
            mode: (1 << 31) | 0o755,
            modified: None,
            link_target: String::new(),
        },
    });
    router = query::<PutArchive>(router, shared, |_| Done {});
    router = query::<ListChanges>(router, shared, |_| Changes {
        changes: vec![FileChange { path: "/tmp/x".to_owned(), kind: ChangeKind::Added }],
        truncated: false,
    });
    router = query::<CommitContainer>(router, shared, |_| Committed {
        size: Some(7),
        image: format!("sha256:{}", "ab".repeat(32)),
    });
    router = query::<ReadStats>(router, shared, |_| Stats {
        cpu_percent: 12.5,
        memory: 16 << 20,
        memory_limit: 64 << 20,
        block: (1, 2),
        network: (3, 4),
        processes: 5,
    });
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
        truncated: false,
    })
}
