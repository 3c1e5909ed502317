//! The common ground of container engines: small traits, of which a driver is the sum. Every driver
//! passes the same conformance suite.

pub mod docker;
mod error;
pub mod fake;
mod image_name;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use zun_common::grant::ApiVersion;
use zun_common::id::{ContainerId, EngineId, ExecId};
use zun_common::rpc::container::{ContainerSpec, LogRequest, Logs, Stats, Top};
use zun_common::rpc::exec::{ExecOutput, ExecSpec};
use zun_common::status::Status;
use zun_common::units::{Gibibytes, Resources, TerminalSize};

pub use error::DriverError;

/// The most bytes of output that are kept, of the logs or of each stream of a command.
pub const LARGEST_OUTPUT: usize = 4 << 20;

/// What became of a request that may have been done before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was done now.
    Done,
    /// It was so already.
    Already,
}

/// A container as the engine shows it now.
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerInfo {
    /// Ours.
    pub container: ContainerId,
    /// The engine's identifier.
    pub engine: EngineId,
    /// What it is. The engine's words are already translated.
    pub status: Status,
    /// The engine's own words on an error, such as why it did not start.
    pub reason: Option<String>,
    /// The exit code, once its process ended.
    pub exit_code: Option<i64>,
    /// The kernel killed it for want of memory.
    pub oom_killed: bool,
    /// It has a terminal.
    pub tty: bool,
    /// Its stdin is open.
    pub stdin: bool,
    /// When its process started.
    pub started_at: Option<DateTime<Utc>>,
    /// When its process ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Something happened to one of our containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// Which.
    pub container: ContainerId,
    /// The engine's identifier.
    pub engine: EngineId,
    /// What.
    pub what: EngineEventKind,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineEventKind {
    /// It changed (created, started, died, paused, …): look at it again.
    Changed,
    /// It is gone from the engine.
    Removed,
}

/// How an image comes along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullProgress {
    /// The layer, or the image itself.
    pub layer: String,
    /// The engine's word, such as `Downloading`.
    pub state: String,
    /// Bytes so far and in all, where known.
    pub bytes: Option<(u64, u64)>,
}

/// The engine and its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Such as `docker 20.10.24`.
    pub engine: String,
    /// The newest version of its API.
    pub api_version: ApiVersion,
    /// Processors and memory.
    pub total: Resources,
    /// The disk that containers are on.
    pub disk: Gibibytes,
    /// Such as `x86_64`.
    pub architecture: String,
    /// Such as `linux`.
    pub os_type: String,
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// The kernel's release.
    pub kernel: String,
    /// Its runtimes.
    pub runtimes: Vec<String>,
    /// The authorization plugins that it asks.
    pub authorization: Vec<String>,
}

/// An exec as the engine shows it now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are the engine's")]
pub struct ExecInfo {
    /// The container that it runs in.
    pub engine: EngineId,
    /// It runs.
    pub running: bool,
    /// Its exit code, once it ended.
    pub exit_code: Option<i64>,
    /// It has a terminal.
    pub tty: bool,
    /// It reads stdin.
    pub stdin: bool,
}

/// From the making of a container to its removal. Each is idempotent.
#[async_trait]
pub trait Lifecycle: Send + Sync {
    /// Makes it from an image that is present. One that is there already is taken as made.
    async fn create(
        &self,
        container: ContainerId,
        spec: &ContainerSpec,
    ) -> Result<(EngineId, Change), DriverError>;
    /// Starts it.
    async fn start(&self, container: ContainerId) -> Result<Change, DriverError>;
    /// Stops it: the stop signal, and SIGKILL after the grace (the engine's own where none is given).
    async fn stop(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<Change, DriverError>;
    /// Stops and starts it.
    async fn restart(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<(), DriverError>;
    /// Sends it a signal, such as `SIGTERM`.
    async fn kill(&self, container: ContainerId, signal: &str) -> Result<(), DriverError>;
    /// Freezes it.
    async fn pause(&self, container: ContainerId) -> Result<Change, DriverError>;
    /// Thaws it.
    async fn unpause(&self, container: ContainerId) -> Result<Change, DriverError>;
    /// Changes what it may use, also while it runs.
    async fn update(&self, container: ContainerId, resources: Resources)
    -> Result<(), DriverError>;
    /// Removes it; with `force` whatever it does.
    async fn remove(&self, container: ContainerId, force: bool) -> Result<Change, DriverError>;
}

/// Looking at containers and at the engine.
#[async_trait]
pub trait Inspect: Send + Sync {
    /// One of them.
    async fn inspect(&self, container: ContainerId) -> Result<ContainerInfo, DriverError>;
    /// All that carry our label.
    async fn list(&self) -> Result<Vec<ContainerInfo>, DriverError>;
    /// Waits until its process has ended, and says how. One that does not run is answered at once.
    async fn wait(&self, container: ContainerId) -> Result<i64, DriverError>;
    /// What it printed: the last 4 MiB at most.
    async fn logs(&self, container: ContainerId, request: &LogRequest)
    -> Result<Logs, DriverError>;
    /// Its processes, told of by `ps` with these arguments. One that does not run has none: a conflict.
    async fn top(&self, container: ContainerId, ps_args: Option<&str>) -> Result<Top, DriverError>;
    /// What it uses, measured for a second or two. One that does not run uses nothing.
    async fn stats(&self, container: ContainerId) -> Result<Stats, DriverError>;
    /// What happens to our containers from now on. The stream is live when this returns, and it ends
    /// when the engine goes; then look at all of them again.
    async fn events(&self) -> Result<BoxStream<'static, EngineEvent>, DriverError>;
    /// The engine and its machine. Also the way to see whether it answers.
    async fn engine(&self) -> Result<EngineInfo, DriverError>;
}

/// Consoles and execs.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Sets the size of its terminal.
    async fn resize(&self, container: ContainerId, size: TerminalSize) -> Result<(), DriverError>;
    /// Makes an exec that a client then dials.
    async fn exec_create(
        &self,
        container: ContainerId,
        spec: &ExecSpec,
    ) -> Result<ExecId, DriverError>;
    /// Runs a command to its end. At most 4 MiB of each stream are kept. One that cannot be run is
    /// 127 (not found) or 126 (not executable), with the words on stderr.
    async fn exec_run(
        &self,
        container: ContainerId,
        spec: &ExecSpec,
    ) -> Result<ExecOutput, DriverError>;
    /// An exec.
    async fn exec_inspect(&self, exec: &ExecId) -> Result<ExecInfo, DriverError>;
    /// Sends the process of an exec a signal, such as `SIGTERM`. One that does not run is a conflict.
    async fn exec_signal(&self, exec: &ExecId, signal: &str) -> Result<(), DriverError>;
    /// Sets the size of an exec's terminal.
    async fn exec_resize(&self, exec: &ExecId, size: TerminalSize) -> Result<(), DriverError>;
}

/// Images.
#[async_trait]
pub trait Images: Send + Sync {
    /// Whether the host has it.
    async fn image_present(&self, image: &str) -> Result<bool, DriverError>;
    /// Brings it from its registry. Progress that nobody takes in time is dropped.
    async fn image_pull(
        &self,
        image: &str,
        progress: mpsc::Sender<PullProgress>,
    ) -> Result<(), DriverError>;
}

/// A driver is all of these.
pub trait ContainerDriver: Lifecycle + Inspect + Sessions + Images + 'static {}

impl<T: Lifecycle + Inspect + Sessions + Images + 'static> ContainerDriver for T {}
