//! Provides images: pulls them for a container or by an explicit pull, and removes them.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use zun_common::api::v1::container::{ImagePull, PullPolicy};
use zun_common::backoff::Backoff;
use zun_common::bus::CallError;
use zun_common::chain;
use zun_common::committed;
use zun_common::id::{ProjectId, RegistryId};
use zun_common::image_name::ImageName;
use zun_common::rpc::Code;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::image::{ImageState, PulledImage, ReportImage};
use zun_common::status::TaskState;

use super::pulls::{Pull, Wanted};
use super::registry;
use super::work::Work;
use crate::driver::{DriverError, ImageOrigin};
use crate::host::within;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// An image that an operation needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImageRequirement<'a> {
    pub(super) image: &'a str,
    pub(super) platform: Option<&'a str>,
    pub(super) policy: PullPolicy,
    pub(super) registry: Option<RegistryId>,
    /// The project that uses it; `None` from an older zun-api.
    pub(super) project: Option<&'a ProjectId>,
}

/// Pulls the image if the pull policy requires it, which may take minutes. Returns whether it did. Reports the progress
/// of the container, or of the image if it is pulled explicitly. Refuses an image that another project has committed,
/// by its name and by the image that the engine has under this name: projects share the images of a host.
pub(super) async fn provide(
    work: &Work<'_>,
    needed: ImageRequirement<'_>,
) -> Result<bool, DriverError> {
    let name: ImageName = needed.image.parse()?;
    check_name(&name, needed.project)?;
    let pulled = provide_any(work, (needed, &name)).await?;
    if let Some(project) = needed.project {
        let asking = work.host.driver.image_origin(needed.image);
        let origin = within(work.host.engine_timeout(), "inspect the image", asking).await?;
        check_origin(&name, project, &origin)?;
    }
    Ok(pulled)
}

fn check_name(name: &ImageName, project: Option<&ProjectId>) -> Result<(), DriverError> {
    match project {
        Some(project) if !committed::may_use(project, name) => Err(foreign(name)),
        Some(_) | None => Ok(()),
    }
}

/// An image that the engine has under exactly this name comes from the registry of this name, or somebody with access
/// to the engine has tagged it.
fn check_origin(
    name: &ImageName,
    project: &ProjectId,
    origin: &ImageOrigin,
) -> Result<(), DriverError> {
    let ImageOrigin { project: owner, names } = origin;
    let is_foreign = owner.as_ref().is_some_and(|owner| owner != project.as_str());
    let is_named_so =
        || names.iter().any(|own| own.parse::<ImageName>().is_ok_and(|own| own == *name));
    if is_foreign && !is_named_so() {
        return Err(foreign(name));
    }
    Ok(())
}

fn foreign(name: &ImageName) -> DriverError {
    let words = format!("another project committed the image {name}; use an image from a registry");
    DriverError::Invalid { words }
}

async fn provide_any(
    work: &Work<'_>,
    (needed, name): (ImageRequirement<'_>, &ImageName),
) -> Result<bool, DriverError> {
    let Work { host, superseded, .. } = work;
    let ImageRequirement { image, platform, policy, registry, project: _ } = needed;
    // No registry has it.
    let policy = if committed::is_committed(name) { PullPolicy::Never } else { policy };
    let present = async {
        let inspecting = host.driver.image_present(image, platform);
        within(host.engine_timeout(), "inspect the image", inspecting).await
    };
    let pulls = match policy {
        PullPolicy::Always => true,
        PullPolicy::IfNotPresent => !present.await?,
        PullPolicy::Never if present.await? => false,
        PullPolicy::Never => return Err(DriverError::NoImage(image.to_owned())),
    };
    let cancelled = || DriverError::Conflict { words: "its removal was requested".to_owned() };
    if superseded.is_cancelled() {
        return Err(cancelled());
    }
    if !pulls {
        return Ok(false);
    }
    begin(work);
    let pulling = async {
        let login = match registry {
            Some(_) => registry::login(work).await?,
            None => None,
        };
        let platform = platform.map(str::to_owned);
        let wanted = Wanted { image: image.to_owned(), platform, registry };
        let limit = Duration::from_secs(host.limits.pull_timeout);
        let Pull { done, progress } = host.pulls.join(&host.driver, wanted, (login, limit));
        tokio::select! {
            biased;
            pulled = done => pulled,
            () = follow(work, progress) => Ok(()),
        }
    };
    let began = Instant::now();
    let pulled = tokio::select! {
        biased;
        pulled = pulling => pulled.map(|()| true),
        () = superseded.cancelled() => Err(cancelled()),
    };
    host.metrics.count_pull(pulled.is_ok(), began.elapsed());
    host.images_changed.notify_one();
    pulled
}

/// Reports the progress until the pull ends.
async fn follow(work: &Work<'_>, mut progress: watch::Receiver<ImagePull>) {
    while progress.changed().await.is_ok() {
        let pull = progress.borrow_and_update().clone();
        if work.operation.change.is_about_container() {
            work.host.reports.set_pull_progress(work.container(), pull);
        } else if let Err(error) = report(work, ImageState::Pulling(pull)).await {
            // The next one follows soon.
            tracing::debug!(error = %chain(&error), "cannot report the progress of a pull");
        }
    }
    std::future::pending::<()>().await;
}

fn begin(work: &Work<'_>) {
    if work.operation.change.is_about_container() {
        work.begin(TaskState::ImagePulling);
    } else {
        work.mark_begun();
    }
}

/// Carries out an explicit pull of an image, and reports the image that the host has afterwards.
pub(super) async fn pull(work: &Work<'_>, needed: ImageRequirement<'_>) -> Result<(), DriverError> {
    provide(work, needed).await?;
    let inspecting = work.host.driver.image_inspect(needed.image);
    let image = within(work.host.engine_timeout(), "inspect the image", inspecting).await?;
    report_until_stored(work, image).await;
    Ok(())
}

/// Removes an image. A missing one counts as removed.
pub(super) async fn remove(work: &Work<'_>, image: &str) -> Result<(), DriverError> {
    work.mark_begun();
    let removing = work.host.driver.image_remove(image);
    let removed = within(work.host.engine_timeout(), "remove the image", removing).await;
    work.host.images_changed.notify_one();
    removed.map(drop)
}

/// If the agent loses its epoch, the next one reports the image.
async fn report_until_stored(work: &Work<'_>, image: PulledImage) {
    let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
    loop {
        let error = match report(work, ImageState::Present(image.clone())).await {
            Ok(()) => return,
            Err(error) => error,
        };
        if let CallError::Refused { problem, .. } = &error
            && !matches!(problem.code, Code::Busy | Code::Closing | Code::Expired | Code::Internal)
        {
            tracing::warn!(error = %problem, "zun-api refused the report of an image");
            return;
        }
        backoff.wait().await;
    }
}

async fn report(work: &Work<'_>, state: ImageState) -> Result<(), CallError> {
    let (host, operation) = (work.host.name.clone(), work.operation.id);
    let call = ReportImage { host, epoch: work.epoch, operation, state };
    work.host.bus.call_controller(&call, &CallContext::internal()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_refused_by_what_the_engine_finds_under_its_name() {
        let project: ProjectId = "red".parse().expect("a project");
        let check = |name: &str, owner: Option<&str>, names: &[&str]| {
            let origin = ImageOrigin {
                project: owner.map(str::to_owned),
                names: names.iter().map(|&name| name.to_owned()).collect(),
            };
            check_origin(&name.parse().expect("a name"), &project, &origin).is_ok()
        };
        let committed = "zun.local/16477688c0e00699/web:v1";
        assert!(check("cirros", None, &["cirros:latest"]));
        assert!(check("team/web:v1", Some("red"), &[committed]));
        // By its ID, or by another way that Docker may know.
        assert!(!check("sha256:ab", Some("blue"), &[committed]));
        assert!(!check("team/web:v1", Some("blue"), &[committed]));
        assert!(!check("team/web:v1", Some("blue"), &[]));
        // Somebody has tagged it on the host, or it was pushed to a registry and pulled from there.
        assert!(check("docker.io/team/web:v1", Some("blue"), &[committed, "team/web:v1"]));
    }
}
