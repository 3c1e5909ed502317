//! The life cycle of containers in the in-memory engine.

use std::collections::btree_map::Entry;
use std::time::Duration;

use async_trait::async_trait;
use zun_common::id::{ContainerId, EngineId};
use zun_common::rpc::container::ContainerSpec;
use zun_common::status::Status;
use zun_common::units::Resources;

use super::FakeDriver;
use super::faults::Operation;
use super::record::{ContainerRecord, Control, Process};
use super::shared::{self, State};
use super::signal::Signal;
use crate::driver::docker::to_docker;
use crate::driver::{Change, DriverError, EngineEvent, EngineEventKind, Lifecycle};

const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Finds a container under its own name or that of an old container.
type Find = fn(&mut State, ContainerId) -> Result<&mut ContainerRecord, DriverError>;

#[async_trait]
impl Lifecycle for FakeDriver {
    async fn create(
        &self,
        container: ContainerId,
        spec: &ContainerSpec,
    ) -> Result<(EngineId, Change), DriverError> {
        let work = async { self.create_container(container, spec) };
        self.shared.faults.perform(Operation::Create, Some(container), work).await
    }

    async fn start(&self, container: ContainerId) -> Result<Change, DriverError> {
        let work = async {
            let status = self.shared.state().record(container)?.status;
            if status == Status::Paused {
                return Err(conflict("cannot start a paused container, try unpause instead"));
            }
            if matches!(status, Status::Running | Status::Restarting) {
                return Ok(Change::Already);
            }
            self.shared.launch(container)
        };
        self.shared.faults.perform(Operation::Start, Some(container), work).await
    }

    async fn stop(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<Change, DriverError> {
        let work = self.stop_container((container, State::record), grace);
        self.shared.faults.perform(Operation::Stop, Some(container), work).await
    }

    async fn restart(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<(), DriverError> {
        let work = async {
            self.stop_container((container, State::record), grace).await?;
            self.shared.launch(container).map(|_started| ())
        };
        self.shared.faults.perform(Operation::Restart, Some(container), work).await
    }

    async fn kill(&self, container: ContainerId, signal: &str) -> Result<(), DriverError> {
        let work = async {
            let signal = Signal::parse(signal)?;
            if self.stopped_between_runs((container, State::record))? {
                return Ok(());
            }
            match self.signal((container, State::record), signal)? {
                Some(_process) => Ok(()),
                None => Err(conflict(&format!("Container {container} is not running"))),
            }
        };
        self.shared.faults.perform(Operation::Kill, Some(container), work).await
    }

    async fn pause(&self, container: ContainerId) -> Result<Change, DriverError> {
        let pausing = (Status::Running, Status::Paused);
        let work = async { self.pause_or_unpause(container, pausing) };
        self.shared.faults.perform(Operation::Pause, Some(container), work).await
    }

    async fn unpause(&self, container: ContainerId) -> Result<Change, DriverError> {
        let unpausing = (Status::Paused, Status::Running);
        let work = async { self.pause_or_unpause(container, unpausing) };
        self.shared.faults.perform(Operation::Unpause, Some(container), work).await
    }

    async fn update(
        &self,
        container: ContainerId,
        resources: Resources,
    ) -> Result<(), DriverError> {
        let work = async {
            self.shared.state().record(container)?.spec.resources = resources;
            Ok(())
        };
        self.shared.faults.perform(Operation::Update, Some(container), work).await
    }

    async fn remove(&self, container: ContainerId, force: bool) -> Result<Change, DriverError> {
        let work = async { self.remove_container(container, force) };
        self.shared.faults.perform(Operation::Remove, Some(container), work).await
    }

    async fn rename_to_old(
        &self,
        container: ContainerId,
        engine: &EngineId,
    ) -> Result<Change, DriverError> {
        let work = async { self.shared.state().rename_to_old(container, engine) };
        self.shared.faults.perform(Operation::RenameToOld, Some(container), work).await
    }

    async fn stop_old(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<Change, DriverError> {
        let work = self.stop_container((container, State::old_record), grace);
        self.shared.faults.perform(Operation::StopOld, Some(container), work).await
    }

    async fn start_old(&self, container: ContainerId) -> Result<Change, DriverError> {
        let work = async {
            let status = self.shared.state().old_record(container)?.status;
            if matches!(status, Status::Running | Status::Restarting) {
                return Ok(Change::Already);
            }
            self.shared.launch_old(container)
        };
        self.shared.faults.perform(Operation::StartOld, Some(container), work).await
    }

    async fn restore_old(&self, container: ContainerId) -> Result<Change, DriverError> {
        let work = async {
            let restored = self.shared.state().restore_old(container)?;
            self.shared.emit(container, EngineEventKind::Changed);
            Ok(restored)
        };
        self.shared.faults.perform(Operation::RestoreOld, Some(container), work).await
    }

    async fn remove_old(&self, container: ContainerId) -> Result<Change, DriverError> {
        let work = async {
            let removed = self.shared.state().old.remove(&container);
            Ok(if removed.is_some() { Change::Done } else { Change::Already })
        };
        self.shared.faults.perform(Operation::RemoveOld, Some(container), work).await
    }
}

impl FakeDriver {
    fn create_container(
        &self,
        container: ContainerId,
        spec: &ContainerSpec,
    ) -> Result<(EngineId, Change), DriverError> {
        // The conversion refuses the same fields as the Docker driver.
        to_docker::container(container, spec)?;
        let mut state = self.shared.state();
        if let Some(record) = state.containers.get(&container) {
            return Ok((record.engine.clone(), Change::Already));
        }
        if !state.images.contains(&shared::full_name(&spec.image)) {
            return Err(DriverError::NoImage(spec.image.clone()));
        }
        let engine: EngineId = shared::fresh_id()?;
        state.containers.insert(container, ContainerRecord::new(engine.clone(), spec.clone()));
        drop(state);
        self.shared.emit(container, EngineEventKind::Changed);
        Ok((engine, Change::Done))
    }

    /// Sends a running process a signal, which also unpauses it. `None` if no process is running.
    fn signal(
        &self,
        (container, record): (ContainerId, Find),
        signal: Signal,
    ) -> Result<Option<Process>, DriverError> {
        let mut state = self.shared.state();
        let record = record(&mut state, container)?;
        let Some(process) = record.process.clone() else { return Ok(None) };
        record.stopped_by_user |= signal.exit_code().is_some();
        record.status = Status::Running;
        drop(state);
        process.paused.send_replace(false);
        if process.control.send(Control::Signal(signal)).is_err() {
            tracing::trace!("a signal arrived after the process exited");
        }
        Ok(Some(process))
    }

    /// Stops a container that waits for its restart. Returns whether it did wait.
    fn stopped_between_runs(
        &self,
        (container, record): (ContainerId, Find),
    ) -> Result<bool, DriverError> {
        let mut state = self.shared.state();
        let record = record(&mut state, container)?;
        let restarts = record.status == Status::Restarting;
        if restarts {
            record.status = Status::Stopped;
        }
        Ok(restarts)
    }

    async fn stop_container(
        &self,
        (container, record): (ContainerId, Find),
        grace: Option<Duration>,
    ) -> Result<Change, DriverError> {
        if self.stopped_between_runs((container, record))? {
            return Ok(Change::Done);
        }
        let signal = {
            let mut state = self.shared.state();
            let record = record(&mut state, container)?;
            match record.spec.stop_signal.as_deref() {
                Some(name) => Signal::parse(name)?,
                None => Signal::TERM,
            }
        };
        let Some(process) = self.signal((container, record), signal)? else {
            return Ok(Change::Already);
        };
        let grace = grace.unwrap_or(DEFAULT_GRACE);
        if tokio::time::timeout(grace, process.exit_code()).await.is_err() {
            if process.control.send(Control::Signal(Signal::KILL)).is_err() {
                tracing::trace!("a SIGKILL arrived after the process exited");
            }
            process.exit_code().await;
        }
        self.shared.emit(container, EngineEventKind::Changed);
        Ok(Change::Done)
    }

    fn pause_or_unpause(
        &self,
        container: ContainerId,
        (from, to): (Status, Status),
    ) -> Result<Change, DriverError> {
        let mut state = self.shared.state();
        let record = state.record(container)?;
        if record.status == to {
            return Ok(Change::Already);
        }
        if record.status != from {
            return Err(conflict(&format!("Container {container} is {}", record.status)));
        }
        record.status = to;
        if let Some(process) = &record.process {
            process.paused.send_replace(to == Status::Paused);
        }
        drop(state);
        self.shared.emit(container, EngineEventKind::Changed);
        Ok(Change::Done)
    }

    fn remove_container(&self, container: ContainerId, force: bool) -> Result<Change, DriverError> {
        let mut state = self.shared.state();
        let Entry::Occupied(entry) = state.containers.entry(container) else {
            return Ok(Change::Already);
        };
        if entry.get().is_active() && !force {
            return Err(conflict(&format!("You cannot remove a running container {container}")));
        }
        let ContainerRecord { engine, process, .. } = entry.remove();
        state.execs.retain(|_, exec| exec.container != container);
        drop(state);
        if let Some(process) = process {
            let what = EngineEventKind::Changed;
            self.shared.emit_event(EngineEvent {
                container,
                engine: engine.clone(),
                what,
                exit: None,
            });
            process.ended.send_replace(Signal::KILL.exit_code());
        }
        let what = EngineEventKind::Removed;
        self.shared.emit_event(EngineEvent { container, engine, what, exit: None });
        Ok(Change::Done)
    }
}

fn conflict(words: &str) -> DriverError {
    DriverError::Conflict { words: words.to_owned() }
}
