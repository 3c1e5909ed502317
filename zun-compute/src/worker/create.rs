//! Making a container: its image, itself, and its first start. One that is there is taken as made.

use std::time::Duration;

use tokio::sync::mpsc;
use zun_common::rpc::container::{ContainerSpec, CreateContainer, PullPolicy};
use zun_common::status::{Status, TaskState};

use super::perform::Work;
use super::progress::Progress;
use super::run;
use crate::driver::{ContainerInfo, DriverError};
use crate::host::within;

/// So many steps of a pull may wait; what is more is dropped.
const STEPS: usize = 256;

/// Makes it and starts it if asked. One that ran already is not run again: then this command was done
/// before, and came again.
pub(super) async fn create(
    work: &Work<'_>,
    make: &CreateContainer,
    seen: Option<&ContainerInfo>,
) -> Result<(), DriverError> {
    let host = work.host;
    let CreateContainer { container, spec, start } = make;
    if seen.is_none() {
        host.reports.begin(*container, TaskState::Creating);
        bring_image(work, make).await?;
        host.reports.begin(*container, TaskState::Creating);
        let making = host.driver.create(*container, spec);
        within(host.engine_timeout(), "create the container", making).await?;
        host.inspect_and_report(*container).await?;
    }
    let never_ran = seen.is_none_or(|seen| {
        seen.started_at.is_none() && matches!(seen.status, Status::Created | Status::Error)
    });
    if *start && never_ran {
        run::start(host, *container).await?;
    }
    Ok(())
}

async fn bring_image(work: &Work<'_>, make: &CreateContainer) -> Result<(), DriverError> {
    let Work { host, given_up, .. } = work;
    let ContainerSpec { image, pull, .. } = &make.spec;
    let looking = host.driver.image_present(image);
    let pulls = match pull {
        PullPolicy::Always => true,
        PullPolicy::IfNotPresent => {
            !within(host.engine_timeout(), "inspect the image", looking).await?
        }
        PullPolicy::Never
            if within(host.engine_timeout(), "inspect the image", looking).await? =>
        {
            false
        }
        PullPolicy::Never => return Err(DriverError::NoImage(image.clone())),
    };
    let cancelled = || DriverError::Conflict { words: "its removal was requested".to_owned() };
    if given_up.is_cancelled() {
        return Err(cancelled());
    }
    if !pulls {
        return Ok(());
    }
    host.reports.begin(make.container, TaskState::ImagePulling);
    let (progress, mut steps) = mpsc::channel(STEPS);
    let limit = Duration::from_secs(host.limits.pull_timeout);
    let pulling = within(limit, "pull the image", host.driver.image_pull(image, progress));
    let drained = async {
        let mut progress = Progress::new();
        while let Some(step) = steps.recv().await {
            if let Some(pull) = progress.take(step) {
                host.reports.pulling(make.container, pull);
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        pulled = pulling => pulled,
        () = given_up.cancelled() => Err(cancelled()),
        () = drained => Ok(()),
    }
}
