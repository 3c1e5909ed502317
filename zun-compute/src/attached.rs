//! Counts open consoles from the session events that `zun-authz` sends as datagrams to a local socket.
//!
//! The count is best effort. It starts at 0 after a restart of the agent or of Docker, lost events are not sent
//! again, and an end without a begin is ignored.

use std::collections::HashMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;
use zun_common::grant::{SessionEvent, SessionEventKind};
use zun_common::id::EngineId;

const MAX_EVENT: usize = 4096;
const MAX_CONTAINERS: usize = 65_536;

/// Counts the open consoles of each container.
#[derive(Debug, Default)]
pub(crate) struct ConsoleCounter {
    open: HashMap<EngineId, OpenConsoles>,
}

/// The open sessions of one container, by grant.
#[derive(Debug, Default)]
struct OpenConsoles {
    writers: Sessions,
    viewers: Sessions,
    waits: Sessions,
}

#[derive(Debug, Default)]
struct Sessions(HashMap<String, u32>);

impl Sessions {
    fn begin(&mut self, grant: String) {
        let sessions = self.0.entry(grant).or_default();
        *sessions = sessions.saturating_add(1);
    }

    fn end(&mut self, grant: &str) {
        let Some(sessions) = self.0.get_mut(grant) else { return };
        *sessions -= 1;
        if *sessions == 0 {
            self.0.remove(grant);
        }
    }

    fn count(&self) -> u32 {
        self.0.values().fold(0, |sum, open| sum.saturating_add(*open))
    }
}

impl OpenConsoles {
    /// Counts writers by their stream, and read-only viewers by their wait request.
    ///
    /// Docker does not notice that a viewer has disconnected while there is no output for it, but it does notice the
    /// end of the viewer's wait. Every console has a wait open, so the waits that do not belong to writers belong to
    /// viewers.
    fn count(&self) -> u32 {
        let writers = self.writers.count();
        let others = self.waits.count().saturating_sub(writers);
        writers.saturating_add(self.viewers.count().min(others))
    }

    fn is_empty(&self) -> bool {
        [&self.writers, &self.viewers, &self.waits].iter().all(|sessions| sessions.0.is_empty())
    }
}

impl ConsoleCounter {
    /// Counts a session that began or ended. Returns whether the container's count changed.
    pub(crate) fn note(&mut self, note: SessionEvent) -> bool {
        let SessionEvent { kind, watches, grant, container } = note;
        let begins = matches!(kind, SessionEventKind::Begin | SessionEventKind::WaitBegin);
        let is_known = self.open.contains_key(&container);
        if !is_known && (!begins || self.open.len() >= MAX_CONTAINERS) {
            return false;
        }
        let open = self.open.entry(container.clone()).or_default();
        let before = open.count();
        let sessions = match kind {
            SessionEventKind::WaitBegin | SessionEventKind::WaitEnd => &mut open.waits,
            SessionEventKind::Begin | SessionEventKind::End if watches => &mut open.viewers,
            SessionEventKind::Begin | SessionEventKind::End => &mut open.writers,
        };
        if begins {
            sessions.begin(grant);
        } else {
            sessions.end(&grant);
        }
        let after = open.count();
        if open.is_empty() {
            self.open.remove(&container);
        }
        before != after
    }

    pub(crate) fn count(&self, container: &EngineId) -> u32 {
        self.open.get(container).map_or(0, OpenConsoles::count)
    }

    /// The open consoles of all containers.
    pub(crate) fn total(&self) -> u32 {
        self.open.values().fold(0, |sum, open| sum.saturating_add(open.count()))
    }

    /// Forgets a container's consoles after its process has exited.
    pub(crate) fn ended(&mut self, container: &EngineId) {
        self.open.remove(container);
    }

    /// Forgets all consoles after Docker has stopped. Returns the containers that had open consoles.
    pub(crate) fn clear(&mut self) -> Vec<EngineId> {
        std::mem::take(&mut self.open).into_keys().collect()
    }
}

/// The socket that receives session events. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct SessionEventSocket {
    socket: UnixDatagram,
    path: PathBuf,
    /// Whether the last datagram was malformed and logged. Only the first of several in a row is logged.
    warned: bool,
}

impl SessionEventSocket {
    /// Binds the socket. Replaces the file that a killed agent left.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let socket = UnixDatagram::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o660))?;
        Ok(Self { socket, path: path.to_owned(), warned: false })
    }

    /// Receives the next session event. Malformed datagrams are skipped.
    pub(crate) async fn next(&mut self) -> io::Result<SessionEvent> {
        let mut buffer = [0; MAX_EVENT];
        loop {
            let length = self.socket.recv(&mut buffer).await?;
            match serde_json::from_slice(buffer.get(..length).unwrap_or_default()) {
                Ok(note) => {
                    self.warned = false;
                    return Ok(note);
                }
                Err(error) if !self.warned => {
                    self.warned = true;
                    tracing::warn!(%error, "skipped a malformed datagram on the notify socket");
                }
                Err(_repeated) => {}
            }
        }
    }
}

impl Drop for SessionEventSocket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "cannot remove the notify socket");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> EngineId {
        "ab".repeat(32).parse().expect("an id")
    }

    fn note(kind: SessionEventKind, grant: &str) -> SessionEvent {
        SessionEvent { kind, watches: false, grant: grant.to_owned(), container: engine() }
    }

    fn watch(kind: SessionEventKind, grant: &str) -> SessionEvent {
        SessionEvent { watches: true, ..note(kind, grant) }
    }

    #[test]
    fn consoles_are_counted_and_the_count_is_never_negative() {
        let mut consoles = ConsoleCounter::default();
        assert!(!consoles.note(note(SessionEventKind::End, "a")));
        assert!(consoles.note(note(SessionEventKind::Begin, "a")));
        assert!(consoles.note(note(SessionEventKind::Begin, "a")));
        assert!(consoles.note(note(SessionEventKind::Begin, "b")));
        assert_eq!(consoles.count(&engine()), 3);
        assert!(!consoles.note(note(SessionEventKind::End, "never began")));
        for grant in ["a", "b", "a"] {
            assert!(consoles.note(note(SessionEventKind::End, grant)));
        }
        assert!(!consoles.note(note(SessionEventKind::End, "a")));
        assert_eq!(consoles.count(&engine()), 0);
        assert!(consoles.open.is_empty(), "containers without consoles must be forgotten");
    }

    #[test]
    fn a_late_end_of_an_earlier_run_does_not_count_against_the_new_console() {
        let mut consoles = ConsoleCounter::default();
        consoles.note(note(SessionEventKind::Begin, "old"));
        consoles.ended(&engine());
        consoles.note(note(SessionEventKind::Begin, "new"));
        consoles.note(note(SessionEventKind::End, "old"));
        assert_eq!(consoles.count(&engine()), 1);
    }

    #[test]
    fn a_viewer_counts_as_long_as_its_wait_is_open() {
        let mut consoles = ConsoleCounter::default();
        let noted = [
            (note(SessionEventKind::Begin, "types"), 1),
            (note(SessionEventKind::WaitBegin, "types"), 1),
            (watch(SessionEventKind::Begin, "watches"), 1),
            (note(SessionEventKind::WaitBegin, "watches"), 2),
            // After its link was lost, a wait is dialled again with a renewed grant.
            (note(SessionEventKind::WaitEnd, "watches"), 1),
            (note(SessionEventKind::WaitBegin, "renewed"), 2),
            (note(SessionEventKind::End, "types"), 1),
            (note(SessionEventKind::WaitEnd, "types"), 1),
            // The viewer has disconnected: Docker ends only its wait.
            (note(SessionEventKind::WaitEnd, "renewed"), 0),
        ];
        for (note, count) in noted {
            let shown = format!("{note:?}");
            let before = consoles.count(&engine());
            assert_eq!(consoles.note(note), before != count, "{shown}");
            assert_eq!(consoles.count(&engine()), count, "{shown}");
        }
        consoles.note(watch(SessionEventKind::End, "watches"));
        assert!(consoles.open.is_empty());
    }

    #[tokio::test]
    async fn malformed_datagrams_are_skipped() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify.sock");
        drop(SessionEventSocket::bind(&path).expect("bound"));
        let mut events = SessionEventSocket::bind(&path).expect("bound again");
        let sender = UnixDatagram::unbound().expect("a socket");
        let good = note(SessionEventKind::Begin, "a");
        for datagram in [&b"junk"[..], b"{}", b"", &serde_json::to_vec(&good).expect("json")] {
            sender.send_to(datagram, &path).await.expect("sent");
        }
        assert_eq!(events.next().await.expect("an event"), good);
    }
}
