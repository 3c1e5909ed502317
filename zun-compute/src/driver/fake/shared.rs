//! The state of the in-memory engine. `lifecycle.rs` and `runs.rs` change it.
//!
//! ```text
//!   create ─▶ Created ─start─▶ Running
//!                                │
//!                                ├─ pause ─▶ Paused ─unpause, any signal─▶ Running
//!                                ├─ exit, with a restart policy ─▶ Restarting ─▶ Running
//!                                └─ other exit, stop, kill ─▶ Stopped ─start─▶ Running
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};
use zun_common::environment::{self, random_uuid};
use zun_common::grant::ApiVersion;
use zun_common::id::{ContainerId, EngineId, ExecId, ProjectId, ResourceId};
use zun_common::image_name::ImageName;
use zun_common::ports::ContainerPort;
use zun_common::resource::ResourceKind;
use zun_common::shutdown::Tasks;
use zun_common::units::{Cpus, Gibibytes, Mebibytes, Resources};

use super::faults::Faults;
use super::output::Printed;
use super::record::{ContainerRecord, Control, ExecRecord};
use crate::driver::{
    Change, DriverError, EngineEvent, EngineEventKind, EngineInfo, ProcessExit, PullProgress,
};

/// The maximum number of events that wait for a slow reader.
const EVENTS_HELD: usize = 4096;

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    events: Mutex<broadcast::Sender<EngineEvent>>,
    pub(super) image_changes: watch::Sender<()>,
    pub(super) faults: Faults,
    pub(super) tasks: Tasks,
    /// The runtime of the processes, which outlive an agent with its own runtime. `None` if the engine was created
    /// outside of a runtime.
    pub(super) runtime: Option<Handle>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) containers: BTreeMap<ContainerId, ContainerRecord>,
    /// The old containers of rebuilds.
    pub(super) old: BTreeMap<ContainerId, ContainerRecord>,
    pub(super) execs: HashMap<ExecId, ExecRecord>,
    pub(super) images: BTreeSet<String>,
    /// Images that were created from containers, and the projects of these.
    pub(super) committed: BTreeMap<String, ProjectId>,
    pub(super) image_ports: BTreeMap<String, Vec<ContainerPort>>,
    pub(super) registry: BTreeMap<String, Vec<PullProgress>>,
    pub(super) resources: HashSet<(ResourceKind, ResourceId)>,
    pub(super) engine: EngineInfo,
    pub(super) runs: u64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            events: Mutex::new(broadcast::Sender::new(EVENTS_HELD)),
            image_changes: watch::Sender::default(),
            faults: Faults::default(),
            tasks: Tasks::new(),
            runtime: Handle::try_current().ok(),
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            containers: BTreeMap::new(),
            old: BTreeMap::new(),
            execs: HashMap::new(),
            images: ["cirros", "busybox"].map(full_name).into(),
            committed: BTreeMap::new(),
            image_ports: BTreeMap::new(),
            registry: BTreeMap::new(),
            resources: HashSet::new(),
            engine: machine(),
            runs: 0,
        }
    }
}

impl State {
    pub(super) fn rename_to_old(
        &mut self,
        container: ContainerId,
        engine: &EngineId,
    ) -> Result<Change, DriverError> {
        if self.record(container)?.engine != *engine {
            return Err(DriverError::NoContainer(container));
        }
        if self.old.contains_key(&container) {
            let words = "the name is already in use".to_owned();
            return Err(DriverError::Engine { doing: "rename the old container", words });
        }
        let record = self.containers.remove(&container);
        self.old.extend(record.map(|record| (container, record)));
        Ok(Change::Done)
    }

    pub(super) fn restore_old(&mut self, container: ContainerId) -> Result<Change, DriverError> {
        if !self.old.contains_key(&container) {
            return Ok(Change::Already);
        }
        if self.containers.contains_key(&container) {
            let words = "the name is already in use".to_owned();
            return Err(DriverError::Engine { doing: "rename the old container", words });
        }
        self.containers.extend(self.old.remove_entry(&container));
        Ok(Change::Done)
    }

    pub(super) fn record(
        &mut self,
        container: ContainerId,
    ) -> Result<&mut ContainerRecord, DriverError> {
        self.containers.get_mut(&container).ok_or(DriverError::NoContainer(container))
    }

    pub(super) fn old_record(
        &mut self,
        container: ContainerId,
    ) -> Result<&mut ContainerRecord, DriverError> {
        self.old.get_mut(&container).ok_or(DriverError::NoContainer(container))
    }

    /// The container of this run, which a rebuild may have renamed since.
    pub(super) fn record_of_run(
        &mut self,
        (container, run): (ContainerId, u64),
    ) -> Option<&mut ContainerRecord> {
        let records = [self.containers.get_mut(&container), self.old.get_mut(&container)];
        let has_run = |record: &&mut ContainerRecord| {
            record.process.as_ref().is_some_and(|process| process.run == run)
        };
        records.into_iter().flatten().find(has_run)
    }

    pub(super) fn exec(&mut self, exec: &ExecId) -> Result<&mut ExecRecord, DriverError> {
        self.execs.get_mut(exec).ok_or_else(|| DriverError::NoExec(exec.clone()))
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<EngineEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).subscribe()
    }

    /// Ends every subscription.
    pub(super) fn end_events(&self) {
        *self.events.lock().unwrap_or_else(PoisonError::into_inner) =
            broadcast::Sender::new(EVENTS_HELD);
    }

    /// Emits an event of a container, if it still exists.
    pub(super) fn emit(&self, container: ContainerId, what: EngineEventKind) {
        let engine = self.state().containers.get(&container).map(|record| record.engine.clone());
        if let Some(engine) = engine {
            self.emit_event(EngineEvent { container, engine, what, exit: None });
        }
    }

    /// Emits the event of an exit, unless it is the old container of a rebuild.
    pub(super) fn emit_exit(&self, (container, engine): (ContainerId, &EngineId), code: i64) {
        let named = self.state().containers.get(&container).map(|record| record.engine.clone());
        if let Some(engine) = named.filter(|named| named == engine) {
            let exit = Some(ProcessExit { code, at: environment::now() });
            let what = EngineEventKind::Changed;
            self.emit_event(EngineEvent { container, engine, what, exit });
        }
    }

    pub(super) fn emit_event(&self, event: EngineEvent) {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.send(event).is_err() {
            tracing::trace!("nobody has subscribed to the engine's events");
        }
    }

    pub(super) fn print(&self, container: ContainerId, printed: Printed) {
        if let Ok(record) = self.state().record(container) {
            record.print(printed);
        }
    }

    /// Makes a running process exit. Returns whether there was one.
    pub(super) fn exit(&self, container: ContainerId, code: i64) -> bool {
        let process = self.state().containers.get(&container).and_then(|r| r.process.clone());
        process.is_some_and(|process| process.control.send(Control::Exit(code)).is_ok())
    }
}

pub(super) fn fresh_id<T: std::str::FromStr>() -> Result<T, DriverError>
where
    T::Err: std::fmt::Display,
{
    let hex = format!("{}{}", random_uuid().simple(), random_uuid().simple());
    hex.parse().map_err(|error: T::Err| DriverError::Engine {
        doing: "create an id",
        words: error.to_string(),
    })
}

/// Returns the name with its tag, or the text itself if it is not a valid name.
pub(super) fn full_name(image: &str) -> String {
    image.parse::<ImageName>().map_or_else(|_invalid| image.to_owned(), |name| name.to_string())
}

fn machine() -> EngineInfo {
    EngineInfo {
        id: random_uuid().to_string(),
        data: "memory".to_owned(),
        engine: "fake 1".to_owned(),
        api_version: ApiVersion { major: 1, minor: 41 },
        total: Resources { cpus: Cpus::from_millis(8000), memory: Mebibytes(16 << 10) },
        disk: Gibibytes(100),
        architecture: "x86_64".to_owned(),
        os_type: "linux".to_owned(),
        os: "An in-memory engine".to_owned(),
        kernel: "0".to_owned(),
        runtimes: vec!["fake".to_owned()],
        authorization: vec!["zun-authz".to_owned()],
    }
}
