//! The control socket of a host's console gate: what the agent asks of it, over HTTP/1.1 with JSON on a unix socket.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /tickets` | [`TicketRequest`] | [`IssuedTicket`] |
//! | `GET /sessions` | | [`GateSessions`] |
//! | `DELETE /grants/{id}` | | [`Closed`] |
//! | `POST /recordings` | [`RecordingsRequest`] | [`GateRecordings`] |
//! | `DELETE /recordings/{id}` | | [`Deleted`] |
//! | `POST /recordings/{id}/ticket` | [`RecordingTicketRequest`] | [`IssuedTicket`] |
//! | `POST /size` | [`SizeRequest`] | [`Closed`], with the number of terminals |
//!
//! An error has a status from 400 on and a [`Refusal`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::grant::Mode;
use crate::id::{ContainerId, EngineId, ExecId, ProjectId, RecordingId};
use crate::pty::{Size, Ticket};
use crate::recording::KeptRecording;

/// What a session is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateTarget {
    /// A container's main process.
    Container(EngineId),
    /// An exec.
    Exec(ExecId),
}

impl fmt::Display for GateTarget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(id) => write!(out, "container {id}"),
            Self::Exec(id) => write!(out, "exec {id}"),
        }
    }
}

/// Asks for a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketRequest {
    /// What it opens.
    pub target: GateTarget,
    /// Whether its client may send input.
    pub mode: Mode,
    /// The project that the target belongs to.
    pub project: ProjectId,
    /// The ID under which its sessions are listed, and with which it is revoked.
    pub grant: String,
    /// How long it opens sessions, in seconds.
    pub seconds: u32,
    /// How many sessions it opens.
    pub uses: u32,
    /// The container whose files its clients may copy in and out; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<EngineId>,
}

/// A new ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedTicket {
    /// The secret.
    pub ticket: Ticket,
    /// The `host:port` that clients with tickets dial.
    pub address: String,
}

/// The sessions that a gate holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateSessions {
    /// All attachments.
    pub attachments: Vec<GateAttachment>,
    /// All tickets for sessions that can be used.
    #[serde(default)]
    pub tickets: Vec<GateTicket>,
    /// All tickets for recordings that can be used.
    #[serde(default)]
    pub recordings: Vec<GateRecordingTicket>,
}

/// A ticket that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateTicket {
    /// Its ID.
    pub grant: String,
    /// What it opens.
    pub target: GateTarget,
    /// Whether its client may send input.
    pub mode: Mode,
    /// For how many sessions more.
    pub uses: u32,
    /// For how many seconds more.
    pub seconds: u64,
    /// Whether its clients may copy files in and out.
    #[serde(default)]
    pub files: bool,
}

/// Asks for a ticket with which a recording can be read once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingTicketRequest {
    /// The project of the recording. The request is refused if it belongs to another one.
    pub project: ProjectId,
    /// The ID with which the ticket is revoked.
    pub grant: String,
    /// How long it can be used, in seconds.
    pub seconds: u32,
}

/// A ticket for a recording that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRecordingTicket {
    /// Its ID.
    pub grant: String,
    /// The recording that it is for.
    pub recording: RecordingId,
    /// The container of the recording.
    pub container: ContainerId,
    /// For how many seconds more.
    pub seconds: u64,
}

/// One client's session. It may be without a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub struct GateAttachment {
    /// Its ID.
    pub id: String,
    /// What it is connected to.
    pub target: GateTarget,
    /// Whether the process has a terminal.
    pub tty: bool,
    /// The ID of the grant or ticket that opened it. Empty for an exec that runs without clients.
    pub grant: String,
    /// Whether the client may send input, and does.
    pub writes: bool,
    /// Whether the client is connected now.
    pub connected: bool,
    /// How long ago it was opened, in seconds. For an exec without clients, about how long ago the last one
    /// disconnected.
    pub age: u64,
    /// Bytes of stdin that the process has received from this client.
    pub stdin: u64,
    /// The offset in stdout up to which output was sent to the client.
    pub stdout: u64,
    /// The same for stderr.
    pub stderr: u64,
    /// Whether the client may copy files in and out.
    #[serde(default)]
    pub files: bool,
}

/// Sets the size of a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeRequest {
    /// Whose terminal.
    pub target: GateTarget,
    /// The size.
    pub size: Size,
}

/// How many sessions a request was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// How many.
    pub sessions: usize,
}

/// Selects recordings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingsRequest {
    /// Only those of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// Only those of this container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerId>,
    /// Only those of containers that had this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only the one with this ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RecordingId>,
}

/// The most recordings of an answer.
pub const MOST_RECORDINGS: usize = 1000;

/// The recordings that a gate keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRecordings {
    /// The newest ones that were selected, the oldest first: at most [`MOST_RECORDINGS`].
    pub recordings: Vec<KeptRecording>,
    /// Whether there are older ones.
    #[serde(default)]
    pub more: bool,
}

/// A recording was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The size of its file, in bytes.
    pub size: u64,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// One sentence for people.
    pub message: String,
}
