//! Why an engine did not do what it was asked.

use zun_common::id::{ContainerId, ExecId};
use zun_common::rpc::{Code, Problem};

/// What a driver says instead of a result. The words may be shown to the user.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The engine has no such container.
    #[error("No such container: {0}")]
    NoContainer(ContainerId),
    /// The engine has no such exec.
    #[error("No such exec: {0}")]
    NoExec(ExecId),
    /// The image is not there, neither on the host nor in its registry.
    #[error("No such image: {0}")]
    NoImage(String),
    /// Not in this state, such as a pause of a stopped one.
    #[error("{words}")]
    Conflict {
        /// The engine's words.
        words: String,
    },
    /// The engine says that a value is wrong.
    #[error("{words}")]
    Invalid {
        /// The engine's words.
        words: String,
    },
    /// The command cannot be run: `code` is 127 (not found) or 126 (not executable).
    #[error("{words}")]
    NotRunnable {
        /// The exit code that a shell would give.
        code: i64,
        /// The engine's words.
        words: String,
    },
    /// The engine does not answer.
    #[error("the container engine does not answer")]
    Down {
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine failed.
    #[error("cannot {doing}: {words}")]
    Engine {
        /// What was being done.
        doing: &'static str,
        /// The engine's words.
        words: String,
    },
}

impl DriverError {
    /// What is said of it over the bus.
    pub fn problem(&self) -> Problem {
        let code = match self {
            Self::NoContainer(_) | Self::NoExec(_) | Self::NoImage(_) => Code::NotFound,
            Self::Conflict { .. } => Code::Conflict,
            Self::Invalid { .. } | Self::NotRunnable { .. } => Code::BadRequest,
            Self::Down { .. } => Code::EngineDown,
            Self::Engine { .. } => Code::Engine,
        };
        Problem::new(code, self.to_string())
    }
}
