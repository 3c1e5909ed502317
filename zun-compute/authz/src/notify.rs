//! Notifies the agent when a console session begins or ends. Events are sent best effort and never
//! block a decision.

use std::io;
use std::path::PathBuf;

use zun_common::grant::{SessionEvent, SessionEventKind};
use zun_common::id::EngineId;
use zun_common::session_notifier::SessionNotifier;

use super::decision::{ConsoleCall, Phase};

/// Sends session events to the agent.
pub(super) struct Notifier(SessionNotifier);

impl Notifier {
    pub(super) fn to(agent: PathBuf) -> io::Result<Self> {
        SessionNotifier::to(agent).map(Self)
    }

    /// Sends one event without blocking. Fails if the agent does not listen or its buffer is full.
    pub(super) fn send(
        &self,
        grant: &str,
        (console_call, container): (ConsoleCall, EngineId),
        phase: Phase,
    ) -> io::Result<()> {
        let kind = match (console_call, phase) {
            (ConsoleCall::Stream | ConsoleCall::ReadOnlyStream, Phase::Request) => {
                SessionEventKind::Begin
            }
            (ConsoleCall::Stream | ConsoleCall::ReadOnlyStream, Phase::Answer) => {
                SessionEventKind::End
            }
            (ConsoleCall::Wait, Phase::Request) => SessionEventKind::WaitBegin,
            (ConsoleCall::Wait, Phase::Answer) => SessionEventKind::WaitEnd,
        };
        let watches = console_call == ConsoleCall::ReadOnlyStream;
        self.0.send(&SessionEvent { kind, watches, grant: grant.to_owned(), container })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn id() -> EngineId {
        "ab".repeat(32).parse().expect("an id")
    }

    #[test]
    fn an_event_is_one_json_datagram() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("events");
        let agent = UnixDatagram::bind(&path).expect("a socket");
        let notifier = Notifier::to(path).expect("a notifier");
        for (console_call, kind, watches) in [
            (ConsoleCall::Stream, SessionEventKind::End, false),
            (ConsoleCall::ReadOnlyStream, SessionEventKind::End, true),
            (ConsoleCall::Wait, SessionEventKind::WaitEnd, false),
        ] {
            notifier.send("g1", (console_call, id()), Phase::Answer).expect("sent");
            let mut bytes = [0; 1024];
            let length = agent.recv(&mut bytes).expect("an event");
            let event: SessionEvent = serde_json::from_slice(&bytes[..length]).expect("json");
            let expected = SessionEvent { kind, watches, grant: "g1".to_owned(), container: id() };
            assert_eq!(event, expected);
        }
    }

    #[test]
    fn an_agent_that_is_absent_or_does_not_read_never_blocks_the_plugin() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("events");
        let notifier = Notifier::to(path.clone()).expect("a notifier");
        let send = || notifier.send("g1", (ConsoleCall::Stream, id()), Phase::Request);
        assert!(send().is_err());
        let _not_reading = UnixDatagram::bind(&path).expect("a socket");
        let refused = (0..10_000).find_map(|_| send().err());
        assert_eq!(refused.expect("the buffer fills up").kind(), io::ErrorKind::WouldBlock);
    }
}
