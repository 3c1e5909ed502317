//! What the control socket reads and changes in all sessions.

use std::sync::Arc;
use std::time::Instant;

use zun_common::gate_control::GateAttachment;
use zun_common::pty::{ClientHello, Resume, Size};

use super::{ConnectError, Connected, Hub, Live};
use crate::engine::Target;
use crate::session::{ClientInfo, FileRight, JoinRefused, KeyHash};

/// How many characters of an exec's ID are shown.
const SHORT_ID: usize = 12;

impl Hub {
    /// Connects a client to the session that it resumes, whatever its target.
    pub fn resume(&self, key: KeyHash, hello: &ClientHello) -> Result<Connected, ConnectError> {
        let resume = hello.resume.clone().ok_or(JoinRefused::Unknown)?;
        let live = self.find(&resume).ok_or(JoinRefused::Unknown)?;
        let id = live.change(|session, now| session.resume(key, hello, resume, now))?;
        Ok(Connected::new(live, id))
    }

    /// The right of the client of a session to copy files.
    pub fn file_right(&self, key: KeyHash, resume: &Resume) -> Option<FileRight> {
        self.find(resume)?.read(|session| session.file_right(key, resume))
    }

    /// All clients' sessions.
    pub fn attachments(&self) -> Vec<GateAttachment> {
        let now = Instant::now();
        let mut all = Vec::new();
        for live in self.all() {
            let (process, clients) = live.read(|session| (session.process(), session.clients()));
            all.extend(
                clients
                    .into_iter()
                    .map(|client| shown(client, live.target().clone(), process.tty, now)),
            );
        }
        all
    }

    /// The execs that run without clients, in the same form. They are listed by the beginning of the exec's ID, and have no
    /// grant.
    pub fn unattended(&self) -> Vec<GateAttachment> {
        let now = Instant::now();
        let all = self.all();
        let execs = all.iter().filter_map(|live| {
            let Target::Exec(exec) = live.target() else { return None };
            let (since, tty) =
                live.read(|session| Some((session.unattended_since()?, session.process().tty)))?;
            let client = ClientInfo {
                id: exec.as_str().chars().take(SHORT_ID).collect(),
                grant: String::new(),
                writes: false,
                connected: false,
                since,
                stdin: 0,
                stdout: 0,
                stderr: 0,
                files: false,
            };
            Some(shown(client, live.target().clone(), tty, now))
        });
        execs.collect()
    }

    /// Ends all clients' sessions of a grant. Returns how many.
    pub fn revoke(&self, grant: &str) -> usize {
        self.all().iter().map(|live| live.change(|session, _| session.revoke(grant))).sum()
    }

    /// Sets the size of a target's terminal. Returns whether its session is here and has one.
    pub fn resize(&self, target: &Target, size: Size) -> bool {
        self.present(target)
            .is_some_and(|(_, live)| live.change(|session, _| session.set_size(size)))
    }

    fn all(&self) -> Vec<Arc<Live>> {
        self.sessions().live.values().map(Arc::clone).collect()
    }
}

fn shown(client: ClientInfo, target: Target, tty: bool, now: Instant) -> GateAttachment {
    let ClientInfo { id, grant, writes, connected, since, stdin, stdout, stderr, files } = client;
    let age = now.saturating_duration_since(since).as_secs();
    GateAttachment { id, target, tty, grant, writes, connected, age, stdin, stdout, stderr, files }
}
