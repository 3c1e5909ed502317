//! Calls about execs: additional commands in a container.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::container::ConsoleListener;
use super::{Call, Done};
use crate::id::{ContainerId, ExecId};
use crate::units::TerminalSize;

/// A command and how to run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct ExecSpec {
    /// Command and arguments; at least one word.
    pub command: Vec<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Whether its stdin is open.
    pub stdin: bool,
    /// Environment variables, each `NAME=VALUE`.
    pub environment: Vec<String>,
    /// User, and optionally group, to run as.
    pub user: Option<String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// Whether it gets all capabilities.
    pub privileged: bool,
    /// Initial size of the terminal.
    pub size: Option<TerminalSize>,
}

/// Creates an exec. The client connects to it to start it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateExec {
    /// The container.
    pub container: ContainerId,
    /// The command.
    pub spec: ExecSpec,
}

impl Call for CreateExec {
    const METHOD: &'static str = "exec.create";
    const DEADLINE: Duration = Duration::from_secs(20);
    type Reply = CreatedExec;
}

/// A created exec and its listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedExec {
    /// The engine's ID of the exec.
    pub exec: ExecId,
    /// The listener to connect to; absent if the host's listener is not up.
    pub listener: Option<ConsoleListener>,
    /// Why there is no listener; absent if there is one, and from older agents.
    #[serde(default)]
    pub console_trouble: Option<String>,
}

/// Runs a command to completion, without stdin or terminal. Returns at most 4 MiB of each stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunExec {
    /// The container.
    pub container: ContainerId,
    /// The command.
    pub spec: ExecSpec,
}

impl Call for RunExec {
    const METHOD: &'static str = "exec.run";
    const DEADLINE: Duration = Duration::from_mins(1);
    const ONCE: bool = true;
    type Reply = ExecOutput;
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOutput {
    /// The engine's ID of the exec.
    pub exec: ExecId,
    /// Its stdout.
    #[serde(with = "base64_bytes")]
    pub stdout: Vec<u8>,
    /// Its stderr.
    #[serde(with = "base64_bytes")]
    pub stderr: Vec<u8>,
    /// Exit code; 126 or 127 if the command could not be run.
    pub exit_code: i64,
    /// Whether output was dropped because it exceeded the limit.
    #[serde(rename = "cut")]
    pub truncated: bool,
}

/// Sets the size of an exec's terminal. The exec must belong to the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResizeExec {
    /// The container.
    pub container: ContainerId,
    /// The exec.
    pub exec: ExecId,
    /// The new size.
    pub size: TerminalSize,
}

impl Call for ResizeExec {
    const METHOD: &'static str = "exec.resize";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = Done;
}

/// Returns the console of an existing exec, for a session that needs a new grant. The exec must belong to the
/// container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocateExec {
    /// The container.
    pub container: ContainerId,
    /// The exec.
    pub exec: ExecId,
}

impl Call for LocateExec {
    const METHOD: &'static str = "exec.attach";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = ExecConsole;
}

/// An exec's console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecConsole {
    /// The listener to connect to.
    pub listener: ConsoleListener,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether it reads stdin.
    pub stdin: bool,
}

/// Sends a signal to the process of an exec. The exec must belong to the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalExec {
    /// The container.
    pub container: ContainerId,
    /// The exec.
    pub exec: ExecId,
    /// Name such as `SIGTERM`.
    pub signal: String,
}

impl Call for SignalExec {
    const METHOD: &'static str = "exec.kill";
    const DEADLINE: Duration = Duration::from_secs(10);
    const ONCE: bool = true;
    type Reply = Done;
}

/// Serializes bytes as base64 text.
pub mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    /// Serializes bytes.
    pub fn serialize<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&STANDARD.encode(bytes))
    }

    /// Deserializes bytes.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(input)?).map_err(D::Error::custom)
    }
}
