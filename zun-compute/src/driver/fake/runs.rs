//! The runs of containers: how they begin, end and repeat.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use zun_common::environment;
use zun_common::id::ContainerId;
use zun_common::restart::Restart;
use zun_common::status::Status;

use super::process;
use super::record::{ContainerRecord, Process};
use super::shared::{Shared, State};
use super::shell::{NotRunnable, program};
use crate::driver::{Change, DriverError, EngineEventKind};

/// How long the restart policy waits before a restart.
const RESTART_AFTER: Duration = Duration::from_millis(100);

impl Shared {
    /// Records the exit of a process, and then restarts or stops its container.
    pub(super) fn ended(self: &Arc<Self>, container: ContainerId, run: u64, code: i64) {
        let mut state = self.state();
        let Some(record) = state.record_of_run((container, run)) else { return };
        let Some(process) = record.process.take_if(|process| process.run == run) else { return };
        record.exit_code = Some(code);
        record.finished_at = Some(environment::now());
        let again = should_restart(record, code);
        record.status = if again { Status::Restarting } else { Status::Stopped };
        let engine = record.engine.clone();
        drop(state);
        self.emit_exit((container, &engine), code);
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
        let launched = self.launch_in(container, State::record)?;
        self.emit(container, EngineEventKind::Started);
        Ok(launched)
    }

    /// Starts the process of the old container, which causes no event.
    pub(super) fn launch_old(
        self: &Arc<Self>,
        container: ContainerId,
    ) -> Result<Change, DriverError> {
        self.launch_in(container, State::old_record)
    }

    fn launch_in(
        self: &Arc<Self>,
        container: ContainerId,
        record: fn(&mut State, ContainerId) -> Result<&mut ContainerRecord, DriverError>,
    ) -> Result<Change, DriverError> {
        let mut state = self.state();
        state.runs += 1;
        let run = state.runs;
        let record = record(&mut state, container)?;
        let steps = match program(&record.words(), &record.shell_context()) {
            Ok(steps) => steps,
            Err(NotRunnable { code, words }) => {
                (record.exit_code, record.reason) = (Some(code), Some(words.clone()));
                return Err(DriverError::NotRunnable { code, words });
            }
        };
        let (control, messages) = mpsc::unbounded_channel();
        let paused = watch::Sender::new(false);
        let process = process::Running { container, control: messages, paused: paused.subscribe() };
        record.process = Some(Process { run, control, paused, ended: watch::Sender::new(None) });
        record.status = Status::Running;
        (record.exit_code, record.reason, record.oom_killed) = (None, None, false);
        record.stopped_by_user = false;
        record.started_at = Some(environment::now());
        record.raw_started = Some(format!("run {run}"));
        record.finished_at = None;
        drop(state);
        let engine = Arc::downgrade(self);
        let _here = self.runtime.as_ref().map(Handle::enter);
        self.tasks.spawn(async move {
            let code = process.perform(&engine, steps).await;
            // Without an event if the engine was dropped.
            if let Some(engine) = engine.upgrade() {
                engine.ended(container, run, code);
            }
        });
        Ok(Change::Done)
    }
}

fn should_restart(record: &mut ContainerRecord, code: i64) -> bool {
    let again = match record.spec.restart {
        Some(Restart::Always | Restart::UnlessStopped) => true,
        Some(Restart::OnFailure { retries }) => {
            code != 0 && (retries == 0 || record.restarts < retries)
        }
        Some(Restart::No) | None => false,
    };
    if again && !record.stopped_by_user {
        record.restarts += 1;
    }
    again && !record.stopped_by_user
}
