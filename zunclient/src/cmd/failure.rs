//! The error of a verb: a line on stderr and an exit code.

use zun_common::chain;

use crate::api::ApiError;
use crate::console::ConsoleError;
use crate::exit::Exit;
use crate::out::PrintError;
use crate::settings::BadSettings;
use crate::tty::screen::Closed;

/// What is before the ID of a request in a message.
const REQUEST: &str = " (request ";

/// Why a verb failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The message; `None` if nothing is to be printed.
    pub message: Option<String>,
    /// The exit code; `None` means the usual one of the verb.
    pub exit: Option<Exit>,
    /// Whether the connection to a host failed, and not a request to the service.
    pub of_console: bool,
}

impl Failure {
    /// Creates a failure with the usual exit code of the verb.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), exit: None, of_console: false }
    }

    /// Creates a failure with this exit code.
    pub fn with_exit(message: impl Into<String>, exit: Exit) -> Self {
        Self { message: Some(message.into()), exit: Some(exit), of_console: false }
    }

    /// Creates a failure without a message, for a signal or a closed pipe.
    pub const fn silent(exit: Exit) -> Self {
        Self { message: None, exit: Some(exit), of_console: false }
    }

    /// Adds what to do next, before the ID of the request.
    #[must_use]
    pub fn advise(self, advice: &str) -> Self {
        let message = self.message.map(|message| {
            let (text, request) = message.split_at(message.rfind(REQUEST).unwrap_or(message.len()));
            format!("{}; {advice}{request}", text.trim_end_matches('.'))
        });
        Self { message, ..self }
    }

    /// Returns the error of a request. If the object does not exist and `is_forced`, the error is only printed: as with
    /// Docker's `--force`, the command succeeds.
    pub fn unless_missing(error: ApiError, is_forced: bool) -> Self {
        let exit = (is_forced && error.is_not_found()).then_some(Exit::OK);
        Self { exit, ..Self::from(error) }
    }

    /// Puts `what` and a colon before the message.
    #[must_use]
    pub fn context(mut self, what: &str) -> Self {
        if what.is_empty() {
            return self;
        }
        self.message = self.message.map(|message| format!("{what}: {message}"));
        self
    }
}

impl From<&ApiError> for Failure {
    fn from(error: &ApiError) -> Self {
        let mut message = chain(error);
        // Of a wrong value or name, the message says everything.
        let is_own = matches!(error.status(), Some(400 | 404 | 413));
        if let Some(request) = error.request().filter(|_| !is_own) {
            message = format!("{message}{REQUEST}{request})");
        }
        let failure = Self::new(message);
        match error.advice() {
            Some(advice) => failure.advise(&advice),
            None => failure,
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::from(&error)
    }
}

impl From<ConsoleError> for Failure {
    fn from(error: ConsoleError) -> Self {
        Self { of_console: true, ..Self::new(chain(&error)) }
    }
}

impl From<BadSettings> for Failure {
    fn from(error: BadSettings) -> Self {
        Self::new(chain(&error))
    }
}

impl From<PrintError> for Failure {
    fn from(unwritten: PrintError) -> Self {
        match unwritten {
            PrintError::Closed => Self::silent(Exit::PIPE),
            other @ (PrintError::Failed(_) | PrintError::BadField(_)) => {
                Self::new(other.to_string())
            }
        }
    }
}

impl From<Closed> for Failure {
    fn from(Closed { cause }: Closed) -> Self {
        PrintError::from(cause.map(std::io::Error::from)).into()
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}
