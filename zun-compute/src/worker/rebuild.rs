//! Replaces a container in the engine with a new one of another image. The label of the new one names the operation, so
//! an agent that receives the operation again knows how far it has come.
//!
//! ```text
//!  pull ──> stop, if it runs ──> remove the old one ──> create the new one ──> start, if the old one ran
//!    └── failed: nothing has changed
//! ```
//! If the engine refuses to create the new one, the old one is gone.

use zun_common::rpc::container::ContainerSpec;
use zun_common::status::TaskState;

use super::work::Work;
use super::{create, existing};
use crate::driver::{ContainerInfo, DriverError};
use crate::host::within;

/// How often the new container may turn out to be another one. The engine may carry out a call late that an earlier agent
/// made.
const MAX_ATTEMPTS: usize = 4;

/// Replaces the container, or what is left of that. `seen` is the container that the engine has now.
pub(super) async fn rebuild(
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
            discard(work, &spec, old).await?;
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

/// Stops and removes the old container. It is removed by the engine's id: a late removal must not hit the new one.
async fn discard(
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
    let removing = host.driver.remove_by_engine_id(container, &old.engine);
    within(host.engine_timeout(), "remove the old container", removing).await.map(drop)
}

fn is_new(work: &Work<'_>, seen: &ContainerInfo) -> bool {
    seen.rebuild == Some(work.operation.id)
}
