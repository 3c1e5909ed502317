//! Calls about commands that are run in a container beside its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::container::ConsoleListener;
use super::{Call, Done, Kind};
use crate::id::{ContainerId, ExecId};
use crate::units::TerminalSize;

/// What to run and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct ExecSpec {
    /// The command and its arguments; at least one word.
    pub command: Vec<String>,
    /// Its terminal and stdin.
    pub tty: bool,
    /// Its stdin is open.
    pub stdin: bool,
    /// Environment, each `NAME=VALUE`.
    pub environment: Vec<String>,
    /// The user (and group) to run as.
    pub user: Option<String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// With all capabilities.
    pub privileged: bool,
    /// The terminal's first size.
    pub size: Option<TerminalSize>,
}

/// Make an exec that a client then dials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateExec {
    /// Where.
    pub container: ContainerId,
    /// What.
    pub spec: ExecSpec,
}

impl Call for CreateExec {
    const METHOD: &'static str = "exec.create";
    const KIND: Kind = Kind::Query;
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = CreatedExec;
}

/// An exec that was made, and where it is dialled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedExec {
    /// The engine's identifier of it.
    pub exec: ExecId,
    /// Where it is dialled; absent where the host's listener is not up.
    pub listener: Option<ConsoleListener>,
    /// Why there is none to dial; absent where there is one, and from older agents.
    #[serde(default)]
    pub console_trouble: Option<String>,
}

/// Run a command to its end, without stdin or terminal. At most 4 MiB of each stream come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunExec {
    /// Where.
    pub container: ContainerId,
    /// What.
    pub spec: ExecSpec,
}

impl Call for RunExec {
    const METHOD: &'static str = "exec.run";
    const KIND: Kind = Kind::Query;
    const DEADLINE: Duration = Duration::from_mins(1);
    type Reply = ExecOutput;
}

/// What a command printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOutput {
    /// The engine's identifier of it.
    pub exec: ExecId,
    /// Its stdout.
    #[serde(with = "base64_bytes")]
    pub stdout: Vec<u8>,
    /// Its stderr.
    #[serde(with = "base64_bytes")]
    pub stderr: Vec<u8>,
    /// Its exit code; 126 or 127 where it could not be run.
    pub exit_code: i64,
    /// More was printed than comes back.
    pub cut: bool,
}

/// Set the size of an exec's terminal. The exec must be of this container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResizeExec {
    /// Where.
    pub container: ContainerId,
    /// Which.
    pub exec: ExecId,
    /// The size.
    pub size: TerminalSize,
}

impl Call for ResizeExec {
    const METHOD: &'static str = "exec.resize";
    const KIND: Kind = Kind::Query;
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = Done;
}

/// Where is an exec's console? Asked when a session that goes on needs a new grant. The exec must be of
/// this container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocateExec {
    /// Where.
    pub container: ContainerId,
    /// Which.
    pub exec: ExecId,
}

impl Call for LocateExec {
    const METHOD: &'static str = "exec.attach";
    const KIND: Kind = Kind::Query;
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = ExecConsole;
}

/// An exec's console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecConsole {
    /// Where it is dialled.
    pub listener: ConsoleListener,
    /// It has a terminal.
    pub tty: bool,
    /// It reads stdin.
    pub stdin: bool,
}

/// Send the process of an exec a signal. The exec must be of this container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalExec {
    /// Where.
    pub container: ContainerId,
    /// Which.
    pub exec: ExecId,
    /// Such as `SIGTERM`.
    pub signal: String,
}

impl Call for SignalExec {
    const METHOD: &'static str = "exec.kill";
    const KIND: Kind = Kind::Query;
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = Done;
}

/// Bytes as base64 text.
pub mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    /// Writes bytes.
    pub fn serialize<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&STANDARD.encode(bytes))
    }

    /// Reads bytes.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(input)?).map_err(D::Error::custom)
    }
}
