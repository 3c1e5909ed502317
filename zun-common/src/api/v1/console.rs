//! Types of the console endpoints: the addresses and the certificates that a client connects with.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::grant::Mode;

/// Console protocol: a session at the host's console gate, which outlives its connection.
pub use crate::pty::PROTOCOL as PTY;
/// Console protocol: attach to a container over Docker's API.
pub const DOCKER_ATTACH: &str = "docker.attach";
/// Console protocol: start an exec over Docker's API.
pub const DOCKER_EXEC: &str = "docker.exec";

/// Console protocol: read a container's output over Docker's API.
pub const DOCKER_LOGS: &str = "docker.logs";
/// Console protocol: copy a container's files over Docker's API.
pub const DOCKER_ARCHIVE: &str = "docker.archive";

/// Console protocol: download a recording from the host's console gate.
pub const RECORDING: &str = "zun.recording.v1";

/// Body of `POST /v1/containers/{id}/logs` and of `POST /v1/containers/{id}/archive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRequest {
    /// Certificate signing request in PEM. Its key never leaves the client.
    pub csr: String,
    /// For files only: `ro` to copy out, `rw` to copy in as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// Body of `POST /v1/containers/{id}/attach`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachRequest {
    /// Certificate signing request in PEM. Its key never leaves the client.
    pub csr: String,
    /// Console protocols that the client supports, the preferred one first.
    pub protocols: Vec<String>,
    /// Whether the client wants to type.
    #[serde(default)]
    pub mode: Mode,
    /// Whether the client starts the container next. The console of a stopped container is then available too, and
    /// shows its next run from the first byte. If the host is still creating the container, the answer comes after
    /// that, or after 25 seconds (409). It is sent in the query.
    #[serde(default, skip_serializing)]
    pub before_start: bool,
}

/// How to connect to a console. The client connects directly to the host, not through the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct ConsoleEndpoint {
    /// The console protocol to use.
    pub protocol: String,
    /// The address to connect to first: the websocket for a container's terminal if the grant allows it, otherwise the
    /// first HTTP call that it allows.
    pub url: String,
    /// All addresses, by purpose.
    pub calls: Calls,
    /// The certificates to connect with.
    pub tls: Tls,
    /// Whether the container or exec has a terminal.
    pub tty: bool,
    /// Whether it reads stdin.
    pub stdin: bool,
    /// For a container's console, the number of the run that it shows: the current one, or else the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// For a container's console, whether that run has begun.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub running: bool,
    /// New connections are refused after this time.
    #[schemars(with = "String")]
    pub expires_at: DateTime<Utc>,
}

/// The addresses of the calls that the grant allows. All others are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Calls {
    /// Attach by websocket (`GET`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<String>,
    /// Attach by a hijacked connection, with stdin (`POST`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<String>,
    /// Attach by a hijacked connection, output only (`POST`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Start the exec by a hijacked connection (`POST`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Set the terminal's size (`POST`). The client adds `?h=ROWS&w=COLUMNS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<String>,
    /// Wait for the exit code (`POST`). The client adds `?condition=not-running|next-exit|removed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    /// Read the exec's state and exit code (`GET`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspect: Option<String>,
    /// Read the output (`GET`). The client adds `?follow=0&stdout=1&stderr=1&timestamps=0&since=0&until=0&tail=all`, with
    /// its own values. The parameters must be in this order, and none may be omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<String>,
    /// Inspect files, copy them out, or copy them in (`HEAD`, `GET`, `PUT`). The client adds `?path=PATH`, and
    /// `?noOverwriteDirNonDir=1&path=PATH` for a `PUT`. PATH is absolute and percent-encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Read the container's root filesystem as a tar stream (`GET`, without a query). Volumes are not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<String>,
    /// Open the console at the host's console gate, by websocket (`GET`, protocol `zun.pty.v1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pty: Option<String>,
    /// Download the recording from the host's console gate (`GET`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
}

/// A ticket: a link that opens a console without a certificate.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleTicket {
    /// Its ID, with which it can be revoked.
    pub id: String,
    /// The page with the console. The secret is in the fragment, which browsers do not send.
    pub url: String,
    /// The address for a websocket with the subprotocols `zun.pty.v1`, `zun.hello.…` and `zun.ticket.SECRET`.
    pub websocket_url: String,
    /// The secret.
    pub ticket: String,
    /// Whether its clients may type: `rw` or `ro`.
    pub mode: String,
    /// How many sessions it opens.
    pub uses: u32,
    /// Whether its clients may copy the container's files in and out.
    #[serde(default)]
    pub files: bool,
    /// Whether the container or exec has a terminal.
    pub tty: bool,
    /// It opens no sessions after this time.
    #[schemars(with = "String")]
    pub expires_at: DateTime<Utc>,
}

impl std::fmt::Debug for ConsoleTicket {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, websocket_url, mode, .. } = self;
        write!(out, "ConsoleTicket({id}, {websocket_url}, {mode})")
    }
}

/// The certificates for a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tls {
    /// The only CAs to trust for this host, in PEM: one, or two during a rotation.
    pub ca: String,
    /// The grant: a client certificate in PEM.
    pub certificate: String,
}
