//! An engine in memory, for tests: it keeps Docker's rules, runs a few shell words as processes, and can
//! be told to fail, to stall, to go down, and to do to a container what a person at the engine could do.
//!
//! Unlike a first process under Linux, one of its processes ends at SIGTERM unless it traps it.

mod faults;
mod images;
mod inspect;
mod lifecycle;
mod process;
mod record;
mod sessions;
mod shared;
mod shell;
mod signal;

use std::sync::Arc;

use zun_common::id::{ContainerId, ExecId};
use zun_common::rpc::container::ContainerSpec;
use zun_common::rpc::exec::ExecSpec;
use zun_common::units::TerminalSize;

use super::{DriverError, EngineEventKind, EngineInfo, PullProgress};
use record::Printed;
use shared::Shared;

pub use faults::{Operation, Stall};
pub use record::Stream;

/// The engine in memory. Clones are the same engine.
#[derive(Debug, Clone, Default)]
pub struct FakeDriver {
    shared: Arc<Shared>,
}

impl FakeDriver {
    /// An engine with the images `cirros:latest` and `busybox:latest` and no container.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every operation so far, in the order in which they began.
    pub fn calls(&self) -> Vec<(Operation, Option<ContainerId>)> {
        self.shared.faults.calls()
    }

    /// The next such operation fails, and does nothing.
    pub fn fail_next(&self, operation: Operation, error: DriverError) {
        self.shared.faults.fail_next(operation, error);
    }

    /// The next such operation does its work, and its answer is lost.
    pub fn lose_next_answer(&self, operation: Operation) {
        self.shared.faults.lose_next_answer(operation);
    }

    /// Such operations wait before their work until the guard is dropped.
    pub fn stall(&self, operation: Operation) -> Stall {
        self.shared.faults.stall(operation)
    }

    /// The engine answers nothing and its events end. Containers go on.
    pub fn go_down(&self) {
        self.shared.faults.set_up(false);
        self.shared.end_events();
    }

    /// The engine answers again.
    pub fn come_up(&self) {
        self.shared.faults.set_up(true);
    }

    /// What the engine says of itself and its machine from now on.
    pub fn set_engine(&self, info: EngineInfo) {
        self.shared.state().engine = info;
    }

    /// The engine has this image.
    pub fn add_image(&self, image: &str) {
        self.shared.state().images.insert(shared::full_name(image));
    }

    /// The engine has this image no more.
    pub fn remove_image(&self, image: &str) {
        self.shared.state().images.remove(&shared::full_name(image));
    }

    /// A registry has this image; a pull shows these steps.
    pub fn offer_image(&self, image: &str, steps: Vec<PullProgress>) {
        self.shared.state().registry.insert(shared::full_name(image), steps);
    }

    /// A running container prints something.
    pub fn print(&self, container: ContainerId, stream: Stream, bytes: &[u8]) {
        self.shared.print(container, Printed::now(stream, bytes));
    }

    /// A running container's process ends by itself. Says whether there was one.
    pub fn exit(&self, container: ContainerId, code: i64) -> bool {
        self.shared.exit(container, code)
    }

    /// The kernel kills a running container's process for want of memory. Says whether there was one.
    pub fn run_out_of_memory(&self, container: ContainerId) -> bool {
        if let Some(record) = self.shared.state().containers.get_mut(&container) {
            record.oom_killed = true;
        }
        self.shared.emit(container, EngineEventKind::Changed);
        self.shared.exit(container, 137)
    }

    /// A container is gone, and nobody tells of it.
    pub fn vanish(&self, container: ContainerId) -> bool {
        self.shared.state().containers.remove(&container).is_some()
    }

    /// What a container was made of.
    pub fn spec(&self, container: ContainerId) -> Option<ContainerSpec> {
        self.shared.state().containers.get(&container).map(|record| record.spec.clone())
    }

    /// The size that a container's terminal has.
    pub fn terminal_size(&self, container: ContainerId) -> Option<TerminalSize> {
        self.shared.state().containers.get(&container).and_then(|record| record.size)
    }

    /// What an exec was made of.
    pub fn exec_spec(&self, exec: &ExecId) -> Option<ExecSpec> {
        self.shared.state().execs.get(exec).map(|record| record.spec.clone())
    }

    /// A client dials an exec: it runs from now on. Says whether it could.
    pub fn start_exec(&self, exec: &ExecId) -> bool {
        match self.shared.state().execs.get_mut(exec) {
            Some(record) if record.exit_code.is_none() => {
                record.running = true;
                true
            }
            Some(_) | None => false,
        }
    }

    /// An exec that runs ends.
    pub fn end_exec(&self, exec: &ExecId, code: i64) {
        if let Some(record) = self.shared.state().execs.get_mut(exec) {
            record.running = false;
            record.exit_code = Some(code);
        }
    }
}
