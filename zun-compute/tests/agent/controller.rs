//! A scripted zun-api that records messages and answers calls.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use zun_common::bus::{Bus, Incoming, Route, Router};
use zun_common::id::{ContainerId, Epoch, OperationId, RequestId};
use zun_common::rpc::digest::ReportHash;
use zun_common::rpc::host::{
    Assigned, AssignedContainer, AssignedContainers, Heartbeat, ReportHostImages,
};
use zun_common::rpc::image::{ImageState, ReportImage};
use zun_common::rpc::operation::{
    Change, LedgerPosition, OpenOperations, Operation, OperationOutcome, Outcome, PerformOperation,
    RegisterAgent, Registered, ReportContainer, SendHeartbeat,
};
use zun_common::rpc::report::{ContainerReport, LastRun, UnknownContainer};
use zun_common::rpc::{Code, Done, Problem};
use zun_common::shutdown::Tasks;
use zun_common::status::{Status, TaskState};

#[derive(Debug, Default)]
struct Received {
    reports: HashMap<ContainerId, Vec<ContainerReport>>,
    heartbeats: Vec<Heartbeat>,
    strays: Vec<UnknownContainer>,
    images: usize,
    /// The names of the images that the host has.
    host_images: BTreeSet<String>,
    assigned: Vec<AssignedContainer>,
    /// Whether it says which containers are assigned.
    answers: bool,
    /// Whether it refuses registrations, and how many it has refused.
    refuses: Option<Code>,
    refused: usize,
    /// The last registration of an agent.
    position: Option<LedgerPosition>,
    ledger: Ledger,
}

impl Received {
    fn register(&mut self, agent: RegisterAgent) -> Result<Registered, Problem> {
        self.position = agent.position;
        if let Some(code) = self.refuses {
            self.refused += 1;
            return Err(Problem::new(code, "not now"));
        }
        let cluster = "cluster".parse().expect("an id");
        Ok(Registered { epoch: self.ledger.register(), cluster })
    }

    fn beat(&mut self, beat: SendHeartbeat) -> Result<OpenOperations, Problem> {
        self.ledger.check(beat.epoch)?;
        self.heartbeats.push(beat.heartbeat);
        let digest =
            self.reports.keys().filter_map(|container| self.reported(*container)).collect();
        Ok(OpenOperations { digest: Some(digest), ..self.ledger.open(beat.after) })
    }

    fn store(&mut self, call: ReportContainer) -> Result<Done, Problem> {
        self.ledger.check(call.epoch)?;
        self.reports.entry(call.container).or_default().extend(call.report);
        self.ledger.finish(call.outcomes);
        Ok(Done {})
    }

    fn assigned(&self) -> Result<Assigned, Problem> {
        if !self.answers {
            return Err(Problem::new(Code::Busy, "not yet"));
        }
        let mut containers = self.assigned.clone();
        for Entry { operation, .. } in
            self.ledger.operations.iter().filter(|entry| !entry.is_forgotten)
        {
            let known = containers.iter().any(|one| one.container == operation.container);
            if !known {
                containers.extend(self.of_ledger(operation.container));
            }
        }
        Ok(Assigned { containers })
    }

    /// What the digest has of the container.
    fn reported(&self, container: ContainerId) -> Option<ReportHash> {
        let reports = self.reports.get(&container)?;
        let last = reports.last()?;
        let status = last.status;
        let runs = reports.iter().flat_map(|report| &report.runs);
        let run = runs.map(|run| run.number).max().unwrap_or_default();
        let counts = !matches!(status, Status::Deleting | Status::Deleted);
        counts.then(|| {
            ReportHash::of(
                container,
                run,
                (status.as_str(), last.task_state.map(TaskState::as_str)),
            )
        })
    }

    /// A container with operations, unless its removal was reported.
    fn of_ledger(&self, container: ContainerId) -> Option<AssignedContainer> {
        let reports = self.reports.get(&container).map(Vec::as_slice).unwrap_or_default();
        let status = reports.last().map_or(Status::Creating, |report| report.status);
        let runs = reports.iter().rev().flat_map(|report| &report.runs);
        let last_run = runs.max_by_key(|run| (run.number, run.end.is_some())).map(|run| LastRun {
            number: run.number,
            raw_started: run.raw_started.clone(),
            has_ended: run.end.is_some(),
        });
        let engine = reports.iter().rev().find_map(|report| report.engine.clone());
        let reported = self.reported(container);
        let is_rebuilding = self.ledger.is_rebuilding(container);
        let expected = AssignedContainer {
            container,
            status,
            engine,
            auto_remove: false,
            is_rebuilding,
            last_run,
            reported,
        };
        Some(expected).filter(|_| status != Status::Deleted)
    }
}

/// A ledger as zun-api has it.
#[derive(Debug, Default)]
struct Ledger {
    epoch: i64,
    operations: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    operation: Operation,
    epoch: i64,
    outcome: Option<Outcome>,
    has_replaced: bool,
    /// Whether its container is unknown.
    is_forgotten: bool,
}

impl Ledger {
    fn check(&self, epoch: Epoch) -> Result<(), Problem> {
        if epoch.0 == self.epoch {
            return Ok(());
        }
        Err(Problem::new(Code::StaleEpoch, "stale"))
    }

    fn register(&mut self) -> Epoch {
        for entry in &mut self.operations {
            if entry.outcome.is_none() && entry.operation.change.is_once() {
                entry.outcome = Some(Outcome::Unknown);
            }
        }
        self.epoch += 1;
        Epoch(self.epoch)
    }

    /// The open operations after this number, two at a time.
    fn open(&self, after: i64) -> OpenOperations {
        let open = self.operations.iter().filter(|entry| entry.outcome.is_none());
        let mut further = open.filter(|entry| entry.operation.sequence > after);
        let listed = further
            .by_ref()
            .take(2)
            .map(|entry| Operation { again: entry.epoch != self.epoch, ..entry.operation.clone() });
        let operations: Vec<_> = listed.collect();
        let has_more = further.next().is_some();
        let last = operations.last().filter(|_| has_more).map(|last| last.sequence);
        let newest = i64::try_from(self.operations.len()).expect("few");
        OpenOperations {
            now: Utc::now(),
            operations,
            complete_to: last.unwrap_or(newest),
            has_more,
            digest: None,
            interval: None,
        }
    }

    fn is_rebuilding(&self, container: ContainerId) -> bool {
        let open = self.operations.iter().filter(|entry| entry.outcome.is_none());
        let mut of_container = open.filter(|entry| entry.operation.container == container);
        of_container.any(|entry| matches!(entry.operation.change, Change::Rebuild { .. }))
    }

    fn accept(&mut self, container: ContainerId, change: Change) -> Operation {
        if matches!(change, Change::Delete { .. }) {
            let of_container =
                self.operations.iter_mut().filter(|entry| entry.operation.container == container);
            for entry in of_container.filter(|entry| entry.outcome.is_none()) {
                entry.outcome = Some(Outcome::Expired);
            }
        }
        let former = self.operations.iter().rev();
        let previous = former.map(|entry| &entry.operation).find(|one| one.container == container);
        let operation = Operation {
            id: OperationId::random(),
            sequence: i64::try_from(self.operations.len()).expect("few") + 1,
            previous: previous.map(|one| one.sequence),
            container,
            request: RequestId::random(),
            not_after: None,
            again: false,
            change,
        };
        let epoch = self.epoch;
        let accepted = operation.clone();
        let entry = Entry {
            operation: accepted,
            epoch,
            outcome: None,
            has_replaced: false,
            is_forgotten: false,
        };
        self.operations.push(entry);
        operation
    }

    fn finish(&mut self, outcomes: Vec<OperationOutcome>) {
        for OperationOutcome { operation, outcome, has_replaced } in outcomes {
            let entries = self.operations.iter_mut();
            let found = entries.into_iter().find(|entry| entry.operation.id == operation);
            let entry = found.expect("a known operation");
            (entry.outcome, entry.has_replaced) = (Some(outcome), has_replaced);
        }
    }
}

/// The scripted zun-api.
#[derive(Clone)]
pub(crate) struct Controller {
    received: Arc<Mutex<Received>>,
    changes: watch::Sender<()>,
}

impl Controller {
    /// Starts to serve agents. Which containers are assigned is answered only after [`Controller::answers`].
    pub(crate) async fn start(bus: &Bus, tasks: &Tasks) -> Self {
        let controller = Self { received: Arc::default(), changes: watch::Sender::new(()) };
        let [registers, beats, reports, strays, images, host_images, assigned] =
            [(); 7].map(|()| controller.clone());
        let router = Router::new()
            .on(move |agent: RegisterAgent, _: Incoming| {
                let registered = registers.record(|received| received.register(agent));
                async move { registered }
            })
            .on(move |beat: SendHeartbeat, _: Incoming| {
                let open = beats.record(|received| received.beat(beat));
                async { open }
            })
            .on(move |call: ReportContainer, incoming: Incoming| {
                assert_eq!(incoming.sender, call.host.as_str());
                let stored = reports.record(|received| received.store(call));
                async { stored }
            })
            .on(move |stray: UnknownContainer, _: Incoming| {
                strays.record(|received| received.strays.push(stray));
                async { Ok::<_, Problem>(Done {}) }
            })
            .on(move |call: ReportImage, _: Incoming| {
                if let ImageState::Present(_) = call.state {
                    images.record(|received| received.images += 1);
                }
                async { Ok::<_, Problem>(Done {}) }
            })
            .on(move |call: ReportHostImages, _: Incoming| {
                host_images.record(|received| received.host_images = call.images);
                async { Ok::<_, Problem>(Done {}) }
            })
            .on(move |_: AssignedContainers, _: Incoming| {
                let answer = assigned.record(|received| received.assigned());
                async { answer }
            });
        let deliveries = bus.transport().consume(Route::Controller, 8).await.expect("deliveries");
        Arc::new(router).serve(deliveries, tasks);
        controller
    }

    /// Starts to answer which containers are assigned.
    pub(crate) fn answers(&self) {
        self.record(|received| received.answers = true);
    }

    /// Changes the time limit of an operation.
    pub(crate) fn limit(&self, id: OperationId, not_after: DateTime<Utc>) {
        self.record(|received| {
            let mut entries = received.ledger.operations.iter_mut();
            let entry = entries.find(|entry| entry.operation.id == id);
            entry.expect("a known operation").operation.not_after = Some(not_after);
        });
    }

    /// Whether a failed rebuild has replaced its container.
    pub(crate) fn has_replaced(&self, id: OperationId) -> bool {
        self.record(|received| {
            let mut entries = received.ledger.operations.iter();
            entries.any(|entry| entry.operation.id == id && entry.has_replaced)
        })
    }

    /// Accepts an operation. It is open until a report has its outcome.
    pub(crate) fn accept(&self, container: ContainerId, change: Change) -> PerformOperation {
        self.record(|received| {
            let operation = received.ledger.accept(container, change);
            PerformOperation { epoch: Epoch(received.ledger.epoch), operation }
        })
    }

    /// Waits until the operation has an outcome.
    pub(crate) async fn outcome(&self, operation: OperationId) -> Outcome {
        let found = || {
            let received = self.received.lock().expect("a lock");
            let mut entries = received.ledger.operations.iter();
            entries.find(|entry| entry.operation.id == operation)?.outcome.clone()
        };
        self.eventually(found, || "an outcome".to_owned()).await
    }

    /// The number of images that were reported as present.
    pub(crate) fn reported_images(&self) -> usize {
        self.received.lock().expect("a lock").images
    }

    /// Waits until the host has reported that it has an image.
    pub(crate) async fn until_image(&self, name: &str) {
        let found =
            || self.received.lock().expect("a lock").host_images.contains(name).then_some(());
        self.eventually(found, || format!("the image {name}")).await;
    }

    /// Waits until no operation is open.
    pub(crate) async fn until_all_have_ended(&self) {
        let open = || {
            let received = self.received.lock().expect("a lock");
            received.ledger.operations.iter().all(|entry| entry.outcome.is_some()).then_some(())
        };
        self.eventually(open, || "the end of all operations".to_owned()).await;
    }

    /// Waits until an agent has registered for this epoch or a later one.
    pub(crate) async fn until_epoch(&self, epoch: i64) {
        let reached =
            || (self.received.lock().expect("a lock").ledger.epoch >= epoch).then_some(());
        self.eventually(reached, || format!("epoch {epoch}")).await;
    }

    /// Begins another agent's epoch, and refuses further registrations for now.
    pub(crate) fn take_over(&self) {
        self.refuse_all(Code::Busy);
    }

    /// Begins the epoch of another running agent, and refuses further registrations because of it.
    pub(crate) fn prefer_another(&self) {
        self.refuse_all(Code::Conflict);
    }

    fn refuse_all(&self, code: Code) {
        self.record(|received| {
            received.ledger.register();
            received.refuses = Some(code);
        });
    }

    /// Accepts registrations again.
    pub(crate) fn allow(&self) {
        self.record(|received| received.refuses = None);
    }

    /// Waits until so many registrations were refused.
    pub(crate) async fn until_refused(&self, times: usize) {
        let refused = || (self.received.lock().expect("a lock").refused >= times).then_some(());
        self.eventually(refused, || format!("{times} refused registrations")).await;
    }

    /// Returns the last registration of an agent.
    pub(crate) fn position(&self) -> Option<LedgerPosition> {
        self.received.lock().expect("a lock").position.clone()
    }

    pub(crate) fn epoch(&self) -> i64 {
        self.received.lock().expect("a lock").ledger.epoch
    }

    pub(crate) fn assign(&self, assigned: Vec<AssignedContainer>) {
        self.received.lock().expect("a lock").assigned = assigned;
    }

    /// Returns all reports about a container, in order.
    pub(crate) fn history(&self, container: ContainerId) -> Vec<ContainerReport> {
        self.received.lock().expect("a lock").reports.get(&container).cloned().unwrap_or_default()
    }

    /// Returns the report that zun-api would have in its database.
    pub(crate) fn newest(&self, container: ContainerId) -> Option<ContainerReport> {
        self.history(container).pop()
    }

    /// Loses a container, as a database does that was restored from an older copy.
    pub(crate) fn forget(&self, container: ContainerId) {
        self.record(|received| {
            received.reports.remove(&container);
            received.assigned.retain(|one| one.container != container);
            for entry in &mut received.ledger.operations {
                entry.is_forgotten |= entry.operation.container == container;
            }
        });
    }

    /// Loses all reports of a container, as a database does that was restored from an older copy.
    pub(crate) fn lose_reports(&self, container: ContainerId) {
        self.record(|received| received.reports.remove(&container));
    }

    /// Loses the end of a task, as a database does that was restored from a copy of the time before.
    pub(crate) fn lose_the_end_of(&self, container: ContainerId, task: TaskState) {
        self.record(|received| {
            let reports = received.reports.get_mut(&container);
            reports.and_then(|all| all.last_mut()).expect("a report").task_state = Some(task);
        });
    }

    /// Waits until the newest report has this status and no task state.
    pub(crate) async fn until(&self, container: ContainerId, status: Status) -> ContainerReport {
        let settled =
            |report: &ContainerReport| report.status == status && report.task_state.is_none();
        self.until_report(container, settled).await
    }

    pub(crate) async fn until_report(
        &self,
        container: ContainerId,
        wanted: impl Fn(&ContainerReport) -> bool,
    ) -> ContainerReport {
        let found = || self.newest(container).filter(|report| wanted(report));
        let what = || format!("a report among {:#?}", self.history(container));
        self.eventually(found, what).await
    }

    pub(crate) async fn until_heartbeat(&self, wanted: impl Fn(&Heartbeat) -> bool) -> Heartbeat {
        let last = || self.received.lock().expect("a lock").heartbeats.last().cloned();
        self.eventually(|| last().filter(|beat| wanted(beat)), || format!("after {:?}", last()))
            .await
    }

    pub(crate) async fn until_stray(&self) -> UnknownContainer {
        let first = || self.received.lock().expect("a lock").strays.first().cloned();
        self.eventually(first, || "a stray".to_owned()).await
    }

    async fn eventually<T>(&self, found: impl Fn() -> Option<T>, what: impl Fn() -> String) -> T {
        let mut changes = self.changes.subscribe();
        let waiting = async {
            while found().is_none() {
                changes.changed().await.expect("the controller lives");
            }
            found()
        };
        let within = Duration::from_secs(20);
        tokio::time::timeout(within, waiting)
            .await
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("waited for {}", what()))
    }

    fn record<T>(&self, write: impl FnOnce(&mut Received) -> T) -> T {
        let outcome = write(&mut self.received.lock().expect("a lock"));
        self.changes.send_replace(());
        outcome
    }
}
