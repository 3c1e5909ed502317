//! How many consoles are open: told by `zun-authz` as datagrams on a local socket, counted here.
//!
//! Best effort on purpose: counts begin at 0 after a restart of the agent or of the engine, a note that
//! is lost is lost, and an end without a beginning counts for nothing.

use std::collections::HashMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;
use zun_common::grant::{SessionNote, SessionNoteKind};
use zun_common::id::EngineId;

const LARGEST_NOTE: usize = 4096;
const MOST_CONTAINERS: usize = 65_536;

/// The open consoles of each container.
#[derive(Debug, Default)]
pub(crate) struct Consoles {
    open: HashMap<EngineId, HashMap<String, u32>>,
}

impl Consoles {
    /// One began or ended. Says whether a count changed.
    pub(crate) fn note(&mut self, note: SessionNote) -> bool {
        let SessionNote { kind, grant, container } = note;
        match kind {
            SessionNoteKind::Begin => {
                if self.open.len() >= MOST_CONTAINERS && !self.open.contains_key(&container) {
                    return false;
                }
                let sessions = self.open.entry(container).or_default().entry(grant).or_default();
                *sessions = sessions.saturating_add(1);
                true
            }
            SessionNoteKind::End => self.end(&container, &grant),
        }
    }

    fn end(&mut self, container: &EngineId, grant: &str) -> bool {
        let Some(grants) = self.open.get_mut(container) else { return false };
        let Some(sessions) = grants.get_mut(grant) else { return false };
        *sessions -= 1;
        if *sessions == 0 {
            grants.remove(grant);
        }
        if grants.is_empty() {
            self.open.remove(container);
        }
        true
    }

    pub(crate) fn count(&self, container: &EngineId) -> u32 {
        self.open
            .get(container)
            .map_or(0, |grants| grants.values().fold(0, |sum, open| sum.saturating_add(*open)))
    }

    /// Its process ended, and its consoles with it.
    pub(crate) fn ended(&mut self, container: &EngineId) {
        self.open.remove(container);
    }

    /// The engine went, and all consoles with it. Says whose.
    pub(crate) fn clear(&mut self) -> Vec<EngineId> {
        std::mem::take(&mut self.open).into_keys().collect()
    }
}

/// The socket that notes come in on. The file goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Notes {
    socket: UnixDatagram,
    path: PathBuf,
    /// The last datagram was malformed; more of them are not logged.
    grumbled: bool,
}

impl Notes {
    /// Binds the socket, in the place of one that a killed agent left.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let socket = UnixDatagram::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o660))?;
        Ok(Self { socket, path: path.to_owned(), grumbled: false })
    }

    /// The next one. What is no note is passed over, with one log line for a row of them.
    pub(crate) async fn next(&mut self) -> io::Result<SessionNote> {
        let mut buffer = [0; LARGEST_NOTE];
        loop {
            let length = self.socket.recv(&mut buffer).await?;
            match serde_json::from_slice(buffer.get(..length).unwrap_or_default()) {
                Ok(note) => {
                    self.grumbled = false;
                    return Ok(note);
                }
                Err(error) if !self.grumbled => {
                    self.grumbled = true;
                    tracing::warn!(%error, "passed over a datagram that is no session note");
                }
                Err(_one_more_of_a_row) => {}
            }
        }
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the notify socket was gone already");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> EngineId {
        "ab".repeat(32).parse().expect("an id")
    }

    fn note(kind: SessionNoteKind, grant: &str) -> SessionNote {
        SessionNote { kind, grant: grant.to_owned(), container: engine() }
    }

    #[test]
    fn consoles_are_counted_and_never_below_none() {
        let mut consoles = Consoles::default();
        assert!(!consoles.note(note(SessionNoteKind::End, "a")));
        assert!(consoles.note(note(SessionNoteKind::Begin, "a")));
        assert!(consoles.note(note(SessionNoteKind::Begin, "a")));
        assert!(consoles.note(note(SessionNoteKind::Begin, "b")));
        assert_eq!(consoles.count(&engine()), 3);
        assert!(!consoles.note(note(SessionNoteKind::End, "never began")));
        for grant in ["a", "b", "a"] {
            assert!(consoles.note(note(SessionNoteKind::End, grant)));
        }
        assert!(!consoles.note(note(SessionNoteKind::End, "a")));
        assert_eq!(consoles.count(&engine()), 0);
        assert!(consoles.open.is_empty(), "nothing is kept of containers without consoles");
    }

    #[test]
    fn a_late_end_of_an_earlier_run_leaves_the_new_console_counted() {
        let mut consoles = Consoles::default();
        consoles.note(note(SessionNoteKind::Begin, "old"));
        consoles.ended(&engine());
        consoles.note(note(SessionNoteKind::Begin, "new"));
        consoles.note(note(SessionNoteKind::End, "old"));
        assert_eq!(consoles.count(&engine()), 1);
    }

    #[tokio::test]
    async fn malformed_datagrams_are_passed_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify.sock");
        drop(Notes::bind(&path).expect("bound"));
        let mut notes = Notes::bind(&path).expect("bound again");
        let sender = UnixDatagram::unbound().expect("a socket");
        let good = note(SessionNoteKind::Begin, "a");
        for datagram in [&b"junk"[..], b"{}", b"", &serde_json::to_vec(&good).expect("json")] {
            sender.send_to(datagram, &path).await.expect("sent");
        }
        assert_eq!(notes.next().await.expect("a note"), good);
    }
}
