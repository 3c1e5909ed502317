//! Distinguishes Docker's reason for a failed start from the command's own output. Docker writes the reason to the
//! output stream as one line.

use bytes::Bytes;
use zun_common::docker_errors::{NO_REASON, exit_code_of_exec, user_message};

use super::ExecState;
use crate::console::Event;

/// The longest line that can be a reason, in bytes.
const MAX_REASON: usize = 8 << 10;

/// Holds back the first output while it may be Docker's reason.
#[derive(Debug, Default)]
pub(super) struct StartFailure {
    held: Option<Event>,
    passed: bool,
}

impl StartFailure {
    /// Adds an event. Returns the events that are certainly output of the command, in order.
    pub(super) fn take(&mut self, event: Event) -> Vec<Event> {
        if !self.passed && self.held.is_none() && may_be_reason(&event) {
            self.held = Some(event);
            return Vec::new();
        }
        self.release().into_iter().chain([event]).collect()
    }

    pub(super) const fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// Returns the event that was held back, because the command has started. Later output is never held back.
    pub(super) fn release(&mut self) -> Option<Event> {
        self.passed = true;
        self.held.take()
    }

    /// Returns the last events. `end` is the state of the exec, if Docker reported it.
    pub(super) fn end(&mut self, end: Option<ExecState>) -> Vec<Event> {
        let never_started = end.as_ref().is_some_and(|end| !end.has_started());
        let code = end.and_then(|end| end.exit_code);
        match (self.held.take(), code) {
            (Some(Event::Stdout(message) | Event::Stderr(message)), Some(_)) if never_started => {
                vec![not_started(user_message(&String::from_utf8_lossy(&message)))]
            }
            (None, Some(_)) if never_started && !self.passed => {
                vec![not_started(NO_REASON.to_owned())]
            }
            (held, code) => held.into_iter().chain(code.map(Event::Exit)).collect(),
        }
    }
}

fn not_started(reason: String) -> Event {
    Event::NotStarted { code: exit_code_of_exec(&reason), reason }
}

fn may_be_reason(event: &Event) -> bool {
    match event {
        Event::Stdout(bytes) | Event::Stderr(bytes) => is_one_line(bytes),
        Event::Exit(_)
        | Event::NotStarted { .. }
        | Event::Lost(_)
        | Event::Closed(_)
        | Event::Gap(_)
        | Event::Notice(_)
        | Event::Snapshot(_)
        | Event::TerminalSize { .. }
        | Event::Reconnecting { .. }
        | Event::Reconnected => false,
    }
}

fn is_one_line(bytes: &Bytes) -> bool {
    let first_end = bytes.windows(2).position(|pair| pair == b"\r\n");
    bytes.len() <= MAX_REASON && first_end.is_some_and(|at| at + 2 == bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSING: &str = "OCI runtime exec failed: exec failed: unable to start container process: \
                           exec: \"x\": executable file not found in $PATH: unknown\r\n";
    const USER: &str = "unable to find user nobody: no matching entries in passwd file\r\n";

    fn stdout(message: &'static str) -> Event {
        Event::Stdout(Bytes::from_static(message.as_bytes()))
    }

    fn ended(pid: i64) -> ExecState {
        ExecState { running: false, exit_code: Some(126), pid: Some(pid) }
    }

    #[test]
    fn a_line_before_a_failed_start_is_dockers_reason() {
        for (message, code, reason) in [
            (MISSING, 127, "exec: \"x\": executable file not found in $PATH"),
            (USER, 126, "unable to find user nobody: no matching entries in passwd file"),
        ] {
            let mut start_failure = StartFailure::default();
            assert_eq!(start_failure.take(stdout(message)), []);
            let reason = reason.to_owned();
            assert_eq!(start_failure.end(Some(ended(0))), [Event::NotStarted { code, reason }]);
        }
        let nothing = [not_started(NO_REASON.to_owned())];
        assert_eq!(StartFailure::default().end(Some(ended(0))), nothing);
    }

    #[test]
    fn a_command_that_prints_such_a_line_keeps_its_output() {
        for message in [MISSING, USER] {
            let mut start_failure = StartFailure::default();
            assert_eq!(start_failure.take(stdout(message)), []);
            assert_eq!(start_failure.end(Some(ended(7))), [stdout(message), Event::Exit(126)]);
            let mut start_failure = StartFailure::default();
            assert_eq!(start_failure.take(stdout(message)), []);
            assert_eq!(
                start_failure.take(stdout("more\r\n")),
                [stdout(message), stdout("more\r\n")]
            );
            assert_eq!(start_failure.end(Some(ended(7))), [Event::Exit(126)]);
        }
    }

    #[test]
    fn only_one_whole_first_line_is_held_back_and_only_for_a_while() {
        for message in ["", "/ # ", "one\n", "one\r\ntwo\r\n", "\r\n\r\n"] {
            let mut start_failure = StartFailure::default();
            assert_eq!(start_failure.take(stdout(message)), [stdout(message)]);
            assert_eq!(start_failure.take(stdout(USER)), [stdout(USER)]);
        }
        let mut start_failure = StartFailure::default();
        assert_eq!(start_failure.take(stdout(USER)), []);
        assert!(start_failure.is_holding());
        assert_eq!(start_failure.release(), Some(stdout(USER)));
        assert!(!start_failure.is_holding());
        assert_eq!(start_failure.end(None), []);
    }
}
