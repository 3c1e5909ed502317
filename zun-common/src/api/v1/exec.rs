//! Running another command in a container.

use serde::{Deserialize, Serialize};

use super::console::ConsoleEndpoint;

/// The answer of `POST /v1/containers/{id}/execute`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executed {
    /// Stdout and stderr merged, as text, when it was run to its end (Zun's shape).
    pub output: Option<String>,
    /// Its exit code, when it was run to its end.
    pub exit_code: Option<i64>,
    /// The engine's identifier of the exec, when it was only made.
    pub exec_id: Option<String>,
    /// The console gate's address for existing clients; null where no gate runs.
    pub proxy_url: Option<String>,
    /// Stdout alone, base64, when it was run to its end. Beside Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// Stderr alone, base64, when it was run to its end. Beside Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// Where to dial it, when a signing request came with the request. Beside Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<ConsoleEndpoint>,
}

/// The body of `POST /v1/containers/{id}/execute`, as our own client writes it. The existing clients
/// put `command` (one text), `run` and `interactive` into the query instead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct Execute {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Run it to its end and answer its output; else only make it.
    #[serde(default)]
    pub run: bool,
    /// Keep its stdin open.
    #[serde(default)]
    pub interactive: bool,
    /// Allocate a terminal; as `interactive` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
    /// Environment, each `NAME=VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// The user (and group) to run as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// With all capabilities.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// The terminal's first size, `[rows, columns]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u16; 2]>,
    /// A certificate signing request in PEM: the exec is dialled directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
}
