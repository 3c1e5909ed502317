//! Creates a container: its image, the container itself, and its first start. An existing container counts as created.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use zun_common::ports::{PublishedPort, may_publish};
use zun_common::rpc::container::{ContainerSpec, PullPolicy};
use zun_common::status::{Status, TaskState};

use super::pull_progress::Progress;
use super::work::Work;
use super::{existing, registry};
use crate::driver::{ContainerInfo, DriverError, PullRequest};
use crate::host::within;

/// Maximum number of progress messages of a pull that wait. Further ones are dropped.
const STEPS: usize = 256;

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
        if provide_image(work, spec).await? && !host.control.confirm(work.epoch).await {
            let words = "another agent of the host has registered".to_owned();
            return Err(DriverError::Conflict { words });
        }
        work.begin(TaskState::Creating);
        let spec = ContainerSpec { cluster: host.cluster(), ..spec.clone() };
        let creating = host.driver.create(container, &spec);
        within(host.engine_timeout(), "create the container", creating).await?;
        host.inspect_and_report(container).await?;
    }
    let never_ran = seen.is_none_or(|seen| {
        seen.started_at.is_none() && matches!(seen.status, Status::Created | Status::Error)
    });
    if start && never_ran {
        existing::start(work).await?;
    }
    Ok(())
}

/// Checks the addresses against this host's own setting, not only zun-api's knowledge of it.
fn check_ports(own: IpAddr, ports: &[PublishedPort]) -> Result<(), DriverError> {
    let Some(port) = ports.iter().find(|port| !may_publish(own, port.host_address)) else {
        return Ok(());
    };
    let words = format!(
        "the host does not publish ports on {}: its setting `ports.address` is {own}",
        port.host_address
    );
    Err(DriverError::Invalid { words })
}

/// Pulls the image if necessary, and returns whether it did, which may take minutes.
async fn provide_image(work: &Work<'_>, spec: &ContainerSpec) -> Result<bool, DriverError> {
    let Work { host, superseded, .. } = work;
    let ContainerSpec { image, pull, .. } = spec;
    let platform = spec.options.platform.as_deref();
    let inspecting = host.driver.image_present(image, platform);
    let pulls = match pull {
        PullPolicy::Always => true,
        PullPolicy::IfNotPresent => {
            !within(host.engine_timeout(), "inspect the image", inspecting).await?
        }
        PullPolicy::Never
            if within(host.engine_timeout(), "inspect the image", inspecting).await? =>
        {
            false
        }
        PullPolicy::Never => return Err(DriverError::NoImage(image.clone())),
    };
    let cancelled = || DriverError::Conflict { words: "its removal was requested".to_owned() };
    if superseded.is_cancelled() {
        return Err(cancelled());
    }
    if !pulls {
        return Ok(false);
    }
    work.begin(TaskState::ImagePulling);
    let (progress, mut steps) = mpsc::channel(STEPS);
    let limit = Duration::from_secs(host.limits.pull_timeout);
    let pulling = within(limit, "pull the image", async {
        let login = match spec.registry {
            Some(_) => registry::login(work).await?,
            None => None,
        };
        let request = PullRequest { image, platform, login: login.as_ref() };
        host.driver.image_pull(request, progress).await
    });
    let drained = async {
        let mut progress = Progress::new();
        while let Some(step) = steps.recv().await {
            if let Some(pull) = progress.take(step) {
                host.reports.set_pull_progress(work.container(), pull);
            }
        }
        std::future::pending::<()>().await;
    };
    let began = Instant::now();
    let pulled = tokio::select! {
        biased;
        pulled = pulling => pulled.map(|()| true),
        () = superseded.cancelled() => Err(cancelled()),
        () = drained => Ok(true),
    };
    host.metrics.count_pull(pulled.is_ok(), began.elapsed());
    pulled
}
