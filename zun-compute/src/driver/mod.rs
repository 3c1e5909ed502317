//! The interface to container engines: small traits that a driver implements together. Every driver passes the same
//! conformance suite.

pub mod docker;
mod error;
pub mod fake;
mod listing;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use zun_common::grant::ApiVersion;
use zun_common::id::{
    ClusterId, ContainerId, EngineId, ExecId, OperationId, ProjectId, ResourceId,
};
use zun_common::ports::ContainerPort;
use zun_common::resource::{NamedNetwork, ResourceKind};
use zun_common::rpc::container::{ContainerSpec, LogRequest, Logs, Stats, Top};
use zun_common::rpc::exec::{ExecOutput, ExecSpec};
use zun_common::rpc::files::{Archive, FileChange};
use zun_common::rpc::image::{FoundImage, PulledImage};
use zun_common::rpc::registry::RegistryLogin;
use zun_common::rpc::report::LiveState;
use zun_common::status::Status;
use zun_common::units::{Gibibytes, Resources, TerminalSize};

pub use error::DriverError;

/// The maximum length of the logs, and of each output stream of a command, in bytes.
pub const LARGEST_OUTPUT: usize = 4 << 20;

/// The result of an idempotent change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The driver made the change.
    Done,
    /// There was nothing to change.
    Already,
}

/// A container's current state in the engine.
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerInfo {
    /// Zun's ID of the container.
    pub container: ContainerId,
    /// The engine's ID of the container.
    pub engine: EngineId,
    /// The status, converted from the engine's.
    pub status: Status,
    /// The engine's message about an error, such as why the container did not start.
    pub reason: Option<String>,
    /// The exit code, after the process has exited.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed the process because it was out of memory.
    pub oom_killed: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its stdin is open.
    pub stdin: bool,
    /// When its process started.
    pub started_at: Option<DateTime<Utc>>,
    /// The engine's text for this time. It differs for each run, except that an engine that crashed may show the text
    /// of the run before.
    pub raw_started: Option<String>,
    /// When its process exited.
    pub finished_at: Option<DateTime<Utc>>,
    /// The part of its state that exists only while it runs.
    pub live: LiveState,
    /// The cluster that created it, from its label. Older agents wrote none.
    pub cluster: Option<ClusterId>,
    /// The rebuild that created it, from its label; `None` if it is the first one.
    pub rebuild: Option<OperationId>,
    /// Its display name, from its label.
    pub name: Option<String>,
    /// Its limits; 0 means none.
    pub limits: Resources,
}

/// A container of a listing.
#[derive(Debug)]
pub enum ListedContainer {
    /// The engine has the container, and this is its state.
    Inspected(Box<ContainerInfo>),
    /// The engine has the container, but its state is unknown.
    StateUnknown {
        /// Zun's ID of the container.
        container: ContainerId,
        /// The engine's ID of the container, if it could be read.
        engine: Option<EngineId>,
        /// Why the container could not be inspected.
        reason: DriverError,
    },
}

impl ListedContainer {
    /// Zun's ID of the container.
    pub fn container(&self) -> ContainerId {
        match self {
            Self::Inspected(info) => info.container,
            Self::StateUnknown { container, .. } => *container,
        }
    }

    /// The state, if it is known.
    pub fn info(&self) -> Option<&ContainerInfo> {
        match self {
            Self::Inspected(info) => Some(info),
            Self::StateUnknown { .. } => None,
        }
    }
}

/// An event of one of Zun's containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// Zun's ID of the container.
    pub container: ContainerId,
    /// The engine's identifier.
    pub engine: EngineId,
    /// What happened.
    pub what: EngineEventKind,
    /// The exit of the process, if the event reports one.
    pub exit: Option<ProcessExit>,
}

/// How and when a process exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessExit {
    /// The exit code.
    pub code: i64,
    /// The time by the engine's clock.
    pub at: DateTime<Utc>,
}

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineEventKind {
    /// A run of the container began.
    Started,
    /// The container changed (created, died, paused, …), so it must be inspected again.
    Changed,
    /// The container was removed.
    Removed,
}

/// The progress of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullProgress {
    /// The layer, or the image itself.
    pub layer: String,
    /// The engine's status text, such as `Downloading`.
    pub state: String,
    /// Bytes so far and in total, if known.
    pub bytes: Option<(u64, u64)>,
}

/// Where an image of the host is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOrigin {
    /// The project of the container from which it was created, if it was.
    pub project: Option<String>,
    /// All its names on the host, with tags or digests.
    pub names: Vec<String>,
}

/// An image to pull.
#[derive(Debug, Clone, Copy)]
pub struct PullRequest<'a> {
    /// Its name.
    pub image: &'a str,
    /// Its platform; the host's if `None`.
    pub platform: Option<&'a str>,
    /// The login to its registry. Without one, the image must be public.
    pub login: Option<&'a RegistryLogin>,
}

impl<'a> PullRequest<'a> {
    /// A public image for the host's platform.
    pub const fn of(image: &'a str) -> Self {
        Self { image, platform: None, login: None }
    }
}

/// The engine and its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// The engine's own ID. Docker 20.10 keeps it in `/etc/docker/key.json`, newer versions in the data directory. So
    /// it changes if Docker loses its data, except on 20.10.
    pub id: String,
    /// The directory with its data. Engines of one machine may have one ID, but not one directory.
    pub data: String,
    /// The name and version, such as `docker 20.10.24`.
    pub engine: String,
    /// The newest version of its API that the engine supports.
    pub api_version: ApiVersion,
    /// Processors and memory of the machine.
    pub total: Resources,
    /// The size of the disk with the containers.
    pub disk: Gibibytes,
    /// The architecture, such as `x86_64`.
    pub architecture: String,
    /// The type of the operating system, such as `linux`.
    pub os_type: String,
    /// The name of the operating system, such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// The kernel's release.
    pub kernel: String,
    /// The names of its runtimes.
    pub runtimes: Vec<String>,
    /// The authorization plugins that it uses.
    pub authorization: Vec<String>,
}

/// An exec's current state in the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are the engine's")]
pub struct ExecInfo {
    /// The engine's ID of its container.
    pub engine: EngineId,
    /// Whether it is running.
    pub running: bool,
    /// Whether it is not running and never had a process. This holds before its start, and if it could not start.
    pub never_began: bool,
    /// Its exit code, after it has exited.
    pub exit_code: Option<i64>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether it reads stdin.
    pub stdin: bool,
}

/// The life cycle of containers. The operations that return a [`Change`] are idempotent.
#[async_trait]
pub trait Lifecycle: Send + Sync {
    /// Creates a container from an image that is present. An existing container of this ID is returned as
    /// [`Change::Already`].
    async fn create(
        &self,
        container: ContainerId,
        spec: &ContainerSpec,
    ) -> Result<(EngineId, Change), DriverError>;
    /// Starts a container.
    async fn start(&self, container: ContainerId) -> Result<Change, DriverError>;
    /// Starts a container that has never run or been stopped: what a stop changes is as at its creation.
    async fn start_first(&self, container: ContainerId) -> Result<Change, DriverError> {
        self.start(container).await
    }
    /// Stops a container: sends the stop signal, and SIGKILL after the grace period (by default the engine's).
    async fn stop(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<Change, DriverError>;
    /// Stops and starts a container.
    async fn restart(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<(), DriverError>;
    /// Sends a container a signal, such as `SIGTERM`.
    async fn kill(&self, container: ContainerId, signal: &str) -> Result<(), DriverError>;
    /// Pauses a container.
    async fn pause(&self, container: ContainerId) -> Result<Change, DriverError>;
    /// Unpauses a container.
    async fn unpause(&self, container: ContainerId) -> Result<Change, DriverError>;
    /// Changes the resource limits of a container, even while it runs.
    async fn update(&self, container: ContainerId, resources: Resources)
    -> Result<(), DriverError>;
    /// Removes a container; with `force` even if it is running.
    async fn remove(&self, container: ContainerId, force: bool) -> Result<Change, DriverError>;
    /// Renames the container with this engine's ID, even if it is running, so that it is no container of Zun's and
    /// another one can take its place. Fails if there is another old one.
    async fn rename_to_old(
        &self,
        container: ContainerId,
        engine: &EngineId,
    ) -> Result<Change, DriverError>;
    /// Stops the old container, as [`stop`](Self::stop) does.
    async fn stop_old(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<Change, DriverError>;
    /// Starts the old container.
    async fn start_old(&self, container: ContainerId) -> Result<Change, DriverError>;
    /// Gives the old container its name back. Fails if another one has the name.
    async fn restore_old(&self, container: ContainerId) -> Result<Change, DriverError>;
    /// Removes the old container with its anonymous volumes, even if it is running.
    async fn remove_old(&self, container: ContainerId) -> Result<Change, DriverError>;
}

/// Inspection of containers and of the engine.
#[async_trait]
pub trait Inspect: Send + Sync {
    /// Inspects one container.
    async fn inspect(&self, container: ContainerId) -> Result<ContainerInfo, DriverError>;
    /// Inspects the old container. Fails with [`DriverError::NoContainer`] if there is none.
    async fn inspect_old(&self, container: ContainerId) -> Result<ContainerInfo, DriverError>;
    /// Lists the old containers.
    async fn list_old(&self) -> Result<Vec<ContainerId>, DriverError>;
    /// Lists all containers of Zun with their state. A container whose inspection fails or is late has an unknown
    /// state, and does not fail the listing. Fails only if the engine does not list its containers at all.
    async fn list(&self) -> Result<Vec<ListedContainer>, DriverError>;
    /// Lists the containers of Zun with their statuses, without an inspection of each. A status that this build does
    /// not know is `None`.
    async fn statuses(&self) -> Result<Vec<(ContainerId, Option<Status>)>, DriverError>;
    /// Waits until the process has exited, and returns its exit code. Returns at once if the container is not running.
    async fn wait(&self, container: ContainerId) -> Result<i64, DriverError>;
    /// Returns the container's output: at most the last 4 MiB and the last 100,000 lines.
    async fn logs(&self, container: ContainerId, request: &LogRequest)
    -> Result<Logs, DriverError>;
    /// Lists the processes of a container with `ps` and these arguments. Fails with [`DriverError::Conflict`] if the
    /// container is not running.
    async fn top(&self, container: ContainerId, ps_args: Option<&str>) -> Result<Top, DriverError>;
    /// Measures the resource usage for a second or two. A container that is not running uses nothing.
    async fn stats(&self, container: ContainerId) -> Result<Stats, DriverError>;
    /// Subscribes to the events of Zun's containers. The subscription is active when this returns. The stream ends when
    /// the engine stops; then all containers must be inspected again.
    async fn events(&self) -> Result<BoxStream<'static, EngineEvent>, DriverError>;
    /// Inspects the engine and its machine. This is also the way to check whether the engine answers.
    async fn engine(&self) -> Result<EngineInfo, DriverError>;
}

/// Consoles and execs.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Sets the size of a container's terminal.
    async fn resize(&self, container: ContainerId, size: TerminalSize) -> Result<(), DriverError>;
    /// Creates an exec, which a client then starts.
    async fn exec_create(
        &self,
        container: ContainerId,
        spec: &ExecSpec,
    ) -> Result<ExecId, DriverError>;
    /// Runs a command to its end. At most 4 MiB of each stream are kept. If the command cannot be run, the exit code is
    /// 127 (not found) or 126 (not executable), with the engine's message on stderr.
    async fn exec_run(
        &self,
        container: ContainerId,
        spec: &ExecSpec,
    ) -> Result<ExecOutput, DriverError>;
    /// Inspects an exec.
    async fn exec_inspect(&self, exec: &ExecId) -> Result<ExecInfo, DriverError>;
    /// Sends the process of an exec a signal, such as `SIGTERM`. Fails with [`DriverError::Conflict`] if the exec is
    /// not running.
    async fn exec_signal(&self, exec: &ExecId, signal: &str) -> Result<(), DriverError>;
    /// Sets the size of an exec's terminal.
    async fn exec_resize(&self, exec: &ExecId, size: TerminalSize) -> Result<(), DriverError>;
}

/// Inspects, pulls, removes and searches images.
#[async_trait]
pub trait Images: Send + Sync {
    /// Whether the host has the image, for this platform if one is named.
    async fn image_present(&self, image: &str, platform: Option<&str>)
    -> Result<bool, DriverError>;
    /// Pulls the image from its registry. Progress that the receiver does not read in time is dropped.
    async fn image_pull(
        &self,
        request: PullRequest<'_>,
        progress: mpsc::Sender<PullProgress>,
    ) -> Result<(), DriverError>;
    /// Inspects an image that the host has.
    async fn image_inspect(&self, image: &str) -> Result<PulledImage, DriverError>;
    /// Finds out where an image that the host has is from.
    async fn image_origin(&self, image: &str) -> Result<ImageOrigin, DriverError>;
    /// Lists the names of the images that the host has, with tags.
    async fn image_names(&self) -> Result<Vec<String>, DriverError>;
    /// Subscribes to changes of the images: one item for each, soon after it. The subscription is active when this
    /// returns. The stream ends when the engine stops.
    async fn image_changes(&self) -> Result<BoxStream<'static, ()>, DriverError>;
    /// Returns the ports that an image of the host exposes. Those of other protocols than TCP and UDP are left out.
    async fn image_ports(&self, image: &str) -> Result<Vec<ContainerPort>, DriverError>;
    /// Removes an image. Fails with [`DriverError::Conflict`] if a container uses it.
    async fn image_remove(&self, image: &str) -> Result<Change, DriverError>;
    /// Searches Docker's registry. Returns at most 25 images.
    async fn image_search(&self, term: &str) -> Result<Vec<FoundImage>, DriverError>;
}

/// Networks and volumes, and what a container gets from outside before its first start.
#[async_trait]
pub trait Attachments: Send + Sync {
    /// Creates a network, unless it exists.
    async fn ensure_network(
        &self,
        project: &ProjectId,
        network: &NamedNetwork,
    ) -> Result<(), DriverError>;
    /// Removes a volume with its data, or a network. Fails if a container uses it.
    async fn remove_resource(
        &self,
        kind: ResourceKind,
        id: ResourceId,
    ) -> Result<Change, DriverError>;
    /// Puts files into a container, by their paths. It need not run.
    async fn put_files(
        &self,
        container: ContainerId,
        files: &[(&str, &[u8])],
    ) -> Result<(), DriverError>;
}

/// The files of containers.
#[async_trait]
pub trait Files: Send + Sync {
    /// Returns a file or directory as a tar archive. Fails with [`DriverError::TooLarge`] if the archive is larger than
    /// [`zun_common::rpc::files::LARGEST_ARCHIVE`].
    async fn archive_get(&self, container: ContainerId, path: &str)
    -> Result<Archive, DriverError>;
    /// Unpacks a tar archive into a directory.
    async fn archive_put(
        &self,
        container: ContainerId,
        path: &str,
        data: Vec<u8>,
    ) -> Result<(), DriverError>;
    /// Lists what differs from the image.
    async fn changes(&self, container: ContainerId) -> Result<Vec<FileChange>, DriverError>;
    /// Creates an image from the container, which is paused meanwhile. Returns the ID of the image.
    async fn commit(
        &self,
        container: ContainerId,
        (repository, tag): (&str, &str),
    ) -> Result<String, DriverError>;
}

/// A complete driver.
pub trait ContainerDriver:
    Lifecycle + Inspect + Sessions + Images + Files + Attachments + 'static
{
}

impl<T: Lifecycle + Inspect + Sessions + Images + Files + Attachments + 'static> ContainerDriver
    for T
{
}
