//! Parses signals by name or number.

use crate::driver::DriverError;

const NAMES: [(&str, u8); 10] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("TERM", 15),
    ("CONT", 18),
    ("STOP", 19),
    ("WINCH", 28),
];

/// A signal's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signal(u8);

impl Signal {
    pub(super) const KILL: Self = Self(9);
    pub(super) const TERM: Self = Self(15);

    /// Parses a signal such as `SIGTERM`, `term` or `15`.
    pub(super) fn parse(text: &str) -> Result<Self, DriverError> {
        let upper = text.to_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let named =
            NAMES.iter().find(|(known, number)| *known == name || number.to_string() == name);
        named
            .map(|(_, number)| Self(*number))
            .ok_or_else(|| DriverError::Invalid { words: format!("Invalid signal: {text}") })
    }

    /// The exit code of a process that the signal ends; `None` if the signal does not end processes.
    pub(super) fn exit_code(self) -> Option<i64> {
        (!matches!(self.0, 18 | 19 | 28)).then(|| 128 + i64::from(self.0))
    }
}
