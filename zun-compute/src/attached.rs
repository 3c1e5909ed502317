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
use zun_common::grant::{SessionEvent, SessionEventKind};
use zun_common::id::EngineId;

const MAX_NOTE: usize = 4096;
const MAX_CONTAINERS: usize = 65_536;

/// The open consoles of each container.
#[derive(Debug, Default)]
pub(crate) struct ConsoleCounter {
    open: HashMap<EngineId, OpenConsoles>,
}

/// What is open of one container, by grant.
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
    /// Every console has a wait open. An engine that has nothing for one who only watches does not notice that he
    /// has gone, but it notices that his wait has: so many watch as there are waits that are not of those who type.
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
    /// One began or ended. Says whether the count changed.
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
pub(crate) struct NoteSocket {
    socket: UnixDatagram,
    path: PathBuf,
    /// The last datagram was malformed; more of them are not logged.
    warned: bool,
}

impl NoteSocket {
    /// Binds the socket, in the place of one that a killed agent left.
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

    /// The next one. What is no note is passed over, with one log line for a row of them.
    pub(crate) async fn next(&mut self) -> io::Result<SessionEvent> {
        let mut buffer = [0; MAX_NOTE];
        loop {
            let length = self.socket.recv(&mut buffer).await?;
            match serde_json::from_slice(buffer.get(..length).unwrap_or_default()) {
                Ok(note) => {
                    self.warned = false;
                    return Ok(note);
                }
                Err(error) if !self.warned => {
                    self.warned = true;
                    tracing::warn!(%error, "passed over a datagram that is no session note");
                }
                Err(_one_more_of_a_row) => {}
            }
        }
    }
}

impl Drop for NoteSocket {
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

    fn note(kind: SessionEventKind, grant: &str) -> SessionEvent {
        SessionEvent { kind, watches: false, grant: grant.to_owned(), container: engine() }
    }

    fn watch(kind: SessionEventKind, grant: &str) -> SessionEvent {
        SessionEvent { watches: true, ..note(kind, grant) }
    }

    #[test]
    fn consoles_are_counted_and_never_below_none() {
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
        assert!(consoles.open.is_empty(), "nothing is kept of containers without consoles");
    }

    #[test]
    fn a_late_end_of_an_earlier_run_leaves_the_new_console_counted() {
        let mut consoles = ConsoleCounter::default();
        consoles.note(note(SessionEventKind::Begin, "old"));
        consoles.ended(&engine());
        consoles.note(note(SessionEventKind::Begin, "new"));
        consoles.note(note(SessionEventKind::End, "old"));
        assert_eq!(consoles.count(&engine()), 1);
    }

    #[test]
    fn who_only_watches_is_counted_for_as_long_as_his_wait_is_open() {
        let mut consoles = ConsoleCounter::default();
        let noted = [
            (note(SessionEventKind::Begin, "types"), 1),
            (note(SessionEventKind::WaitBegin, "types"), 1),
            (watch(SessionEventKind::Begin, "watches"), 1),
            (note(SessionEventKind::WaitBegin, "watches"), 2),
            // A wait that was cut is dialled again with a renewed grant.
            (note(SessionEventKind::WaitEnd, "watches"), 1),
            (note(SessionEventKind::WaitBegin, "renewed"), 2),
            (note(SessionEventKind::End, "types"), 1),
            (note(SessionEventKind::WaitEnd, "types"), 1),
            // He has gone; the engine says so of his wait alone.
            (note(SessionEventKind::WaitEnd, "renewed"), 0),
        ];
        for (note, count) in noted {
            let told = format!("{note:?}");
            let before = consoles.count(&engine());
            assert_eq!(consoles.note(note), before != count, "{told}");
            assert_eq!(consoles.count(&engine()), count, "{told}");
        }
        consoles.note(watch(SessionEventKind::End, "watches"));
        assert!(consoles.open.is_empty());
    }

    #[tokio::test]
    async fn malformed_datagrams_are_passed_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify.sock");
        drop(NoteSocket::bind(&path).expect("bound"));
        let mut notes = NoteSocket::bind(&path).expect("bound again");
        let sender = UnixDatagram::unbound().expect("a socket");
        let good = note(SessionEventKind::Begin, "a");
        for datagram in [&b"junk"[..], b"{}", b"", &serde_json::to_vec(&good).expect("json")] {
            sender.send_to(datagram, &path).await.expect("sent");
        }
        assert_eq!(notes.next().await.expect("a note"), good);
    }
}
