//! Doing one command: a look first, the task state, the engine's work, and the truth afterwards.

use std::time::Instant;

use tokio_util::sync::CancellationToken;
use zun_common::chain;
use zun_common::id::ContainerId;

use super::accept::{Kind, Presence};
use super::command::{Command, Origin};
use super::{create, run};
use crate::driver::{ContainerInfo, DriverError};
use crate::host::{Host, sight};
use crate::report::{Ending, Failure, Heed, Sight};

/// What is worked on, where, and for whom.
pub(super) struct Work<'a> {
    pub(super) host: &'a Host,
    pub(super) container: ContainerId,
    pub(super) origin: &'a Origin,
    /// A removal waits behind this: an image need not come any more.
    pub(super) given_up: &'a CancellationToken,
}

/// Does a command and says how it left the container; `None` where the engine did not answer.
pub(super) async fn perform(work: &Work<'_>, command: &Command) -> Option<Presence> {
    let Work { host, container, .. } = *work;
    let began = Instant::now();
    if let Command::Create(create) = command {
        // Before the inspection: that a container which is to be created does not exist leaves nothing to reconcile.
        host.reports.ordered(container, create.spec.auto_remove);
    }
    let outcome = match (host.inspect_and_report(container).await, command) {
        (Ok(seen), Command::Create(make)) => create::create(work, make, seen.as_ref()).await,
        (Ok(Some(seen)), _) => existing(work, command, &seen).await,
        (Ok(None) | Err(_), Command::Remove(how)) => run::remove(host, container, *how).await,
        (Ok(None), _) => Err(DriverError::NoContainer(container)),
        (Err(error), _) => Err(error),
    };
    log(work, command.kind(), began, &outcome);
    let failure = outcome.err().and_then(|error| failure(command.kind(), &error));
    end(host, container, failure).await
}

/// What comes after a defect: the truth, and words that lead to the log.
pub(super) async fn panicked(host: &Host, container: ContainerId) -> Option<Presence> {
    tracing::error!(container.id = %container, "the work on container {container} panicked");
    let reason = "the agent failed at this; its log says more".to_owned();
    end(host, container, Some(Failure { reason, exit_code: None, fatal: false })).await
}

/// A command that waits behind one that failed, or whose container ended meanwhile, may fit no more.
async fn existing(
    work: &Work<'_>,
    command: &Command,
    seen: &ContainerInfo,
) -> Result<(), DriverError> {
    let kind = command.kind();
    if kind.fits(Presence::Is(seen.status)).is_ok() {
        return run::run(work, command, seen).await;
    }
    if work.origin.again {
        return Ok(());
    }
    let words = super::conflict(work.container, kind.word(), seen.status).message;
    Err(DriverError::Conflict { words })
}

async fn end(host: &Host, container: ContainerId, failure: Option<Failure>) -> Option<Presence> {
    let ticket = host.reports.ticket();
    let sight = sight(host.inspect(container).await).ok();
    let presence = match &sight {
        Some(Sight::Seen(seen)) => Some(Presence::Is(seen.status)),
        Some(Sight::Gone) => Some(Presence::Absent),
        None => None,
    };
    if host.reports.finish(container, Ending { ticket, sight, failure }) == Heed::Unsure {
        host.mark_for_reconcile(container);
    }
    presence
}

/// What the user is told; nothing where the container is simply gone, since that is told anyway.
fn failure(kind: Kind, error: &DriverError) -> Option<Failure> {
    let starts = matches!(kind, Kind::Create { .. } | Kind::Start | Kind::Reboot);
    let makes = matches!(kind, Kind::Create { .. });
    let (exit_code, fatal) = match error {
        DriverError::NoContainer(_) if !makes => return None,
        DriverError::NotRunnable { code, .. } => (Some(*code), starts),
        DriverError::NoImage(_) | DriverError::Invalid { .. } | DriverError::Engine { .. } => {
            (None, starts)
        }
        DriverError::NoContainer(_)
        | DriverError::NoExec(_)
        | DriverError::Conflict { .. }
        | DriverError::Down { .. } => (None, makes),
    };
    Some(Failure { reason: error.to_string(), exit_code, fatal })
}

fn log(work: &Work<'_>, kind: Kind, began: Instant, outcome: &Result<(), DriverError>) {
    let Work { host, container, origin, .. } = work;
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let action = kind.word();
    match outcome {
        Ok(()) => tracing::info!(
            container.id = %container, host.name = %host.name, request.id = %origin.request,
            duration_ms, "{action} of container {container} is done"
        ),
        Err(error) => tracing::warn!(
            container.id = %container, host.name = %host.name, request.id = %origin.request,
            duration_ms, error = %chain(error), "{action} of container {container} failed"
        ),
    }
}
