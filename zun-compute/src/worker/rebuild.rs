//! Replaces a container in the engine with a new one of another image. The label of the new one names the operation, so
//! an agent that receives the operation again knows how far it has come.
//!
//! ```text
//!  pull ──> rename the old one ───> stop it, if it runs ──> create the new one ──> start it, if ──> remove the old
//!    │                │                       │                       │              the old one ran      one
//!    └────────────────┴───────────────────────┴───────────────────────┴── refused: the old one starts again if it ran,
//!                                                                         and gets its name back
//! ```
//! The old one keeps its anonymous volumes until it is removed. The old container is renamed, so that Zun no longer
//! recognizes it: nothing else finds it, and it causes no reports. It is stopped and started again only under that
//! name. A container that ended under its own name therefore ended by itself, and no agent starts it again.

use std::sync::atomic::Ordering;

use zun_common::chain;
use zun_common::rpc::container::ContainerSpec;
use zun_common::status::TaskState;

use super::work::Work;
use super::{create, existing};
use crate::driver::{ContainerInfo, DriverError};
use crate::host::{observation, within};

/// How many times to create the new container if another one has its name. The engine may carry out an earlier agent's
/// call late.
const MAX_ATTEMPTS: usize = 4;

/// Replaces the container, or completes an interrupted replacement. `seen` is the container that the engine has now.
/// After a refusal, the container is as before, unless the new one exists.
pub(super) async fn rebuild(
    work: &Work<'_>,
    (spec, was_running): (&ContainerSpec, bool),
    seen: Option<&ContainerInfo>,
) -> Result<(), DriverError> {
    match replace(work, (spec, was_running), seen).await {
        Err(refusal) if !is_transient(&refusal) && is_current(work) => {
            Err(take_back(work, was_running, refusal).await)
        }
        replaced => replaced,
    }
}

/// Whether the container shows that an earlier agent has begun to replace it.
pub(super) fn may_have_begun(work: &Work<'_>, seen: Option<&ContainerInfo>) -> bool {
    seen.is_none_or(|seen| is_new(work, seen))
}

async fn replace(
    work: &Work<'_>,
    (spec, was_running): (&ContainerSpec, bool),
    seen: Option<&ContainerInfo>,
) -> Result<(), DriverError> {
    let (host, container) = (work.host, work.container());
    work.begin(TaskState::Rebuilding);
    let spec = ContainerSpec { rebuild: Some(work.operation.id), ..spec.clone() };
    let mut current = seen.cloned();
    for _ in 0..MAX_ATTEMPTS {
        if let Some(new) = current.as_ref().filter(|seen| is_new(work, seen)) {
            work.has_replaced.store(true, Ordering::Relaxed);
            let start = work.replaces_running().unwrap_or(was_running);
            let completed = create::complete(work, (&spec, start), Some(new)).await;
            return finish(work, completed).await;
        }
        if !work.is_half_done() {
            provide_image(work, &spec, current.as_ref()).await?;
            work.begin(TaskState::Rebuilding);
            // It may have ended during the pull.
            current = host.inspect_and_report(container).await?;
        }
        if current.as_ref().is_none_or(|seen| !is_new(work, seen)) {
            rename_to_old(work, was_running, current.as_ref()).await?;
            stop_old(work, &spec).await?;
            create::create_in_engine(work, &spec).await?;
            current = host.inspect_and_report(container).await?;
        }
    }
    let words = "the engine has created another container of this name".to_owned();
    Err(DriverError::Conflict { words })
}

/// Removes the old container after the new one is complete, or cannot be completed. If Docker refuses the removal, the
/// next rebuild or the deletion of the container repeats it.
async fn finish(work: &Work<'_>, completed: Result<(), DriverError>) -> Result<(), DriverError> {
    if completed.as_ref().is_err_and(is_transient) {
        return completed;
    }
    match remove_old(work).await {
        Err(error @ DriverError::Down { .. }) if completed.is_ok() => Err(error),
        Err(error) => {
            let container = work.container();
            tracing::warn!(
                container.id = %container, error = %chain(&error),
                "cannot remove the old container that the rebuild of {container} has replaced"
            );
            completed
        }
        Ok(()) => completed,
    }
}

/// Checks and pulls what the new container needs, while the old one keeps running.
async fn provide_image(
    work: &Work<'_>,
    spec: &ContainerSpec,
    old: Option<&ContainerInfo>,
) -> Result<(), DriverError> {
    create::check_ports(work.host.publish_address, &spec.ports)?;
    match create::provide_image(work, spec).await {
        // The old container still exists, so there is no need to keep trying.
        Err(DriverError::TimedOut { doing, seconds }) if old.is_some() => {
            let words = format!("no answer within {seconds} s");
            Err(DriverError::Engine { doing, words })
        }
        provided => provided,
    }
}

/// Renames the old container, unless it is already renamed. The call uses the engine's ID, because a late call must not
/// affect the new container.
async fn rename_to_old(
    work: &Work<'_>,
    was_running: bool,
    old: Option<&ContainerInfo>,
) -> Result<(), DriverError> {
    let (host, container) = (work.host, work.container());
    let renamed = observation(host.inspect_old(container).await)?;
    let Some(old) = old else {
        // If an earlier agent stopped it, only zun-api's row shows that it ran.
        let is_running = renamed.info().is_some_and(existing::is_running);
        let ran = work.replaces_running().unwrap_or(was_running || is_running);
        work.begin_to_replace(ran);
        return Ok(());
    };
    work.begin_to_replace(existing::is_running(old));
    match renamed.info() {
        // A late call of an earlier agent created it.
        Some(renamed) if renamed.engine == old.engine => return Ok(()),
        // An earlier rebuild left it.
        Some(_) => remove_old(work).await?,
        None => {}
    }
    let renaming = host.driver.rename_to_old(container, &old.engine);
    match within(host.engine_timeout(), "rename the old container", renaming).await {
        Ok(_) | Err(DriverError::NoContainer(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Stops the old container, if there is one and it runs, and reports how its last run ended.
async fn stop_old(work: &Work<'_>, spec: &ContainerSpec) -> Result<(), DriverError> {
    let (host, container) = (work.host, work.container());
    let seen = host.inspect_and_report_old(container).await?;
    if !seen.as_ref().is_some_and(existing::is_running) {
        return Ok(());
    }
    let grace = existing::seconds(spec.options.stop_timeout);
    let stopping = host.driver.stop_old(container, grace);
    match within(existing::with_grace(host, grace), "stop the container", stopping).await {
        Ok(_) | Err(DriverError::NoContainer(_)) => {}
        Err(error) => return Err(error),
    }
    host.inspect_and_report_old(container).await.map(drop)
}

/// Removes the old container.
pub(super) async fn remove_old(work: &Work<'_>) -> Result<(), DriverError> {
    let (host, container) = (work.host, work.container());
    let removing = host.driver.remove_old(container);
    within(host.engine_timeout(), "remove the old container", removing).await.map(drop)
}

/// Starts the old container again if it ran, and gives it its name back. Returns the error of the rebuild: the refusal,
/// or a transient one, after which the rebuild is attempted again.
async fn take_back(work: &Work<'_>, was_running: bool, refusal: DriverError) -> DriverError {
    match restore(work, was_running).await {
        Ok(()) => refusal,
        Err(error) if is_transient(&error) => error,
        Err(error) => {
            // The container is not as before, so its state shows a failed start.
            work.begin(TaskState::Starting);
            let words = format!(
                "{refusal}; the old container could not be started again either: {}",
                chain(&error)
            );
            DriverError::Engine { doing: "rebuild the container", words }
        }
    }
}

async fn restore(work: &Work<'_>, was_running: bool) -> Result<(), DriverError> {
    let (host, container, limit) = (work.host, work.container(), work.host.engine_timeout());
    if !work.is_half_done() && !work.operation.again {
        return Ok(());
    }
    if host.inspect_and_report(container).await?.is_some() {
        return Ok(());
    }
    let ran = work.replaces_running().unwrap_or(was_running);
    let started = match observation(host.inspect_old(container).await)?.info() {
        Some(old) if ran && !existing::is_running(old) => {
            let starting = host.driver.start_old(container);
            within(limit, "start the old container", starting).await.map(drop)
        }
        Some(_) | None => Ok(()),
    };
    if started.as_ref().is_err_and(is_transient) {
        return started;
    }
    let restoring = host.driver.restore_old(container);
    within(limit, "rename the old container", restoring).await?;
    host.inspect_and_report(container).await?;
    started
}

fn is_new(work: &Work<'_>, seen: &ContainerInfo) -> bool {
    seen.rebuild == Some(work.operation.id)
}

/// Whether the rebuild is attempted again after this error.
const fn is_transient(error: &DriverError) -> bool {
    matches!(
        error,
        DriverError::Down { .. } | DriverError::TimedOut { .. } | DriverError::Held { .. }
    )
}

/// Whether no other agent continues the rebuild.
fn is_current(work: &Work<'_>) -> bool {
    work.host.control.epoch() == Some(work.epoch)
}
