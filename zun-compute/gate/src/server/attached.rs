//! Notifies the agent which containers have clients, as `zun-authz` does for clients of Docker. Best effort: it never blocks.

use std::sync::Arc;

use tracing::debug;
use zun_common::grant::{SessionEvent, SessionEventKind};
use zun_common::id::EngineId;
use zun_common::session_notifier::SessionNotifier;

/// A client of a container. The agent counts it as long as this exists.
#[derive(Debug)]
pub(super) struct Attached {
    notifier: Arc<SessionNotifier>,
    grant: String,
    container: EngineId,
    watches: bool,
}

impl Attached {
    pub(super) fn new(
        notifier: Arc<SessionNotifier>,
        grant: String,
        container: EngineId,
        watches: bool,
    ) -> Self {
        let attached = Self::of_former_gate(notifier, grant, container, watches);
        attached.send([SessionEventKind::Begin, SessionEventKind::WaitBegin]);
        attached
    }

    /// A client that a former gate process reported to the agent.
    pub(super) const fn of_former_gate(
        notifier: Arc<SessionNotifier>,
        grant: String,
        container: EngineId,
        watches: bool,
    ) -> Self {
        Self { notifier, grant, container, watches }
    }

    /// The agent expects two events of each client: its stream, and its wait for the exit.
    fn send(&self, kinds: [SessionEventKind; 2]) {
        for kind in kinds {
            let Self { notifier, grant, container, watches } = self;
            let (grant, container) = (grant.clone(), container.clone());
            let event = SessionEvent { kind, watches: *watches, grant, container };
            if let Err(error) = notifier.send(&event) {
                debug!(%error, "cannot notify the agent of a session");
            }
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.send([SessionEventKind::WaitEnd, SessionEventKind::End]);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn the_agent_is_notified_when_a_client_comes_and_goes_and_need_not_be_there() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let notifier = Arc::new(SessionNotifier::to(path.clone()).expect("a socket"));
        let id: EngineId = "ab".repeat(32).parse().expect("an id");
        let attach = || Attached::new(Arc::clone(&notifier), "g1".to_owned(), id.clone(), true);
        drop(attach());
        let agent = UnixDatagram::bind(&path).expect("a socket");
        drop(attach());
        for kind in [
            SessionEventKind::Begin,
            SessionEventKind::WaitBegin,
            SessionEventKind::WaitEnd,
            SessionEventKind::End,
        ] {
            let mut bytes = [0; 1024];
            let length = agent.recv(&mut bytes).expect("an event");
            let event: SessionEvent = serde_json::from_slice(&bytes[..length]).expect("JSON");
            let expected =
                SessionEvent { kind, watches: true, grant: "g1".to_owned(), container: id.clone() };
            assert_eq!(event, expected);
        }
    }
}
