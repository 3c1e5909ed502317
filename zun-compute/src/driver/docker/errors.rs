//! Converts failures of requests to Docker into driver errors.

use std::time::Duration;

use bollard::errors::Error;
use zun_common::docker_errors::{exit_code_of_start, user_message};
use zun_common::id::{ContainerId, ExecId};

use super::super::DriverError;

/// The failure of a request. Its meaning depends on the request.
#[derive(Debug)]
pub(super) enum RequestFailure {
    /// Docker answered with this error status (or with 304) and message.
    Refused { status: u16, words: String },
    /// Docker cannot be reached, or the link was lost.
    Unreachable(Box<dyn std::error::Error + Send + Sync>),
    /// Docker did not answer in time.
    TimedOut(Duration),
    /// Docker reported a failure in the middle of an answer, or the answer cannot be parsed.
    Unexpected(String),
}

impl From<Error> for RequestFailure {
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other error is an unexpected answer")]
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Self::Refused { status: status_code, words: user_message(&message) }
            }
            Error::HyperLegacyError { .. }
            | Error::HyperResponseError { .. }
            | Error::IOError { .. }
            | Error::SocketNotFoundError(_) => Self::Unreachable(Box::new(error)),
            Error::DockerStreamError { error } => Self::Unexpected(user_message(&error)),
            other => Self::Unexpected(user_message(&other.to_string())),
        }
    }
}

impl RequestFailure {
    /// Converts the failure of a request about the engine as a whole. A timeout means that Docker is down.
    pub(super) fn about_engine(self, doing: &'static str) -> DriverError {
        match self {
            Self::TimedOut(limit) => DriverError::down(timed_out(limit)),
            Self::Refused { .. } | Self::Unreachable(_) | Self::Unexpected(_) => self.about(doing),
        }
    }

    /// Converts the failure of a request about a container.
    pub(super) fn about_container(
        self,
        doing: &'static str,
        container: ContainerId,
    ) -> DriverError {
        if self.is(404) { DriverError::NoContainer(container) } else { self.about(doing) }
    }

    /// Converts the failure of a request about an exec.
    pub(super) fn about_exec(self, doing: &'static str, exec: &ExecId) -> DriverError {
        if self.is(404) { DriverError::NoExec(exec.clone()) } else { self.about(doing) }
    }

    /// Converts the failure of a start. A command that cannot be run has its own error.
    pub(super) fn about_start(self, doing: &'static str, container: ContainerId) -> DriverError {
        if let Self::Refused { status: 400 | 500, words } = &self
            && let Some(code) = exit_code_of_start(words)
        {
            return DriverError::NotRunnable { code, words: words.clone() };
        }
        self.about_container(doing, container)
    }

    /// Whether Docker answered with this status.
    pub(super) const fn is(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }

    /// Whether Docker answered with this status, and its message contains `part`.
    pub(super) fn says(&self, wanted: u16, part: &str) -> bool {
        matches!(self, Self::Refused { status, words } if *status == wanted && words.contains(part))
    }

    /// Converts any other failure.
    pub(super) fn about(self, doing: &'static str) -> DriverError {
        match self {
            Self::Refused { status: 400, words } => DriverError::Invalid { words },
            Self::Refused { status: 409, words } => DriverError::Conflict { words },
            Self::Refused { words, .. } | Self::Unexpected(words) => {
                DriverError::Engine { doing, words }
            }
            Self::Unreachable(cause) => DriverError::down(cause),
            Self::TimedOut(limit) => DriverError::TimedOut { doing, seconds: limit.as_secs() },
        }
    }
}

fn timed_out(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, words: &str) -> RequestFailure {
        Error::DockerResponseServerError { status_code: status, message: words.to_owned() }.into()
    }

    #[test]
    fn a_status_has_the_same_meaning_for_every_request() {
        let container = ContainerId::random();
        let meaning = |status| refused(status, "words").about_container("do it", container);
        assert!(matches!(meaning(404), DriverError::NoContainer(id) if id == container));
        assert!(matches!(meaning(400), DriverError::Invalid { words } if words == "words"));
        assert!(matches!(meaning(409), DriverError::Conflict { words } if words == "words"));
        assert_eq!(meaning(500).to_string(), "cannot do it: words");
    }

    #[test]
    fn a_command_that_cannot_be_run_differs_from_a_failing_engine() {
        let started =
            |status, words| refused(status, words).about_start("s", ContainerId::random());
        let missing = "OCI runtime create failed: exec: \"x\": executable file not found in $PATH";
        let said = "exec: \"x\": executable file not found in $PATH";
        let error = started(400, missing);
        assert!(matches!(error, DriverError::NotRunnable { code: 127, words } if words == said));
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
    fn a_timeout_means_that_docker_is_down_only_for_requests_about_the_engine() {
        let timed_out = || RequestFailure::TimedOut(Duration::from_secs(3));
        assert!(matches!(timed_out().about_engine("ask"), DriverError::Down { .. }));
        let words =
            timed_out().about_container("stop the container", ContainerId::random()).to_string();
        assert_eq!(words, "cannot stop the container: Docker did not answer within 3 s");
    }
}
