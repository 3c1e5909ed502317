//! Calls about the sessions at a host's console gate.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Call;
use crate::grant::Mode;
use crate::id::{ContainerId, ExecId, ProjectId};
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
}

impl Call for IssueTicket {
    const METHOD: &'static str = "console.ticket";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = ConsoleTicket;
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
