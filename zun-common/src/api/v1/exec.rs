//! Requests and responses for running another command in a container.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::console::ConsoleEndpoint;

/// Response of `POST /v1/containers/{id}/execute`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Executed {
    /// Stdout followed by stderr, as text, if the command was run to completion. OpenStack Zun's field.
    pub output: Option<String>,
    /// Exit code, if the command was run to completion.
    pub exit_code: Option<i64>,
    /// The engine's ID of the exec, if the exec was only created.
    pub exec_id: Option<String>,
    /// The address of a websocket for OpenStack's clients, if `interactive` was set without `csr`. It is a secret.
    pub proxy_url: Option<String>,
    /// Stdout in base64, if the command was run to completion. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// Stderr in base64, if the command was run to completion. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// Whether output is missing, because a stream had more than 4 MiB, if the command was run to completion. Not in
    /// OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
    /// How to connect to the exec, if the body has a `csr`. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<ConsoleEndpoint>,
}

/// Body of `POST /v1/containers/{id}/execute`, as the client `zun` sends it. OpenStack's clients send `command`
/// (one string), `run` and `interactive` in the query.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct Execute {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Run the command to completion and return its output; otherwise only create the exec.
    #[serde(default)]
    pub run: bool,
    /// Keep stdin open.
    #[serde(default)]
    pub interactive: bool,
    /// Allocate a terminal; the value of `interactive` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
    /// Environment variables, each `NAME=VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// User, and optionally group, to run as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Run with all capabilities.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// Initial size of the terminal, `[rows, columns]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u16; 2]>,
    /// Certificate signing request in PEM, to connect to the exec directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
    /// Console protocols that the client supports, the preferred one first; only `docker.exec` if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<String>,
}
