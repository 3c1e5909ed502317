//! Calls about the sessions at a host's console gate.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Call;
use crate::gate_control::{
    Deleted, GateAttachment, GateRecordingTicket, GateRecordings, GateTicket, IssuedTicket,
    RecordingsRequest,
};
use crate::grant::Mode;
use crate::id::{ContainerId, ExecId, GrantId, ProjectId, RecordingId};
use crate::pty::Ticket;

/// Asks for a ticket: a secret that opens a console without a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueTicket {
    /// The container.
    pub container: ContainerId,
    /// The exec, which must belong to the container; the container's own console if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecId>,
    /// Whether the client may send input.
    pub mode: Mode,
    /// The container's project.
    pub project: ProjectId,
    /// The ID under which the sessions are listed, and with which the ticket is revoked.
    pub grant: String,
    /// How long it opens sessions, in seconds.
    pub seconds: u32,
    /// How many sessions it opens.
    pub uses: u32,
    /// Whether its clients may copy the container's files in and out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub files: bool,
}

impl Call for IssueTicket {
    const METHOD: &'static str = "console.ticket";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = ConsoleTicket;
}

/// Lists the sessions of these containers and of their execs at the host's console gate, and tickets that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSessions {
    /// The containers.
    pub containers: Vec<ContainerId>,
}

impl Call for ListSessions {
    const METHOD: &'static str = "console.sessions";
    const DEADLINE: Duration = Duration::from_secs(4);
    type Reply = ConsoleSessions;
}

/// Sessions and tickets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleSessions {
    /// Sessions of clients. A client may be disconnected for a while.
    pub sessions: Vec<ConsoleSession>,
    /// Tickets for sessions that can be used.
    pub tickets: Vec<UsableTicket>,
    /// Tickets for recordings that can be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recordings: Vec<GateRecordingTicket>,
}

/// One client's session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleSession {
    /// The container.
    pub container: ContainerId,
    /// The exec; the container's own console if absent.
    pub exec: Option<ExecId>,
    /// The session, as the gate knows it.
    pub attachment: GateAttachment,
}

/// A ticket that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsableTicket {
    /// The container.
    pub container: ContainerId,
    /// The exec; the container's own console if absent.
    pub exec: Option<ExecId>,
    /// The ticket, as the gate knows it.
    pub ticket: GateTicket,
}

/// Lists the recordings that the host keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRecordings {
    /// Which ones.
    pub selection: RecordingsRequest,
}

impl Call for ListRecordings {
    const METHOD: &'static str = "console.recordings";
    const DEADLINE: Duration = Duration::from_secs(4);
    type Reply = HostRecordings;
}

/// Recordings of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecordings {
    /// The recordings.
    pub kept: GateRecordings,
    /// The `host:port` of the console gate, from which they are downloaded; absent if it is not available.
    pub gate: Option<String>,
}

/// Deletes a recording that has ended. The caller has checked that it may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteRecording {
    /// Its ID.
    pub recording: RecordingId,
}

impl Call for DeleteRecording {
    const METHOD: &'static str = "console.recording.delete";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = Deleted;
}

/// Asks for a ticket with which a browser can read a recording once. The caller has checked that it may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueRecordingTicket {
    /// The recording.
    pub recording: RecordingId,
    /// Its project.
    pub project: ProjectId,
    /// The ID with which the ticket is revoked.
    pub grant: String,
    /// How long it can be used, in seconds.
    pub seconds: u32,
}

impl Call for IssueRecordingTicket {
    const METHOD: &'static str = "console.recording.ticket";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = IssuedTicket;
}

/// Revokes a grant or ticket at the host's console gate, and ends its sessions there. The caller has checked that it is
/// for one of its containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeGrant {
    /// Its ID.
    pub grant: GrantId,
}

impl Call for RevokeGrant {
    const METHOD: &'static str = "console.revoke";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = Revoked;
}

/// A grant was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// How many sessions were ended.
    pub sessions: usize,
}

/// A ticket for a console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleTicket {
    /// The secret.
    pub ticket: Ticket,
    /// The `host:port` that clients with tickets dial.
    pub address: String,
    /// Whether the container or exec has a terminal.
    pub tty: bool,
}
