//! Replaces a container in the engine with a new one of another image. The label of the new one names the operation, so
//! an agent that receives the operation again knows how far it has come.
//!
//! ```text
//!  pull ──> stop, if it runs ──> set the old one aside ──> create the new one ──> remove the old one ──> start, if the
//!    │            │                        │                       │                                     old one ran
//!    └────────────┴────────────────────────┴───────────────────────┴── refused: the old one gets its name back, and
//!                                                                      starts again if it ran
//! ```
//! The old one keeps its anonymous volumes until it is removed. It is set aside by another name in the engine, by which
//! it is no container of Zun's: nobody else finds it, and it causes no reports.

use std::sync::atomic::Ordering;

use zun_common::chain;
use zun_common::rpc::container::ContainerSpec;
use zun_common::status::TaskState;

use super::work::Work;
use super::{create, existing};
use crate::driver::{ContainerInfo, DriverError};
use crate::host::within;

/// How often the new container may turn out to be another one. The engine may carry out a call late that an earlier agent
/// made.
const MAX_ATTEMPTS: usize = 4;

/// Replaces the container, or does what is left of that. `seen` is the container that the engine has now. After a
/// refusal, the container is as before, unless the new one exists.
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

/// Whether the container shows that an earlier agent has begun, or may have begun, to replace it. One that was running
/// and is not any more may have been stopped for that.
pub(super) fn may_have_begun(
    work: &Work<'_>,
    was_running: bool,
    seen: Option<&ContainerInfo>,
) -> bool {
    seen.is_none_or(|seen| is_new(work, seen) || (was_running && !existing::is_running(seen)))
}

async fn replace(
    work: &Work<'_>,
    (spec, was_running): (&ContainerSpec, bool),
    seen: Option<&ContainerInfo>,
) -> Result<(), DriverError> {
    let host = work.host;
    work.begin(TaskState::Rebuilding);
    let spec = ContainerSpec { rebuild: Some(work.operation.id), ..spec.clone() };
    let mut current = seen.cloned();
    for _ in 0..MAX_ATTEMPTS {
        if let Some(new) = current.as_ref().filter(|seen| is_new(work, seen)) {
            work.has_replaced.store(true, Ordering::Relaxed);
            remove_old(work).await?;
            let start = work.replaces_running.get().copied().unwrap_or(was_running);
            return create::complete(work, (&spec, start), Some(new)).await;
        }
        if !work.is_half_done() {
            provide_image(work, &spec, current.as_ref()).await?;
            work.begin(TaskState::Rebuilding);
        }
        // What the row says may be out of date. If an earlier agent has stopped the container, only the row knows.
        let is_running = current.as_ref().map(existing::is_running);
        work.replaces_running.get_or_init(|| match is_running {
            Some(is_running) if !work.operation.again => is_running,
            Some(is_running) => was_running || is_running,
            None => was_running,
        });
        if let Some(old) = &current {
            set_aside(work, &spec, old).await?;
        }
        create::create_in_engine(work, &spec).await?;
        current = host.inspect_and_report(work.container()).await?;
    }
    let words = "the engine has created another container of this name".to_owned();
    Err(DriverError::Conflict { words })
}

/// Checks and pulls what the new container needs, while the old one goes on.
async fn provide_image(
    work: &Work<'_>,
    spec: &ContainerSpec,
    old: Option<&ContainerInfo>,
) -> Result<(), DriverError> {
    create::check_ports(work.host.publish_address, &spec.ports)?;
    match create::provide_image(work, spec).await {
        // The old container is there, so there is no need to go on trying.
        Err(DriverError::Silent { doing, seconds }) if old.is_some() => {
            let words = format!("no answer within {seconds} s");
            Err(DriverError::Engine { doing, words })
        }
        provided => provided,
    }
}

/// Stops the old container and sets it aside. It is named by the engine's id: a late call must not hit the new one.
async fn set_aside(
    work: &Work<'_>,
    spec: &ContainerSpec,
    old: &ContainerInfo,
) -> Result<(), DriverError> {
    let (host, container) = (work.host, work.container());
    if existing::is_running(old) {
        let grace = existing::seconds(spec.options.stop_timeout);
        match existing::stop_quietly(work, grace).await {
            Ok(()) | Err(DriverError::NoContainer(_)) => {}
            Err(error) => return Err(error),
        }
        // Reports how its last run ended.
        host.inspect_and_report(container).await?;
    }
    // An earlier rebuild may have left one.
    remove_old(work).await?;
    let setting_aside = host.driver.set_aside(container, &old.engine);
    match within(host.engine_timeout(), "rename the old container", setting_aside).await {
        Ok(_) | Err(DriverError::NoContainer(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes the container that is set aside.
pub(super) async fn remove_old(work: &Work<'_>) -> Result<(), DriverError> {
    let (host, container) = (work.host, work.container());
    let removing = host.driver.remove_aside(container);
    within(host.engine_timeout(), "remove the old container", removing).await.map(drop)
}

/// Gives the old container its name back, and starts it again if it ran. Returns the error of the rebuild: the refusal,
/// or a transient one, after which the rebuild is attempted again.
async fn take_back(work: &Work<'_>, was_running: bool, refusal: DriverError) -> DriverError {
    match restore(work, was_running).await {
        Ok(()) => refusal,
        Err(error) if is_transient(&error) => error,
        Err(error) => {
            // The container is not as before, which its state shows as after a failed start.
            work.begin(TaskState::Starting);
            let words = format!("{refusal}; and it does not run again: {}", chain(&error));
            DriverError::Engine { doing: "rebuild the container", words }
        }
    }
}

async fn restore(work: &Work<'_>, was_running: bool) -> Result<(), DriverError> {
    let (host, container, limit) = (work.host, work.container(), work.host.engine_timeout());
    if !work.is_half_done() && !work.operation.again {
        return Ok(());
    }
    let mut seen = host.inspect_and_report(container).await?;
    if seen.is_none() {
        let restoring = host.driver.restore_aside(container);
        within(limit, "rename the old container", restoring).await?;
        seen = host.inspect_and_report(container).await?;
    }
    let ran = work.replaces_running.get().copied().unwrap_or(was_running);
    match seen {
        Some(old) if ran && !is_new(work, &old) && !existing::is_running(&old) => {
            within(limit, "start the old container", host.driver.start(container)).await.map(drop)
        }
        Some(_) | None => Ok(()),
    }
}

fn is_new(work: &Work<'_>, seen: &ContainerInfo) -> bool {
    seen.rebuild == Some(work.operation.id)
}

/// Whether the rebuild is attempted again after this error.
const fn is_transient(error: &DriverError) -> bool {
    matches!(error, DriverError::Down { .. } | DriverError::Silent { .. })
}

/// Whether no other agent goes on with the rebuild.
fn is_current(work: &Work<'_>) -> bool {
    work.host.control.epoch() == Some(work.epoch)
}
