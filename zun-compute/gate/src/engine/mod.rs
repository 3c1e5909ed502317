//! What the gate needs of a container engine: its streams, and what happens to its processes.

mod archive;
pub mod docker;
pub mod fake;
mod pid;

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use zun_common::id::{ContainerId, EngineId, ProjectId};
use zun_common::pty::Size;
use zun_common::recording::RecordPolicy;

pub use archive::{ArchiveAnswer, ArchiveError, ArchiveRequest, Bytestream};
pub use pid::exit_of;
pub use zun_common::gate_control::GateTarget as Target;

use crate::session::Process;

/// A target as the engine describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The process.
    pub process: Process,
    /// Whether it is an exec that has ended.
    pub ended: bool,
    /// Whether stdin can be closed without losing output.
    pub stdin_ends: bool,
    /// The process ID on the host, while it runs.
    pub pid: Option<i32>,
    /// If the last start failed: the exit code, and why.
    pub failed_start: Option<(i64, String)>,
    /// When the container's present or last run began, as the engine reports it.
    pub started_at: Option<String>,
    /// Of an exec: its container.
    pub container: Option<EngineId>,
    /// Of a container: what its labels say, if it is Zun's.
    pub owner: Option<Owner>,
}

/// What the labels of a container say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its project.
    pub project: ProjectId,
    /// Its ID.
    pub container: ContainerId,
    /// Its name.
    pub name: String,
    /// Whether its sessions are recorded.
    pub record: RecordPolicy,
}

/// The run of a process that a session shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub struct Run {
    /// Whether the run has begun. Otherwise it is the next one.
    pub running: bool,
    /// When the container's present or last run began, as the engine reports it.
    #[serde(default)]
    pub started_at: Option<String>,
    /// The process ID on the host.
    #[serde(default)]
    pub pid: Option<i32>,
    /// Whether stdin can be closed without losing output.
    pub stdin_ends: bool,
    /// Whether the engine was asked to start it, and the result is not known yet.
    #[serde(default)]
    pub starting: bool,
    /// The project of the container, if the agent has created it.
    #[serde(default)]
    pub project: Option<ProjectId>,
}

impl Inspected {
    /// The present run, or the next one.
    pub fn run(&self) -> Run {
        Run {
            running: self.process.running,
            started_at: self.started_at.clone(),
            pid: self.pid,
            stdin_ends: self.stdin_ends,
            starting: false,
            project: self.owner.as_ref().map(|owner| owner.project.clone()),
        }
    }
}

impl Run {
    /// The run of an exec that the engine was asked to start.
    #[must_use]
    pub fn starting(self) -> Self {
        Self { running: true, starting: true, ..self }
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code.
    pub code: i64,
    /// Whether the kernel killed it because it ran out of memory.
    pub out_of_memory: bool,
    /// Why it could not be started, if so.
    pub failed_start: Option<String>,
    /// Whether the engine starts the container again.
    pub restarts: bool,
}

impl Exit {
    /// The exit of a process that was started, and did not run out of memory.
    pub const fn with_code(code: i64) -> Self {
        Self { code, out_of_memory: false, failed_start: None, restarts: false }
    }
}

/// The stream of a process.
pub struct Opened {
    /// Stdin in one direction; the terminal's output, or Docker's multiplexed output, in the other.
    pub stream: UnixStream,
    /// Output that was read already.
    pub early: Bytes,
    /// The caller notifies this when the output has ended: the engine then knows how the process ended, or will soon.
    pub output_ended: Arc<Notify>,
    /// Completes when the process has exited.
    pub exit: BoxFuture<'static, Result<Exit, EngineError>>,
}

/// The result of the start of an exec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The engine could not start it.
    Failed(Exit),
    /// It runs, or its state is not known yet.
    Running {
        /// Its process ID on the host.
        pid: Option<i32>,
    },
    /// It has already ended, with this result.
    Ended(Exit),
}

/// A signal to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal<'a> {
    /// Its name, such as `SIGTERM`.
    pub name: &'a str,
    /// Its recipients.
    pub to: Recipients,
}

/// Which processes get a signal. In a container, only the main process gets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipients {
    /// The process of the exec.
    Process,
    /// All processes of its process group, as when a terminal is closed.
    Group,
}

/// Why the engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It does not know the target.
    #[error("the engine does not know {0}")]
    NotFound(Target),
    /// The run is over, and the container was started again.
    #[error("{0} was started again")]
    Restarted(Target),
    /// The target's state does not allow it, such as an exec that was started already.
    #[error("the engine cannot {doing}: {message}")]
    Conflict {
        /// What was asked.
        doing: &'static str,
        /// What the engine says.
        message: String,
    },
    /// The engine failed.
    #[error("the engine failed to {doing}: {message}")]
    Failed {
        /// What was asked.
        doing: &'static str,
        /// What the engine says.
        message: String,
    },
    /// The engine cannot be reached.
    #[error("cannot {doing}: no connection to the engine")]
    Unreachable {
        /// What was asked.
        doing: &'static str,
        /// The cause.
        #[source]
        cause: io::Error,
    },
}

/// A container engine.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Inspects a target.
    async fn inspect(&self, target: &Target) -> Result<Inspected, EngineError>;

    /// What the labels of a target's container say. The target was just inspected.
    async fn owner(&self, inspected: &Inspected) -> Result<Option<Owner>, EngineError> {
        match &inspected.container {
            Some(id) => Ok(self.inspect(&Target::Container(id.clone())).await?.owner),
            None => Ok(inspected.owner.clone()),
        }
    }

    /// Opens the stream of a target that was just inspected. A container may be attached to before it is started. For an
    /// exec, asks the engine to start it with a terminal of this size, and returns as soon as there is a stream. The exit of
    /// the process is not missed, even if it follows at once.
    async fn open(
        &self,
        target: &Target,
        inspected: &Inspected,
        size: Option<Size>,
    ) -> Result<Opened, EngineError>;

    /// Waits until an exec has been started. `early` is what was already read from its stream. If the engine cannot start
    /// it, the engine writes the reason to the stream as if it were output. This only peeks at the reason, so a later call
    /// finds it again.
    async fn start_of_exec(
        &self,
        target: &Target,
        stream: &UnixStream,
        (early, tty): (&[u8], bool),
    ) -> Result<Start, EngineError>;

    /// Waits for the exit of a run whose stream a former gate has opened, or finds out how it has ended. Waits while
    /// the engine is unavailable. `output_ended` is notified when the output has ended.
    async fn exit_after_restart(
        &self,
        target: &Target,
        run: &Run,
        output_ended: &Notify,
    ) -> Result<Exit, EngineError>;

    /// Waits until the process has been started, and inspects it. Fails if the container is removed before.
    async fn started(&self, target: &Target) -> Result<Inspected, EngineError>;

    /// Sets the terminal's size.
    async fn resize(&self, target: &Target, size: Size) -> Result<(), EngineError>;

    /// Sends a signal. Its name was checked. Does nothing if an exec has ended.
    async fn signal(&self, target: &Target, signal: Signal<'_>) -> Result<(), EngineError>;

    /// Copies files of a container. The caller limits the time, and the length of what is copied.
    async fn archive(&self, request: ArchiveRequest) -> Result<ArchiveAnswer, ArchiveError>;

    /// Completes if the engine answers.
    async fn ping(&self) -> Result<(), EngineError>;
}

/// Waits for the exit of a run whose stream a former gate has opened.
pub fn exit_after_restart(
    engine: &Arc<dyn Engine>,
    (target, run): (Target, Run),
    output_ended: &Arc<Notify>,
) -> BoxFuture<'static, Result<Exit, EngineError>> {
    let (engine, output_ended) = (Arc::clone(engine), Arc::clone(output_ended));
    Box::pin(async move { engine.exit_after_restart(&target, &run, &output_ended).await })
}
