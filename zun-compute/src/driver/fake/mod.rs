//! An in-memory engine for tests. It follows Docker's rules and runs a few shell commands as processes. Tests can make
//! it fail, stall or go down, and change containers behind the agent's back.
//!
//! Unlike the first process of a Linux container, its processes end at SIGTERM unless they trap it.

mod faults;
mod files;
mod images;
mod inspect;
mod lifecycle;
mod output;
mod process;
mod record;
mod resources;
mod runs;
mod sessions;
mod shared;
mod shell;
mod signal;

use std::sync::Arc;

use zun_common::id::{ContainerId, ExecId};
use zun_common::ports::ContainerPort;
use zun_common::rpc::container::ContainerSpec;
use zun_common::rpc::exec::ExecSpec;
use zun_common::units::TerminalSize;

use super::{DriverError, EngineEventKind, EngineInfo, PullProgress};
use output::Printed;
use shared::Shared;

pub use faults::{InspectionFault, Operation, Stall};
pub use output::Stream;

/// The in-memory engine. Clones share the same engine.
#[derive(Debug, Clone, Default)]
pub struct FakeDriver {
    shared: Arc<Shared>,
}

impl FakeDriver {
    /// Creates an engine with the images `cirros:latest` and `busybox:latest` and no container.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns every operation so far, in the order in which they began.
    pub fn calls(&self) -> Vec<(Operation, Option<ContainerId>)> {
        self.shared.faults.calls()
    }

    /// Makes the next operation of this kind fail without effect.
    pub fn fail_next(&self, operation: Operation, error: DriverError) {
        self.shared.faults.fail_next(operation, error);
    }

    /// Makes the next operation of this kind take effect and then lose its answer.
    pub fn lose_next_answer(&self, operation: Operation) {
        self.shared.faults.lose_next_answer(operation);
    }

    /// Stalls operations of this kind before they take effect, until the guard is dropped.
    pub fn stall(&self, operation: Operation) -> Stall {
        self.shared.faults.stall(operation)
    }

    /// Breaks every inspection of this container, also in a listing, until the guard is dropped.
    pub fn break_inspection(&self, container: ContainerId, fault: InspectionFault) -> Stall {
        self.shared.faults.break_inspection(container, fault)
    }

    /// Takes the engine down: it does not answer, and its event streams end. Containers keep running.
    pub fn go_down(&self) {
        self.shared.faults.set_engine_up(false);
        self.shared.end_events();
    }

    /// Brings the engine up again.
    pub fn come_up(&self) {
        self.shared.faults.set_engine_up(true);
    }

    /// Sets what the engine reports about itself and its machine.
    pub fn set_engine(&self, info: EngineInfo) {
        self.shared.state().engine = info;
    }

    /// Adds an image to the engine.
    pub fn add_image(&self, image: &str) {
        self.shared.state().images.insert(shared::full_name(image));
        self.shared.image_changes.send_replace(());
    }

    /// Sets the ports that an image exposes.
    pub fn expose_ports(&self, image: &str, ports: Vec<ContainerPort>) {
        self.shared.state().image_ports.insert(shared::full_name(image), ports);
    }

    /// Removes an image from the engine.
    pub fn remove_image(&self, image: &str) {
        self.shared.state().images.remove(&shared::full_name(image));
        self.shared.image_changes.send_replace(());
    }

    /// Adds an image to the registry. A pull reports these steps.
    pub fn offer_image(&self, image: &str, steps: Vec<PullProgress>) {
        self.shared.state().registry.insert(shared::full_name(image), steps);
    }

    /// Makes a container print something.
    pub fn print(&self, container: ContainerId, stream: Stream, bytes: &[u8]) {
        self.shared.print(container, Printed::now(stream, bytes));
    }

    /// Ends a running container's process. Returns whether there was one.
    pub fn exit(&self, container: ContainerId, code: i64) -> bool {
        self.shared.exit(container, code)
    }

    /// Kills a running container's process as out of memory. Returns whether there was one.
    pub fn run_out_of_memory(&self, container: ContainerId) -> bool {
        if let Some(record) = self.shared.state().containers.get_mut(&container) {
            record.oom_killed = true;
        }
        self.shared.emit(container, EngineEventKind::Changed);
        self.shared.exit(container, 137)
    }

    /// Removes a container without an event. Returns whether it existed.
    pub fn vanish(&self, container: ContainerId) -> bool {
        self.shared.state().containers.remove(&container).is_some()
    }

    /// Whether a rebuild has renamed a container.
    pub fn has_old(&self, container: ContainerId) -> bool {
        self.shared.state().old.contains_key(&container)
    }

    /// Returns the specification of a container.
    pub fn spec(&self, container: ContainerId) -> Option<ContainerSpec> {
        self.shared.state().containers.get(&container).map(|record| record.spec.clone())
    }

    /// Returns the size of a container's terminal.
    pub fn terminal_size(&self, container: ContainerId) -> Option<TerminalSize> {
        self.shared.state().containers.get(&container).and_then(|record| record.size)
    }

    /// Returns the specification of an exec.
    pub fn exec_spec(&self, exec: &ExecId) -> Option<ExecSpec> {
        self.shared.state().execs.get(exec).map(|record| record.spec.clone())
    }

    /// Starts an exec, as a client that dials it. Returns whether it could be started.
    pub fn start_exec(&self, exec: &ExecId) -> bool {
        match self.shared.state().execs.get_mut(exec) {
            Some(record) if record.exit_code.is_none() => {
                record.running = true;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Ends a running exec.
    pub fn end_exec(&self, exec: &ExecId, code: i64) {
        if let Some(record) = self.shared.state().execs.get_mut(exec) {
            record.running = false;
            record.exit_code = Some(code);
        }
    }
}
