//! Why a session ends, as an event for the user.

use std::time::Duration;

use zun_common::pty::{Ending, EndingReason, close};

use super::session::Violation;
use crate::console::{Closing, Event};

/// The exit code of a shell for a command that cannot be started, if the gate does not say which.
const CANNOT_START: i64 = 126;

/// Translates the gate's last message.
pub(super) fn events_of(ending: Ending) -> Option<Event> {
    let Ending { message, zun, .. } = ending;
    let code = zun.exit_code;
    let why = |instead: &str| if message.is_empty() { instead.to_owned() } else { message.clone() };
    let closed = |why: String, may_run| Some(Event::Closed(Closing { why, code, may_run }));
    match zun.reason {
        EndingReason::Exited => code.map(Event::Exit),
        EndingReason::NotStarted => {
            let code = code.unwrap_or(CANNOT_START);
            Some(Event::NotStarted { code, reason: why("the host could not start it") })
        }
        EndingReason::Detached => closed("the host ended the session".to_owned(), true),
        EndingReason::Restarted => {
            let exited = code.map(|code| format!("it exited with {code} and was restarted"));
            closed(exited.unwrap_or_else(|| "it was restarted".to_owned()), true)
        }
        EndingReason::Removed => closed("it was removed".to_owned(), false),
        EndingReason::Revoked => Some(Event::Closed(revoked(&message))),
        EndingReason::EngineLost => Some(Event::Lost(why("the container engine ended the stream"))),
        EndingReason::Other => closed(why("the host ended the session"), true),
    }
}

/// What the closing of a link means for its session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// The client resumes.
    Resumable(String),
    /// The session is over.
    Final(Closing),
}

/// Classifies the close code of the gate's websocket, or the status with which it refuses a resume.
pub(super) fn closed(code: u16, message: &str) -> Closed {
    let still_there = |why: &str| Closed::Final(Closing::may_run(why));
    match code {
        close::REVOKED => Closed::Final(revoked(message)),
        // Without the session, the gate checks only the request's certificate, which may have expired.
        close::UNKNOWN_SESSION | 401 | 403 | 404 | 409 | 410 => Closed::Final(lost_session()),
        close::REPLACED => still_there("another connection has taken over the session"),
        close::TOO_SLOW => still_there("this client did not read the output for too long"),
        close::NOT_RECORDED => {
            still_there("it must be recorded, and the host could no longer record it")
        }
        close::PROTOCOL_ERROR | 400 | 426 => {
            let why = if message.is_empty() { "the host refused a message" } else { message };
            Closed::Final(Closing::bad_protocol(why))
        }
        close::RESTARTING => Closed::Resumable("the console gate is restarting".to_owned()),
        _ if message.is_empty() => Closed::Resumable(format!("closed with {code}")),
        _ => Closed::Resumable(format!("closed with {code}: {message}")),
    }
}

/// The session that the client wants to resume does not exist.
pub(super) fn lost_session() -> Closing {
    Closing::may_run("the host no longer has the session")
}

/// The link was not restored in time.
pub(super) fn too_long(host: &str, limit: Duration, last: &str) -> Closing {
    let limit = humantime::format_duration(limit);
    Closing::may_run(&format!("there was no connection to {host} for {limit} ({last})"))
}

fn revoked(message: &str) -> Closing {
    let why = "your access to the session was revoked";
    let why = if message.is_empty() { why.to_owned() } else { format!("{why}: {message}") };
    Closing { why, code: None, may_run: false }
}

impl From<Violation> for Closing {
    fn from(violation: Violation) -> Self {
        Self::bad_protocol(violation.0)
    }
}

impl Closing {
    /// One side broke the protocol, and how.
    pub(super) fn bad_protocol(what: &str) -> Self {
        let why = format!(
            "the console gate violated the protocol ({what}); install the version of zun that the host has, if they differ"
        );
        Self { why, code: None, may_run: true }
    }

    fn may_run(why: &str) -> Self {
        Self { why: why.to_owned(), code: None, may_run: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_of_a_restarted_container_is_not_taken_for_that_of_the_session() {
        let events = events_of(Ending::with_code(EndingReason::Restarted, 0, ""));
        let why = "it exited with 0 and was restarted".to_owned();
        assert_eq!(events, Some(Event::Closed(Closing { why, code: Some(0), may_run: true })));
    }

    #[test]
    fn an_end_of_which_nothing_is_known_is_no_exit() {
        let lost = events_of(Ending::new(EndingReason::EngineLost, "dockerd stopped"));
        assert_eq!(lost, Some(Event::Lost("dockerd stopped".to_owned())));
        assert_eq!(events_of(Ending::new(EndingReason::Exited, "")), None);
        let started = events_of(Ending::with_code(EndingReason::NotStarted, 127, "not found"));
        let reason = "not found".to_owned();
        assert_eq!(started, Some(Event::NotStarted { code: 127, reason }));
    }

    #[test]
    fn only_some_codes_end_the_session() {
        for code in [1006, 1011, close::RESTARTING, close::TRY_LATER, 502, 503] {
            assert!(matches!(closed(code, ""), Closed::Resumable(_)), "{code}");
        }
        for code in [
            close::PROTOCOL_ERROR,
            close::REVOKED,
            close::UNKNOWN_SESSION,
            close::REPLACED,
            close::TOO_SLOW,
            403,
            404,
        ] {
            assert!(matches!(closed(code, "why"), Closed::Final(_)), "{code}");
        }
    }
}
