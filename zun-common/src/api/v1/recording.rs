//! Recordings of sessions, which the containers' hosts keep.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ContainerId, HostName, RecordingId};
use crate::recording::RecordPolicy;

/// Response of `GET /v1/recordings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingList {
    /// The recordings, the oldest first: at most the 1000 newest ones of each host.
    pub recordings: Vec<Recording>,
    /// Whether a host has more.
    pub more: bool,
    /// Hosts that did not answer. They may have more recordings.
    #[schemars(with = "Vec<String>")]
    pub unresponsive_hosts: Vec<HostName>,
}

/// A recording of a session, in asciicast v2. It may outlive the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recording {
    /// Its ID.
    #[schemars(with = "String")]
    pub id: RecordingId,
    /// The project of the container.
    pub project_id: String,
    /// The container.
    #[schemars(with = "String")]
    pub container: ContainerId,
    /// The container's name when the recording began.
    pub container_name: String,
    /// The exec; absent for the container's main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_id: Option<String>,
    /// The host that keeps it.
    #[schemars(with = "String")]
    pub host: HostName,
    /// Whether the process has a terminal.
    pub tty: bool,
    /// The policy that applied when it began.
    pub policy: RecordPolicy,
    /// When it began.
    #[schemars(with = "String")]
    pub started_at: DateTime<Utc>,
    /// When it ended; absent while it is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<DateTime<Utc>>,
    /// How the session ended, in a few words; empty while it is in progress.
    pub end: String,
    /// The size of its file, in bytes.
    pub size: u64,
}

/// A ticket: a link that plays a recording in a browser, without a certificate. It works once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingTicket {
    /// Its ID, with which it can be revoked.
    pub id: String,
    /// The page that plays the recording. The secret is in the fragment, which browsers do not send.
    pub url: String,
    /// It opens nothing after this time.
    #[schemars(with = "String")]
    pub expires_at: DateTime<Utc>,
}

impl std::fmt::Debug for RecordingTicket {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "RecordingTicket({})", self.id)
    }
}
