//! The errors of drivers.

use std::sync::Arc;

use zun_common::id::{ContainerId, ExecId};
use zun_common::image_name::InvalidImageName;
use zun_common::rpc::files::LARGEST_ARCHIVE;
use zun_common::rpc::{Code, Problem};

/// Why the engine did not do what the driver asked. The text may be shown to users.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DriverError {
    /// The engine has no such container.
    #[error("No such container: {0}")]
    NoContainer(ContainerId),
    /// The engine has no such exec.
    #[error("No such exec: {0}")]
    NoExec(ExecId),
    /// The registry does not have the image, or the host does not have it and may not pull it.
    #[error("No such image: {0}")]
    NoImage(String),
    /// The registry requires another login for the image, or has no such image: many registries do not distinguish the
    /// two.
    #[error(
        "cannot pull the image {image}: the registry {domain} refused access ({words}). If the image exists, log in with \
         `zun login {domain}`"
    )]
    Unauthorized {
        /// The image.
        image: String,
        /// The domain of its registry.
        domain: String,
        /// The registry's message.
        words: String,
    },
    /// The state does not allow the action, such as a pause of a stopped container.
    #[error("{words}")]
    Conflict {
        /// The engine's message.
        words: String,
    },
    /// The engine rejects a value.
    #[error("{words}")]
    Invalid {
        /// The engine's message.
        words: String,
    },
    /// The container has no such file or directory.
    #[error("No such file or directory in the container: {0}")]
    NoFile(String),
    /// An archive is too large for the bus.
    #[error(
        "The archive is larger than {} MiB. Use `zun cp`, which connects to the host directly.",
        LARGEST_ARCHIVE >> 20
    )]
    TooLarge,
    /// The command cannot be run: `code` is 127 (not found) or 126 (not executable).
    #[error("{words}")]
    NotRunnable {
        /// The exit code that a shell would return.
        code: i64,
        /// The engine's message.
        words: String,
    },
    /// The engine does not answer.
    #[error("Docker does not answer")]
    Down {
        /// The cause.
        #[source]
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The engine did not finish an action in time. It may still finish it.
    #[error("cannot {doing}: Docker did not answer within {seconds} s")]
    TimedOut {
        /// The action, such as `start the container`.
        doing: &'static str,
        /// The time limit.
        seconds: u64,
    },
    /// The engine answers, but did not finish an action on this container in time. It may still finish it.
    #[error(
        "cannot {doing}: Docker answers, but not about this container within {seconds} s. Another action holds it, such \
         as a copy (`zun cp`) that has not ended: end that or wait for it, then try again"
    )]
    Held {
        /// The action, such as `start the container`.
        doing: &'static str,
        /// The time limit.
        seconds: u64,
    },
    /// The engine failed at an action.
    #[error("cannot {doing}: {words}")]
    Engine {
        /// The action, such as `start the container`.
        doing: &'static str,
        /// The engine's message.
        words: String,
    },
}

impl DriverError {
    /// The engine does not answer.
    pub fn down(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Down { cause: Arc::from(cause.into()) }
    }

    /// Converts the error to a problem for the bus.
    pub fn problem(&self) -> Problem {
        let code = match self {
            Self::NoContainer(_) | Self::NoExec(_) | Self::NoImage(_) | Self::NoFile(_) => {
                Code::NotFound
            }
            Self::TooLarge => Code::TooLarge,
            Self::Unauthorized { .. } => Code::Forbidden,
            Self::Conflict { .. } => Code::Conflict,
            Self::Invalid { .. } | Self::NotRunnable { .. } => Code::BadRequest,
            Self::Down { .. } => Code::EngineDown,
            Self::Engine { .. } | Self::TimedOut { .. } | Self::Held { .. } => Code::Engine,
        };
        Problem::new(code, self.to_string())
    }
}

impl From<InvalidImageName> for DriverError {
    fn from(invalid: InvalidImageName) -> Self {
        Self::Invalid { words: invalid.to_string() }
    }
}
