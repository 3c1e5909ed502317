//! Queries about one container, and its specification. Changes of containers are operations.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Call, Done, report::ContainerReport};
pub use crate::api::v1::container::PullPolicy;
use crate::engine_options::{EngineOptions, Healthcheck};
use crate::grant::{ApiVersion, Mode};
use crate::id::{ClusterId, ContainerId, EngineId, OperationId, ProjectId, RegistryId};
use crate::ports::PublishedPort;
use crate::recording::RecordPolicy;
use crate::resource::{Mount, NetworkMode};
use crate::restart::Restart;
use crate::status::Action;
use crate::units::{Gibibytes, Resources, TerminalSize};

/// Everything that a driver needs to create a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a request of its own")]
pub struct ContainerSpec {
    /// The cluster, stored as a label. The agent sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterId>,
    /// The rebuild that creates it, stored as a label. The agent sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<OperationId>,
    /// Its project, stored as a label.
    pub project: ProjectId,
    /// Its display name, stored as a label.
    pub name: String,
    /// The image.
    pub image: String,
    /// When the image is pulled.
    pub pull: PullPolicy,
    /// Command and arguments; the image's own if `None`.
    pub command: Option<Vec<String>>,
    /// Entry point; the image's own if `None`.
    pub entrypoint: Option<Vec<String>>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// Host name inside the container.
    pub hostname: Option<String>,
    /// User, and optionally group, to run as.
    pub user: Option<String>,
    /// Its terminal and stdin.
    pub console: ConsoleSpec,
    /// Its limits.
    pub resources: Resources,
    /// The restart policy.
    pub restart: Option<Restart>,
    /// Whether it is removed when its process ends.
    pub auto_remove: bool,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Signal that a stop sends first; the image's own if `None`.
    pub stop_signal: Option<String>,
    /// Whether it has full access to the host (extended privileges).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// The runtime; the engine's default if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Maximum size of its writable layer; unlimited if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Gibibytes>,
    /// How its health is checked; the image's setting if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Additional options of the engine.
    #[serde(default, skip_serializing_if = "EngineOptions::is_empty")]
    pub options: EngineOptions,
    /// Its published ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PublishedPort>,
    /// The login to the image's registry; the agent asks zun-api for it. Without one, it pulls anonymously.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryId>,
    /// Its mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Its network; the engine's default one if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkMode>,
    /// Whether its sessions are recorded, stored as a label.
    #[serde(default, skip_serializing_if = "RecordPolicy::is_off")]
    pub record: RecordPolicy,
}

impl ContainerSpec {
    /// A container of an image, with nothing else requested.
    pub fn of_image(project: ProjectId, name: &str, image: &str) -> Self {
        Self {
            cluster: None,
            rebuild: None,
            project,
            name: name.to_owned(),
            image: image.to_owned(),
            pull: PullPolicy::default(),
            command: None,
            entrypoint: None,
            environment: BTreeMap::new(),
            labels: BTreeMap::new(),
            workdir: None,
            hostname: None,
            user: None,
            console: ConsoleSpec::default(),
            resources: Resources::default(),
            restart: None,
            auto_remove: false,
            read_only: false,
            stop_signal: None,
            privileged: false,
            runtime: None,
            disk: None,
            healthcheck: None,
            options: EngineOptions::default(),
            ports: Vec::new(),
            registry: None,
            mounts: Vec::new(),
            network: None,
            record: RecordPolicy::Off,
        }
    }
}

/// A container's terminal and stdin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct ConsoleSpec {
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether stdin stays open.
    pub stdin_open: bool,
    /// Whether the end of the first console's input closes stdin.
    pub stdin_once: bool,
    /// Initial size of the terminal.
    pub size: Option<TerminalSize>,
}

/// What to do if the container to remove is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// zun-api accepts the removal only if it is stopped. If it has started since, the host stops it first.
    OnlyStopped,
    /// Stop it first, with the default grace period.
    StopFirst,
    /// Kill it.
    Force,
}

/// Generates the queries about a container.
macro_rules! query {
    ($(#[$doc:meta])* $name:ident, $method:literal -> $reply:ty, $seconds:literal { $($(#[$fdoc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            /// The container.
            pub container: ContainerId,
            $($(#[$fdoc])* pub $field: $type),*
        }

        impl Call for $name {
            const METHOD: &'static str = $method;
            const DEADLINE: Duration = Duration::from_secs($seconds);
            type Reply = $reply;
        }
    };
}

query!(
    /// Returns a report of the container's state in the engine.
    ShowContainer, "container.show" -> ContainerReport, 10 {}
);
query!(
    /// Returns the container's output: at most the last 4 MiB and the last 100,000 lines.
    ReadLogs, "container.logs" -> Logs, 20 {
        /// The part to read.
        request: LogRequest,
    }
);
query!(
    /// Returns where to connect to the container's console.
    LocateConsole, "container.attach" -> Console, 20 {
        /// Whether the client wants to type.
        mode: Mode,
        /// Whether the client starts the container next. If so, the container may be stopped.
        #[serde(default)]
        before_start: bool,
    }
);
query!(
    /// Returns where to connect for the container's output or files.
    LocateData, "container.data" -> Console, 20 {
        /// `logs`, `get_archive` or `put_archive`.
        action: Action,
    }
);
query!(
    /// Returns the processes in the container.
    TopContainer, "container.top" -> Top, 10 {
        /// Arguments for `ps`, which select the columns; the engine's own if `None`.
        ps_args: Option<String>,
    }
);
query!(
    /// Returns the container's resource usage. The engine takes one to two seconds to measure it.
    ReadStats, "container.stats" -> Stats, 15 {}
);
query!(
    /// Sets the size of the container's terminal.
    ResizeTerminal, "container.resize" -> Done, 10 {
        /// The new size.
        size: TerminalSize,
    }
);

/// The processes of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// Column titles.
    pub titles: Vec<String>,
    /// One row for each process.
    pub processes: Vec<Vec<String>>,
}

/// The current resource usage of a container.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// CPU usage over the measuring time; 100 is one CPU.
    pub cpu_percent: f64,
    /// Memory in bytes, without caches that the kernel could drop.
    pub memory: u64,
    /// Memory limit in bytes.
    pub memory_limit: u64,
    /// Bytes read from disks, and bytes written.
    pub block: (u64, u64),
    /// Bytes received from networks, and bytes sent.
    pub network: (u64, u64),
    /// Number of processes and threads.
    pub processes: u64,
}

/// Selects a part of the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct LogRequest {
    /// Include stdout.
    pub stdout: bool,
    /// Include stderr.
    pub stderr: bool,
    /// Start each line with its time.
    pub timestamps: bool,
    /// Only this many lines at the end; all if `None`.
    pub tail: Option<u32>,
    /// Only output from this time on.
    pub since: Option<DateTime<Utc>>,
}

/// Output of a container, with both streams in the engine's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// The bytes.
    #[serde(with = "super::exec::base64_bytes")]
    pub data: Vec<u8>,
    /// Whether the beginning was dropped to fit into one reply.
    #[serde(rename = "cut")]
    pub truncated: bool,
}

/// The listener for a host's consoles. Heartbeats contain it while it is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleListener {
    /// The advertised `host:port`, with an IPv6 address in brackets.
    pub address: String,
    /// The version of the engine's API in granted calls.
    pub api_version: ApiVersion,
    /// The advertised `host:port` of the host's console gate, if it runs one that is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
}

/// A container's console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct Console {
    /// The engine's ID of the container.
    pub engine: EngineId,
    /// The listener to connect to.
    pub listener: ConsoleListener,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether it reads stdin.
    pub stdin: bool,
    /// The number of the run that the console belongs to: the current one, or else the next. Always known for a
    /// container's console, and absent for its data.
    #[serde(default)]
    pub run: Option<i64>,
    /// Whether that run has begun.
    #[serde(default)]
    pub running: bool,
}
