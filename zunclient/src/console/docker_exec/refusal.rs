//! A command that cannot be run: Docker says so on stdout and exits with 126 whatever the reason. A shell
//! says so on stderr, with 127 where there is no such command.

use bytes::Bytes;

use crate::console::Event;

const WORDS: &[u8] = b"OCI runtime exec failed: ";
const CANNOT_RUN: i64 = 126;
const NOT_FOUND: i64 = 127;

/// Holds back the first output while it may be Docker's refusal.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    held: Option<Bytes>,
    passed: bool,
}

impl Refusal {
    /// Takes output; gives back what is surely the command's own, in order.
    pub(super) fn take(&mut self, event: Event) -> Vec<Event> {
        match event {
            Event::Stdout(bytes) if !self.passed && self.held.is_none() && begins(&bytes) => {
                self.held = Some(bytes);
                Vec::new()
            }
            Event::Stdout(_) | Event::Stderr(_) | Event::Exit(_) | Event::Lost(_) => {
                self.passed = true;
                let held = self.held.take().map(Event::Stdout);
                held.into_iter().chain([event]).collect()
            }
        }
    }

    /// The last events, once the exit code is known.
    pub(super) fn end(&mut self, code: Option<i64>) -> Vec<Event> {
        let exit = |code| Event::Exit(code);
        match (self.held.take(), code) {
            (Some(words), Some(CANNOT_RUN)) => {
                let told = code_of(&String::from_utf8_lossy(&words));
                vec![Event::Stderr(words), exit(told)]
            }
            (held, code) => held.map(Event::Stdout).into_iter().chain(code.map(exit)).collect(),
        }
    }
}

fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(WORDS)
}

/// Whether the words are about the command, and not about the engine.
pub(super) fn is_of_command(words: &str) -> bool {
    words.contains("OCI runtime exec failed")
}

/// As a shell would exit.
pub(super) fn code_of(words: &str) -> i64 {
    let missing = ["executable file not found", "no such file or directory"];
    if missing.iter().any(|part| words.contains(part)) { NOT_FOUND } else { CANNOT_RUN }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSING: &[u8] =
        b"OCI runtime exec failed: exec: \"x\": executable file not found in $PATH";
    const DENIED: &[u8] = b"OCI runtime exec failed: exec: \"/etc/passwd\": permission denied";

    fn stdout(bytes: &'static [u8]) -> Event {
        Event::Stdout(Bytes::from_static(bytes))
    }

    #[test]
    fn a_missing_command_is_127_with_its_words_on_stderr() {
        for (words, code) in [(MISSING, 127), (DENIED, 126)] {
            let mut refusal = Refusal::default();
            assert_eq!(refusal.take(stdout(words)), []);
            let expected = [Event::Stderr(Bytes::from_static(words)), Event::Exit(code)];
            assert_eq!(refusal.end(Some(126)), expected);
        }
    }

    #[test]
    fn a_command_that_prints_such_words_keeps_them() {
        let mut refusal = Refusal::default();
        assert_eq!(refusal.take(stdout(MISSING)), []);
        assert_eq!(refusal.take(stdout(b"more")), [stdout(MISSING), stdout(b"more")]);
        assert_eq!(refusal.end(Some(126)), [Event::Exit(126)]);
        let mut refusal = Refusal::default();
        assert_eq!(refusal.take(stdout(MISSING)), []);
        assert_eq!(refusal.end(Some(0)), [stdout(MISSING), Event::Exit(0)]);
        assert_eq!(Refusal::default().end(None), []);
    }
}
