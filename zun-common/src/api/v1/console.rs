//! The console endpoint: where a client dials, and with what.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::grant::Mode;

/// The connection function for a container over Docker's own API.
pub const DOCKER_ATTACH: &str = "docker.attach";
/// The connection function for an exec over Docker's own API.
pub const DOCKER_EXEC: &str = "docker.exec";

/// Reading a container's output over Docker's own API.
pub const DOCKER_LOGS: &str = "docker.logs";
/// Moving a container's files over Docker's own API.
pub const DOCKER_ARCHIVE: &str = "docker.archive";

/// The body of `POST /v1/containers/{id}/logs` and of `POST /v1/containers/{id}/archive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRequest {
    /// A certificate signing request in PEM; its key never leaves the client.
    pub csr: String,
    /// Of files: `ro` copies out, `rw` copies in too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// The body of `POST /v1/containers/{id}/attach`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachRequest {
    /// A certificate signing request in PEM; its key never leaves the client.
    pub csr: String,
    /// The connection functions that the client speaks, best first.
    pub protocols: Vec<String>,
    /// Whether it wants to type.
    #[serde(default)]
    pub mode: Mode,
    /// The start is asked for next: also the console of a container that has ended is opened then, and
    /// shows its next run from the first byte.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before_start: bool,
}

/// Where and how a console is dialled. No part of the control plane is on that way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleEndpoint {
    /// The connection function to use.
    pub protocol: String,
    /// The first address to dial: the websocket of a terminal, the hijack of anything else.
    pub url: String,
    /// All addresses, by purpose.
    pub calls: Calls,
    /// What to dial with.
    pub tls: Tls,
    /// The container or exec has a terminal.
    pub tty: bool,
    /// It reads stdin.
    pub stdin: bool,
    /// The grant cannot be dialled with after this.
    pub expires_at: DateTime<Utc>,
}

/// Addresses of the calls that the grant is good for; those that it is not good for are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// Attach by websocket (`GET`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<String>,
    /// Attach by hijack, with stdin (`POST`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<String>,
    /// Attach by hijack, output only (`POST`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Start the exec by hijack (`POST`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Set the terminal's size (`POST`); the client adds `?h=ROWS&w=COLUMNS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<String>,
    /// Wait for the end (`POST`); the client adds `?condition=not-running|next-exit|removed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    /// The exec's state and exit code (`GET`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspect: Option<String>,
    /// Read the output (`GET`); the client adds the query as grants spell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<String>,
    /// Look at files, copy them out or in (`HEAD`, `GET`, `PUT`); the client adds the query as grants spell
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
}

/// The two certificates of a dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The only authority to trust for this host, in PEM.
    pub ca: String,
    /// The grant, in PEM.
    pub certificate: String,
}
