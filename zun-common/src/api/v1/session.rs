//! Sessions at console gates, and the grants that opened them or may do so.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ContainerId, HostName, RecordingId};

/// Response of `GET /v1/sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionList {
    /// The sessions, the oldest first.
    pub sessions: Vec<Session>,
    /// Hosts that did not answer. They may have more sessions.
    #[schemars(with = "Vec<String>")]
    pub unresponsive_hosts: Vec<HostName>,
}

/// One client's session. It outlives its connections, for 15 minutes by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// Its ID.
    pub id: String,
    /// The container.
    #[schemars(with = "String")]
    pub container: ContainerId,
    /// The container's name.
    pub container_name: String,
    /// The exec; absent for the container's own console.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_id: Option<String>,
    /// The host.
    #[schemars(with = "String")]
    pub host: HostName,
    /// Whether the process has a terminal.
    pub tty: bool,
    /// `rw` if the client may type and attached with stdin, otherwise `ro`.
    pub mode: String,
    /// The ID of the grant or ticket that opened it. Empty for an exec that runs without clients.
    pub grant: String,
    /// Whether the client is connected now.
    pub connected: bool,
    /// When it was opened. For an exec without clients, about when the last one disconnected.
    #[schemars(with = "String")]
    pub since: DateTime<Utc>,
    /// Bytes of stdin that the process has received from this client.
    pub stdin_bytes: u64,
    /// The offset in stdout up to which output was sent to the client.
    pub stdout_bytes: u64,
    /// The offset in stderr up to which output was sent to the client.
    pub stderr_bytes: u64,
}

/// Response of `GET /v1/grants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantList {
    /// Tickets that can be used, and grants and tickets that have sessions.
    pub grants: Vec<ActiveGrant>,
    /// Hosts that did not answer. They may have more grants.
    #[schemars(with = "Vec<String>")]
    pub unresponsive_hosts: Vec<HostName>,
}

/// A grant or ticket that has sessions at a console gate, or a ticket that is still valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveGrant {
    /// Its ID.
    pub id: String,
    /// The container.
    #[schemars(with = "String")]
    pub container: ContainerId,
    /// The container's name.
    pub container_name: String,
    /// The exec; absent for the container's own console.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_id: Option<String>,
    /// For a ticket that plays a recording: the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub recording_id: Option<RecordingId>,
    /// The host.
    #[schemars(with = "String")]
    pub host: HostName,
    /// Whether its clients may type: `rw` or `ro`.
    pub mode: String,
    /// Whether its clients may copy the container's files in and out through the console gate.
    #[serde(default)]
    pub files: bool,
    /// How many sessions it has.
    pub sessions: usize,
    /// For a ticket that can be used: how many more times it opens a session, or plays the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// For a ticket that can be used: when it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Response of `DELETE /v1/grants/{id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokedGrant {
    /// How many sessions were ended.
    pub sessions: usize,
}
