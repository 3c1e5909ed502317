//! What the engine or the way to it says, and what that means for what was being done.

use std::time::Duration;

use bollard::errors::Error;
use zun_common::engine_words::{exit_code_of_start, plain};
use zun_common::id::{ContainerId, ExecId};

use super::super::DriverError;

/// What went wrong with a request, before it is known what that means.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The engine answered with this status (also 304) and these words.
    Refused { status: u16, words: String },
    /// The engine could not be reached, or it went while it was asked.
    Unreachable(Box<dyn std::error::Error + Send + Sync>),
    /// No answer in time.
    Late(Duration),
    /// The engine reported a failure in the middle of an answer, or the answer cannot be read.
    Odd(String),
}

impl From<Error> for Trouble {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all the rest is an answer out of order")]
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Self::Refused { status: status_code, words: plain(&message) }
            }
            Error::HyperLegacyError { .. }
            | Error::HyperResponseError { .. }
            | Error::IOError { .. }
            | Error::SocketNotFoundError(_) => Self::Unreachable(Box::new(error)),
            Error::DockerStreamError { error } => Self::Odd(plain(&error)),
            other => Self::Odd(plain(&other.to_string())),
        }
    }
}

impl Trouble {
    /// For a request about the engine as a whole: one that is late means that the engine is down.
    pub(super) fn about_engine(self, doing: &'static str) -> DriverError {
        match self {
            Self::Late(limit) => DriverError::Down { cause: late(limit).into() },
            Self::Refused { .. } | Self::Unreachable(_) | Self::Odd(_) => self.about(doing),
        }
    }

    /// For a request about a container.
    pub(super) fn about_container(
        self,
        doing: &'static str,
        container: ContainerId,
    ) -> DriverError {
        if self.is(404) { DriverError::NoContainer(container) } else { self.about(doing) }
    }

    /// For a request about an exec.
    pub(super) fn about_exec(self, doing: &'static str, exec: &ExecId) -> DriverError {
        if self.is(404) { DriverError::NoExec(exec.clone()) } else { self.about(doing) }
    }

    /// For the start of a process: a command that cannot be run is told apart.
    pub(super) fn about_start(self, doing: &'static str, container: ContainerId) -> DriverError {
        if let Self::Refused { status: 400 | 500, words } = &self
            && let Some(code) = exit_code_of_start(words)
        {
            return DriverError::NotRunnable { code, words: words.clone() };
        }
        self.about_container(doing, container)
    }

    /// Whether the engine answered with this status.
    pub(super) const fn is(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }

    /// Whether the engine answered with this status and words that hold these.
    pub(super) fn says(&self, wanted: u16, part: &str) -> bool {
        matches!(self, Self::Refused { status, words } if *status == wanted && words.contains(part))
    }

    /// The general meaning.
    pub(super) fn about(self, doing: &'static str) -> DriverError {
        match self {
            Self::Refused { status: 400, words } => DriverError::Invalid { words },
            Self::Refused { status: 409, words } => DriverError::Conflict { words },
            Self::Refused { words, .. } | Self::Odd(words) => DriverError::Engine { doing, words },
            Self::Unreachable(cause) => DriverError::Down { cause },
            Self::Late(limit) => DriverError::Engine { doing, words: late(limit) },
        }
    }
}

fn late(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, words: &str) -> Trouble {
        Error::DockerResponseServerError { status_code: status, message: words.to_owned() }.into()
    }

    #[test]
    fn a_status_means_the_same_for_every_request() {
        let container = ContainerId::random();
        let meaning = |status| refused(status, "words").about_container("do it", container);
        assert!(matches!(meaning(404), DriverError::NoContainer(id) if id == container));
        assert!(matches!(meaning(400), DriverError::Invalid { words } if words == "words"));
        assert!(matches!(meaning(409), DriverError::Conflict { words } if words == "words"));
        assert_eq!(meaning(500).to_string(), "cannot do it: words");
    }

    #[test]
    fn a_command_that_cannot_be_run_is_told_apart_from_a_failing_engine() {
        let started =
            |status, words| refused(status, words).about_start("s", ContainerId::random());
        let missing = "OCI runtime create failed: exec: \"x\": executable file not found in $PATH";
        let said = "exec: \"x\": executable file not found in $PATH";
        let told = started(400, missing);
        assert!(matches!(told, DriverError::NotRunnable { code: 127, words } if words == said));
        let forbidden = "OCI runtime create failed: exec: \"/etc\": permission denied: unknown";
        assert!(matches!(started(400, forbidden), DriverError::NotRunnable { code: 126, .. }));
        assert!(matches!(started(500, "no space left"), DriverError::Engine { .. }));
        let user = "unable to find user nobody-such: no matching entries in passwd file";
        assert_eq!(started(500, user).to_string(), format!("cannot s: {user}"));
        assert_eq!(started(500, "").to_string(), "cannot s: Docker gave no reason");
        let (id, path) = ("ab".repeat(32), "/etc/passwd/x: not a directory");
        let of_host = format!("lstat /srv/engine/data/overlay2/{id}/merged{path}");
        assert_eq!(started(500, &of_host).to_string(), format!("cannot s: lstat {path}"));
        assert!(matches!(started(409, "permission denied"), DriverError::Conflict { .. }));
    }

    #[test]
    fn a_late_answer_means_a_dead_engine_only_where_the_engine_itself_was_asked() {
        let late = || Trouble::Late(Duration::from_secs(3));
        assert!(matches!(late().about_engine("ask"), DriverError::Down { .. }));
        let words = late().about_container("stop the container", ContainerId::random()).to_string();
        assert_eq!(words, "cannot stop the container: no answer within 3 s");
    }
}
