//! Tells Docker's reason for a command that could not start from the command's own output: Docker writes it to the
//! stream of the output, as one line.

use bytes::Bytes;
use zun_common::docker_errors::{NO_REASON, exit_code_of_exec, user_message};

use super::Inspected;
use crate::console::Event;

/// A reason is not longer than this.
const LONGEST: usize = 8 << 10;

/// Holds back the first output while it may be Docker's reason.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    held: Option<Event>,
    passed: bool,
}

impl Refusal {
    /// Takes an event, and returns what is surely the command's own, in order.
    pub(super) fn take(&mut self, event: Event) -> Vec<Event> {
        if !self.passed && self.held.is_none() && may_be_reason(&event) {
            self.held = Some(event);
            return Vec::new();
        }
        self.release().into_iter().chain([event]).collect()
    }

    pub(super) const fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// The command has begun: all output is its own.
    pub(super) fn release(&mut self) -> Option<Event> {
        self.passed = true;
        self.held.take()
    }

    /// Returns the last events, once Docker has shown how the command ended.
    pub(super) fn end(&mut self, end: Option<Inspected>) -> Vec<Event> {
        let never_began = end.as_ref().is_some_and(|end| !end.has_begun());
        let code = end.and_then(|end| end.exit_code);
        match (self.held.take(), code) {
            (Some(Event::Stdout(message) | Event::Stderr(message)), Some(_)) if never_began => {
                vec![not_started(user_message(&String::from_utf8_lossy(&message)))]
            }
            (None, Some(_)) if never_began && !self.passed => {
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
        Event::Exit(_) | Event::NotStarted { .. } | Event::Lost(_) => false,
    }
}

fn is_one_line(bytes: &Bytes) -> bool {
    let first_end = bytes.windows(2).position(|pair| pair == b"\r\n");
    bytes.len() <= LONGEST && first_end.is_some_and(|at| at + 2 == bytes.len())
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

    fn ended(pid: i64) -> Inspected {
        Inspected { running: false, exit_code: Some(126), pid: Some(pid) }
    }

    #[test]
    fn what_docker_says_of_a_command_without_a_process_is_the_reason() {
        for (message, code, reason) in [
            (MISSING, 127, "exec: \"x\": executable file not found in $PATH"),
            (USER, 126, "unable to find user nobody: no matching entries in passwd file"),
        ] {
            let mut refusal = Refusal::default();
            assert_eq!(refusal.take(stdout(message)), []);
            let reason = reason.to_owned();
            assert_eq!(refusal.end(Some(ended(0))), [Event::NotStarted { code, reason }]);
        }
        let nothing = [not_started(NO_REASON.to_owned())];
        assert_eq!(Refusal::default().end(Some(ended(0))), nothing);
    }

    #[test]
    fn a_command_that_prints_such_words_keeps_them() {
        for message in [MISSING, USER] {
            let mut refusal = Refusal::default();
            assert_eq!(refusal.take(stdout(message)), []);
            assert_eq!(refusal.end(Some(ended(7))), [stdout(message), Event::Exit(126)]);
            let mut refusal = Refusal::default();
            assert_eq!(refusal.take(stdout(message)), []);
            assert_eq!(refusal.take(stdout("more\r\n")), [stdout(message), stdout("more\r\n")]);
            assert_eq!(refusal.end(Some(ended(7))), [Event::Exit(126)]);
        }
    }

    #[test]
    fn only_one_whole_line_is_held_and_not_for_ever() {
        for message in ["", "/ # ", "one\n", "one\r\ntwo\r\n", "\r\n\r\n"] {
            let mut refusal = Refusal::default();
            assert_eq!(refusal.take(stdout(message)), [stdout(message)]);
            assert_eq!(refusal.take(stdout(USER)), [stdout(USER)]);
        }
        let mut refusal = Refusal::default();
        assert_eq!(refusal.take(stdout(USER)), []);
        assert!(refusal.holds());
        assert_eq!(refusal.release(), Some(stdout(USER)));
        assert!(!refusal.holds());
        assert_eq!(refusal.end(None), []);
    }
}
