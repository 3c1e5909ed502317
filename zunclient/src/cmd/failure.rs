//! One line on stderr, and an exit code.

use zun_common::chain;

use crate::api::ApiError;
use crate::console::ConsoleError;
use crate::exit::Exit;
use crate::out::Closed;
use crate::settings::BadSettings;

/// Why a verb did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The words; none where there is nobody to read them.
    pub message: Option<String>,
    /// The exit code, where it is not the verb's usual one.
    pub exit: Option<Exit>,
}

impl Failure {
    /// With the verb's usual exit code.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), exit: None }
    }

    /// With this exit code.
    pub fn with_exit(message: impl Into<String>, exit: Exit) -> Self {
        Self { message: Some(message.into()), exit: Some(exit) }
    }

    /// Without words: whoever sent the signal, or closed the pipe, knows.
    pub const fn silent(exit: Exit) -> Self {
        Self { message: None, exit: Some(exit) }
    }

    /// The same, and what it was about before the words.
    #[must_use]
    pub fn context(mut self, what: &str) -> Self {
        self.message = self.message.map(|message| format!("{what}: {message}"));
        self
    }
}

impl From<&ApiError> for Failure {
    fn from(error: &ApiError) -> Self {
        let message = chain(error);
        Self::new(match error.request() {
            Some(request) => format!("{message} (request {request})"),
            None => message,
        })
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::from(&error)
    }
}

impl From<ConsoleError> for Failure {
    fn from(error: ConsoleError) -> Self {
        Self::new(chain(&error))
    }
}

impl From<BadSettings> for Failure {
    fn from(error: BadSettings) -> Self {
        Self::new(chain(&error))
    }
}

impl From<Closed> for Failure {
    fn from(_closed: Closed) -> Self {
        Self::silent(Exit::PIPE)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}
