//! How the control socket accesses a session: it lists, closes and revokes attachments.

use std::time::Instant;

use zun_common::id::EngineId;
use zun_common::pty::{Resume, Size, close};

use super::attachment::Attachment;
use super::token::KeyHash;
use super::{AttachmentId, ConnectionId, Session};

/// One client's access to the session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties of one client")]
pub struct ClientInfo {
    /// The attachment's ID.
    pub id: String,
    /// The ID of the grant that opened it.
    pub grant: String,
    /// Whether the client may send input, and does.
    pub writes: bool,
    /// Whether the client is connected.
    pub connected: bool,
    /// When it was opened.
    pub since: Instant,
    /// How many bytes of stdin were written to the engine.
    pub stdin: u64,
    /// How far stdout was sent.
    pub stdout: u64,
    /// How far stderr was sent.
    pub stderr: u64,
    /// Whether the client may copy files.
    pub files: bool,
}

/// A client's right to copy files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRight {
    /// The container.
    pub container: EngineId,
    /// The ID of the client's grant.
    pub grant: String,
    /// How many bytes a copy may have.
    pub limit: u64,
}

impl Session {
    /// All clients with access, oldest first.
    pub fn clients(&self) -> Vec<ClientInfo> {
        self.attachments.values().map(Attachment::client_info).collect()
    }

    /// How many clients have access.
    pub fn attachments(&self) -> usize {
        self.attachments.len()
    }

    /// Approximately since when the process has had no clients, if it has none.
    pub fn unattended_since(&self) -> Option<Instant> {
        let runs = self.process.running && !self.exited && self.ending.is_none();
        (runs && self.attachments.is_empty()).then_some(self.last_left)
    }

    /// Whose connection this is.
    pub fn client(&self, id: ConnectionId) -> Option<ClientInfo> {
        let connection = self.connections.get(&id)?;
        self.attachments.get(&connection.attachment).map(Attachment::client_info)
    }

    /// The right of the client with this key and token to copy files.
    pub fn file_right(&self, key: KeyHash, resume: &Resume) -> Option<FileRight> {
        let attachment = self.attachments.get(&self.find(key, resume)?)?;
        let container = attachment.files.clone().filter(|_| self.limits.files > 0)?;
        Some(FileRight { container, grant: attachment.grant.clone(), limit: self.limits.files })
    }

    /// Revokes the access of all clients with this grant. Returns how many there were.
    pub fn revoke(&mut self, grant: &str) -> usize {
        let wanted = self.attachments.iter().filter(|(_, attachment)| attachment.grant == grant);
        let found: Vec<(AttachmentId, bool)> = wanted
            .map(|(id, attachment)| (*id, attachment.writes && attachment.confirmed))
            .collect();
        for (id, _) in &found {
            self.end_attachment(*id, close::REVOKED, "revoked");
        }
        if found.iter().any(|(_, wrote)| *wrote) {
            self.end_stdin_without_writers();
        }
        found.len()
    }

    /// Sets the size of the terminal. Returns whether there is one.
    pub fn set_size(&mut self, size: Size) -> bool {
        if self.process.tty {
            self.set_foreign_size(size);
        }
        self.process.tty
    }
}

impl Attachment {
    fn client_info(&self) -> ClientInfo {
        ClientInfo {
            id: self.name.clone(),
            grant: self.grant.clone(),
            writes: self.writes,
            connected: self.connection.is_some(),
            since: self.since,
            stdin: self.stdin.written,
            stdout: self.stdout.sent,
            stderr: self.stderr.sent,
            files: self.files.is_some(),
        }
    }
}
