//! Calls about one container. All are idempotent by its id.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Call, Done, Kind, report::ContainerReport};
pub use crate::api::v1::container::PullPolicy;
use crate::api::v1::container::RestartPolicy;
use crate::grant::{ApiVersion, Mode};
use crate::id::{ContainerId, EngineId, ProjectId};
use crate::status::Action;
use crate::units::{Resources, TerminalSize};

/// Everything that a driver needs to make a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Its project; becomes a label.
    pub project: ProjectId,
    /// Its name, for people; becomes a label.
    pub name: String,
    /// The image.
    pub image: String,
    /// When it is pulled.
    pub pull: PullPolicy,
    /// The command; the image's own where none is given.
    pub command: Option<Vec<String>>,
    /// The entry point; the image's own where none is given.
    pub entrypoint: Option<Vec<String>>,
    /// Environment.
    pub environment: BTreeMap<String, String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// The host name inside.
    pub hostname: Option<String>,
    /// The user (and group) to run as.
    pub user: Option<String>,
    /// How it is talked to.
    pub console: ConsoleSpec,
    /// What it may use.
    pub resources: Resources,
    /// When the engine runs it again.
    pub restart: Option<RestartPolicy>,
    /// What becomes of it when it ends.
    pub auto_remove: bool,
    /// The root file system cannot be written.
    pub read_only: bool,
    /// The signal that a stop begins with.
    pub stop_signal: Option<String>,
}

/// How a container is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct ConsoleSpec {
    /// It has a terminal.
    pub tty: bool,
    /// Its stdin is kept open.
    pub stdin_open: bool,
    /// The end of the first console's input is the end of its stdin.
    pub stdin_once: bool,
    /// The terminal's first size.
    pub size: Option<TerminalSize>,
}

/// Generates the calls that only name a container.
macro_rules! command {
    ($(#[$doc:meta])* $name:ident, $method:literal { $($(#[$fdoc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            /// Which container.
            pub container: ContainerId,
            $($(#[$fdoc])* pub $field: $type),*
        }

        impl Call for $name {
            const METHOD: &'static str = $method;
            const KIND: Kind = Kind::Command;
            const DEADLINE: Duration = Duration::from_secs(10);
            type Reply = Done;
        }
    };
}

/// Make it, and start it if asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateContainer {
    /// Which container.
    pub container: ContainerId,
    /// What it is.
    pub spec: ContainerSpec,
    /// Start it once it is made.
    pub start: bool,
}

impl Call for CreateContainer {
    const METHOD: &'static str = "container.create";
    const KIND: Kind = Kind::Command;
    const DEADLINE: Duration = Duration::from_mins(1);
    type Reply = Done;
}

command!(
    /// Start it. Starting a running one is not an error.
    StartContainer, "container.start" {}
);
command!(
    /// Stop it. Stopping a stopped one is not an error.
    StopContainer, "container.stop" {
        /// Seconds between the stop signal and SIGKILL; the engine's own (10) where none is given.
        grace: Option<u32>,
    }
);
command!(
    /// Stop it and start it.
    RebootContainer, "container.reboot" {
        /// As for a stop.
        grace: Option<u32>,
    }
);
command!(
    /// Freeze it.
    PauseContainer, "container.pause" {}
);
command!(
    /// Thaw it.
    UnpauseContainer, "container.unpause" {}
);
command!(
    /// Send it a signal. A redelivery may send it twice.
    KillContainer, "container.kill" {
        /// Such as `SIGTERM`.
        signal: String,
    }
);
command!(
    /// Remove it. Removing one that is gone is not an error.
    RemoveContainer, "container.remove" {
        /// What is done about its process.
        how: Removal,
    }
);

/// What is done about the process of a container that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// Nothing: a running one is refused.
    OnlyStopped,
    /// It is stopped first, with the usual grace.
    StopFirst,
    /// It is killed.
    Force,
}

/// Generates the questions about a container.
macro_rules! query {
    ($(#[$doc:meta])* $name:ident, $method:literal -> $reply:ty, $seconds:literal { $($(#[$fdoc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            /// Which container.
            pub container: ContainerId,
            $($(#[$fdoc])* pub $field: $type),*
        }

        impl Call for $name {
            const METHOD: &'static str = $method;
            const KIND: Kind = Kind::Query;
            const DEADLINE: Duration = Duration::from_secs($seconds);
            type Reply = $reply;
        }
    };
}

query!(
    /// How is it now? The engine is asked, and the answer is a report like any other.
    ShowContainer, "container.show" -> ContainerReport, 10 {}
);
query!(
    /// What did it print? At most the last 4 MiB.
    ReadLogs, "container.logs" -> Logs, 20 {
        /// Which part.
        request: LogRequest,
    }
);
query!(
    /// Where is its console, and what is it?
    LocateConsole, "container.attach" -> Console, 10 {
        /// Whether the client wants to type.
        mode: Mode,
        /// The start is asked for next: one that has ended will do.
        #[serde(default)]
        before_start: bool,
    }
);
query!(
    /// Where are its output and its files, for this action?
    LocateData, "container.data" -> Console, 10 {
        /// `logs`, `get_archive` or `put_archive`.
        action: Action,
    }
);
query!(
    /// Which processes run in it?
    TopContainer, "container.top" -> Top, 10 {
        /// What is told of each, as arguments of `ps`; the engine's own where none are given.
        ps_args: Option<String>,
    }
);
query!(
    /// What does it use? The engine takes a second or two to measure.
    ReadStats, "container.stats" -> Stats, 15 {}
);
query!(
    /// Change what it may use. Told twice, it is the same.
    UpdateContainer, "container.update" -> Done, 10 {
        /// What it may use from now on.
        resources: Resources,
    }
);
query!(
    /// Set its terminal's size.
    ResizeTerminal, "container.resize" -> Done, 10 {
        /// The size.
        size: TerminalSize,
    }
);

/// The processes of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// The columns.
    pub titles: Vec<String>,
    /// A row each.
    pub processes: Vec<Vec<String>>,
}

/// What a container uses now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Processor time over the time of the measurement; 100 is one processor.
    pub cpu_percent: f64,
    /// Memory in bytes, without what the kernel could drop.
    pub memory: u64,
    /// The limit of it in bytes.
    pub memory_limit: u64,
    /// Bytes read from disks, and written.
    pub block: (u64, u64),
    /// Bytes received from networks, and sent.
    pub network: (u64, u64),
    /// How many processes and threads.
    pub processes: u64,
}

/// Which part of the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct LogRequest {
    /// With stdout.
    pub stdout: bool,
    /// With stderr.
    pub stderr: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// Only the last lines; all where none is given.
    pub tail: Option<u32>,
    /// Only what was printed since.
    pub since: Option<DateTime<Utc>>,
}

/// Output of a container; both streams in the order in which the engine had them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// The bytes.
    #[serde(with = "super::exec::base64_bytes")]
    pub data: Vec<u8>,
    /// The beginning was left out, because it was too much for one reply.
    pub cut: bool,
}

/// Where a host's consoles are dialled. Part of every heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleListener {
    /// The advertised `host:port`; an IPv6 address stands in brackets.
    pub address: String,
    /// The version of the engine's API that grants name.
    pub api_version: ApiVersion,
}

/// A container's console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    /// The engine's identifier of the container.
    pub engine: EngineId,
    /// Where it is dialled.
    pub listener: ConsoleListener,
    /// It has a terminal.
    pub tty: bool,
    /// It reads stdin.
    pub stdin: bool,
}
