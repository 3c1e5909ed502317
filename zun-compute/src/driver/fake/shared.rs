//! The state of the in-memory engine, and its transitions.
//!
//! ```text
//!   create ─▶ Created ─start─▶ Running
//!                                │
//!                                ├─ pause ─▶ Paused ─unpause, any signal─▶ Running
//!                                ├─ exit, with a restart policy ─▶ Restarting ─▶ Running
//!                                └─ other exit, stop, kill ─▶ Stopped ─start─▶ Running
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::{broadcast, mpsc, watch};
use uuid::Uuid;
use zun_common::grant::ApiVersion;
use zun_common::id::{ContainerId, EngineId, ExecId};
use zun_common::shutdown::Tasks;
use zun_common::status::Status;
use zun_common::units::{Cpus, Gibibytes, Mebibytes, Resources};

use super::faults::Faults;
use super::record::{ContainerRecord, Control, ExecRecord, Printed, Process};
use super::shell::{NotRunnable, program};
use super::{FakeDriver, process};
use crate::driver::image_name::ImageName;
use crate::driver::{Change, DriverError, EngineEvent, EngineEventKind, EngineInfo, PullProgress};

/// The maximum number of events that wait for a slow reader.
const EVENTS_HELD: usize = 4096;
/// How long the restart policy waits before a restart.
const RESTART_AFTER: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    events: Mutex<broadcast::Sender<EngineEvent>>,
    pub(super) faults: Faults,
    pub(super) tasks: Tasks,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) containers: HashMap<ContainerId, ContainerRecord>,
    pub(super) execs: HashMap<ExecId, ExecRecord>,
    pub(super) images: BTreeSet<String>,
    pub(super) registry: BTreeMap<String, Vec<PullProgress>>,
    pub(super) engine: EngineInfo,
    runs: u64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            events: Mutex::new(broadcast::Sender::new(EVENTS_HELD)),
            faults: Faults::default(),
            tasks: Tasks::new(),
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            containers: HashMap::new(),
            execs: HashMap::new(),
            images: ["cirros", "busybox"].map(full_name).into(),
            registry: BTreeMap::new(),
            engine: machine(),
            runs: 0,
        }
    }
}

impl State {
    pub(super) fn record(
        &mut self,
        container: ContainerId,
    ) -> Result<&mut ContainerRecord, DriverError> {
        self.containers.get_mut(&container).ok_or(DriverError::NoContainer(container))
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

    /// Records the exit of a process, and then restarts, removes or stops its container.
    pub(super) fn ended(self: &Arc<Self>, container: ContainerId, run: u64, code: i64) {
        let mut state = self.state();
        let Ok(record) = state.record(container) else { return };
        let Some(process) = record.process.take_if(|process| process.run == run) else { return };
        record.exit_code = Some(code);
        record.finished_at = Some(Utc::now());
        let again = should_restart(record, code);
        record.status = if again { Status::Restarting } else { Status::Stopped };
        let removed = record.spec.auto_remove.then(|| record.engine.clone());
        drop(state);
        self.emit(container, EngineEventKind::Changed);
        if let Some(engine) = removed {
            self.state().containers.remove(&container);
            let what = EngineEventKind::Removed;
            self.emit_event(EngineEvent { container, engine, what, exit: None });
        }
        process.ended.send_replace(Some(code));
        if again {
            self.restart_soon(container);
        }
    }

    fn restart_soon(self: &Arc<Self>, container: ContainerId) {
        let shared = Arc::downgrade(self);
        self.tasks.spawn(async move {
            tokio::time::sleep(RESTART_AFTER).await;
            let Some(shared) = shared.upgrade() else { return };
            let waits = |record: &ContainerRecord| record.status == Status::Restarting;
            let due = shared.state().containers.get(&container).is_some_and(waits);
            if due && let Err(error) = shared.launch(container) {
                tracing::debug!(error = %error, "a restart failed");
            }
        });
    }

    /// Starts a container's process.
    pub(super) fn launch(self: &Arc<Self>, container: ContainerId) -> Result<Change, DriverError> {
        let mut state = self.state();
        state.runs += 1;
        let run = state.runs;
        let record = state.record(container)?;
        let steps = match program(&record.words(), &record.shell_context()) {
            Ok(steps) => steps,
            Err(NotRunnable { code, words }) => {
                (record.exit_code, record.reason) = (Some(code), Some(words.clone()));
                return Err(DriverError::NotRunnable { code, words });
            }
        };
        let (control, messages) = mpsc::unbounded_channel();
        let paused = watch::Sender::new(false);
        let process =
            process::Running { run, container, control: messages, paused: paused.subscribe() };
        record.process = Some(Process { run, control, paused, ended: watch::Sender::new(None) });
        record.status = Status::Running;
        (record.exit_code, record.reason, record.oom_killed) = (None, None, false);
        record.stopped_by_user = false;
        record.started_at = Some(Utc::now());
        record.finished_at = None;
        drop(state);
        self.emit(container, EngineEventKind::Changed);
        self.tasks.spawn(process.run_steps(Arc::downgrade(self), steps));
        Ok(Change::Done)
    }
}

impl FakeDriver {
    pub(super) fn fresh_id<T: std::str::FromStr>() -> Result<T, DriverError>
    where
        T::Err: std::fmt::Display,
    {
        let hex = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        hex.parse().map_err(|error: T::Err| DriverError::Engine {
            doing: "create an id",
            words: error.to_string(),
        })
    }

    pub(super) fn engine_id() -> Result<EngineId, DriverError> {
        Self::fresh_id()
    }
}

/// Returns the name with its tag, or the text itself if it is not a valid name.
pub(super) fn full_name(image: &str) -> String {
    image.parse::<ImageName>().map_or_else(|_invalid| image.to_owned(), |name| name.to_string())
}

fn should_restart(record: &mut ContainerRecord, code: i64) -> bool {
    let Some(policy) = record.spec.restart.as_ref() else { return false };
    let most = policy.maximum_retry_count.parse().unwrap_or(0);
    let again = match policy.name.as_str() {
        "always" | "unless-stopped" => true,
        "on-failure" => code != 0 && (most == 0 || record.restarts < most),
        _ => false,
    };
    if again && !record.stopped_by_user {
        record.restarts += 1;
    }
    again && !record.stopped_by_user
}

fn machine() -> EngineInfo {
    EngineInfo {
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
