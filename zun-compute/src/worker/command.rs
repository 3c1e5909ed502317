//! Commands as they lie in a mailbox.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use zun_common::id::RequestId;
use zun_common::rpc::container::{CreateContainer, Removal};

use super::accept::Kind;

/// What is to be done to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Create(Box<CreateContainer>),
    Start,
    Stop { grace: Option<Duration> },
    Reboot { grace: Option<Duration> },
    Pause,
    Unpause,
    Kill { signal: String },
    Remove(Removal),
}

impl Command {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Create(create) => Kind::Create { start: create.start },
            Self::Start => Kind::Start,
            Self::Stop { .. } => Kind::Stop,
            Self::Reboot { .. } => Kind::Reboot,
            Self::Pause => Kind::Pause,
            Self::Unpause => Kind::Unpause,
            Self::Kill { .. } => Kind::Kill,
            Self::Remove(how) => Kind::Remove(*how),
        }
    }
}

/// Where a command comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) request: RequestId,
    /// It may have been worked on before.
    pub(crate) again: bool,
}

/// An accepted command.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) command: Command,
    pub(super) origin: Origin,
    /// A removal was accepted behind it: an image need not come any more.
    pub(super) given_up: CancellationToken,
    /// Dropped without a word where the work was cut off, so that the command is delivered again.
    pub(super) done: oneshot::Sender<()>,
}
