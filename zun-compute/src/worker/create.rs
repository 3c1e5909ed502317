//! Creates a container: its image, the container itself, and its first start. An existing container counts as created.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use zun_common::ports::{PublishedPort, may_publish};
use zun_common::resource::{Mount, MountSource, NetworkMode};
use zun_common::rpc::container::ContainerSpec;
use zun_common::status::{Status, TaskState};

use super::image::ImageRequirement;
use super::work::Work;
use super::{existing, image, published};
use crate::driver::{ContainerInfo, DriverError};
use crate::host::within;

/// How long to wait for a start that Docker has not answered, while Docker answers other calls.
const START_TIMEOUT: Duration = Duration::from_mins(3);
const STARTING: &str = "start the container";

/// Creates the container and starts it if requested. A container that has run is not started again: an earlier agent
/// has carried out this operation.
pub(super) async fn create(
    work: &Work<'_>,
    (spec, start): (&ContainerSpec, bool),
    seen: Option<&ContainerInfo>,
) -> Result<(), DriverError> {
    let (host, container) = (work.host, work.container());
    if seen.is_none() {
        work.begin(TaskState::Creating);
        check_ports(host.publish_address, &spec.ports)?;
        provide_image(work, spec).await?;
        work.begin(TaskState::Creating);
        create_in_engine(work, spec).await?;
        host.inspect_and_report(container).await?;
    }
    complete(work, (spec, start), seen).await
}

/// Creates the container in the engine, and its network before it. An existing container counts as created.
pub(super) async fn create_in_engine(
    work: &Work<'_>,
    spec: &ContainerSpec,
) -> Result<(), DriverError> {
    let host = work.host;
    if let Some(NetworkMode::Named(network)) = &spec.network {
        let ensuring = host.driver.ensure_network(&spec.project, network);
        within(host.engine_timeout(), "create the network", ensuring).await?;
    }
    let ports = published::ports(work, spec).await?;
    let spec = ContainerSpec { cluster: host.cluster(), ports, ..spec.clone() };
    let creating = host.driver.create(work.container(), &spec);
    within(host.engine_timeout(), "create the container", creating).await.map(drop)
}

/// Completes the creation after the engine has created the container: copies its files into it, and starts it if
/// requested, unless it has already run. `seen` is `None` if it was just created.
pub(super) async fn complete(
    work: &Work<'_>,
    (spec, start): (&ContainerSpec, bool),
    seen: Option<&ContainerInfo>,
) -> Result<(), DriverError> {
    let (host, container) = (work.host, work.container());
    let never_ran = seen.is_none_or(|seen| {
        seen.started_at.is_none() && matches!(seen.status, Status::Created | Status::Error)
    });
    let files = files(&spec.mounts);
    if never_ran && !files.is_empty() {
        let putting = host.driver.put_files(container, &files);
        within(host.engine_timeout(), "copy files into the container", putting).await?;
    }
    if start && never_ran {
        start_once(work).await?;
    }
    Ok(())
}

/// Starts the container. If Docker has not answered an earlier start of this operation, waits for that one instead.
async fn start_once(work: &Work<'_>) -> Result<(), DriverError> {
    let (unanswered, operation) = (&work.host.unanswered, work.operation.id);
    if let Some(waited) = unanswered.waited(operation) {
        work.may_have_started.store(true, Ordering::Relaxed);
        if waited < START_TIMEOUT {
            let seconds = (work.host.engine_timeout() + waited).as_secs();
            return Err(DriverError::TimedOut { doing: STARTING, seconds });
        }
        let words = "Docker has neither answered nor started it".to_owned();
        return Err(DriverError::Engine { doing: STARTING, words });
    }
    unanswered.begin(operation).await.map_err(|cause| DriverError::Engine {
        doing: STARTING,
        words: format!("the agent cannot write to its state directory: {cause}"),
    })?;
    let started = existing::start(work).await;
    if !matches!(started, Err(DriverError::TimedOut { .. })) {
        unanswered.end(operation);
    }
    started
}

/// The files that the container gets, by their paths.
fn files(mounts: &[Mount]) -> Vec<(&str, &[u8])> {
    let files = mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::File { content } => Some((mount.target.as_str(), content.as_slice())),
        MountSource::Volume { .. } | MountSource::Anonymous | MountSource::Host { .. } => None,
    });
    files.collect()
}

/// Checks the addresses against this host's own setting, because zun-api's copy of it may be outdated.
pub(super) fn check_ports(own: IpAddr, ports: &[PublishedPort]) -> Result<(), DriverError> {
    let Some(port) = ports.iter().find(|port| !may_publish(own, port.host_address)) else {
        return Ok(());
    };
    let words = format!(
        "the host does not publish ports on {}: its setting `ports.address` is {own}",
        port.host_address
    );
    Err(DriverError::Invalid { words })
}

/// Pulls the image if necessary. This may take minutes, and the agent may lose its epoch meanwhile.
pub(super) async fn provide_image(
    work: &Work<'_>,
    spec: &ContainerSpec,
) -> Result<(), DriverError> {
    let needed = ImageRequirement {
        image: &spec.image,
        platform: spec.options.platform.as_deref(),
        policy: spec.pull,
        registry: spec.registry,
        project: Some(&spec.project),
    };
    if image::provide(work, needed).await? && !work.host.control.confirm(work.epoch).await {
        let words = "another agent of the host has registered".to_owned();
        return Err(DriverError::Conflict { words });
    }
    Ok(())
}
