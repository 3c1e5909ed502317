//! The life cycle of containers.

use std::time::Duration;

use async_trait::async_trait;
use bollard::models::{ContainerCreateBody, ContainerCreateResponse, ContainerUpdateBody};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, KillContainerOptions, RemoveContainerOptions,
    RenameContainerOptions, RestartContainerOptions, StartContainerOptions, StopContainerOptions,
    WaitContainerOptions,
};
use futures_util::StreamExt as _;
use tokio::time::Instant;
use zun_common::id::{ContainerId, EngineId};
use zun_common::rpc::container::ContainerSpec;
use zun_common::status::Status;
use zun_common::units::Resources;

use super::deadline::{QUICK, SLOW, within};
use super::errors::RequestFailure;
use super::{Api, DockerDriver, LABEL_RESTART, RUNTIME, engine_options, from_docker, to_docker};
use crate::driver::{Change, DriverError, Inspect as _, Lifecycle};

/// Docker's default grace period.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// How often to retry a creation while Docker reserves the name for a container that it is creating or removing.
const TRY_EVERY: Duration = Duration::from_millis(50);
const CREATING: &str = "create the container";
const RESTART_POLICY: &str = "change the restart policy of the container";

#[async_trait]
impl Lifecycle for DockerDriver {
    async fn create(
        &self,
        container: ContainerId,
        spec: &ContainerSpec,
    ) -> Result<(EngineId, Change), DriverError> {
        let mut body = to_docker::container(container, spec)?;
        let api = self.api().await?;
        engine_options::check(&spec.options, api.version)?;
        if let (Some(_), Some(host)) = (&api.sizes, &mut body.host_config) {
            host.runtime.get_or_insert_with(|| RUNTIME.to_owned());
        }
        let platform = spec.options.platform.as_deref();
        let mut tries = tokio::time::interval(TRY_EVERY);
        let latest = Instant::now() + QUICK;
        loop {
            let now = tries.tick().await;
            let failure = match create(&api, (container, platform), body.clone()).await {
                Ok(made) => {
                    if let Some(sizes) = &api.sizes {
                        sizes.store(&made.id, spec.console.size.filter(|_| spec.console.tty)).await;
                    }
                    return Ok((from_docker::engine_id(Some(&made.id))?, Change::Done));
                }
                Err(failure) => failure,
            };
            if failure.is(404) {
                return Err(DriverError::NoImage(spec.image.clone()));
            }
            if !failure.says(409, "already in use") {
                return Err(failure.about(CREATING));
            }
            if let Some(engine) = adopt(&api, container).await? {
                return Ok((engine, Change::Already));
            }
            // The name is in use but no container has it: a container is just being created or removed.
            if now >= latest {
                return Err(failure.about(CREATING));
            }
        }
    }

    async fn start(&self, container: ContainerId) -> Result<Change, DriverError> {
        start(&self.api().await?, (container, &container.engine_name())).await
    }

    async fn start_first(&self, container: ContainerId) -> Result<Change, DriverError> {
        start_as_it_is(&self.api().await?, (container, &container.engine_name())).await
    }

    async fn stop(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<Change, DriverError> {
        stop(&self.api().await?, (container, &container.engine_name()), grace).await
    }

    async fn restart(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<(), DriverError> {
        let api = self.api().await?;
        let name = container.engine_name();
        set_restart(&api, &name, Restarts::ByPolicy)
            .await
            .map_err(|failure| failure.about_container(RESTART_POLICY, container))?;
        let options = RestartContainerOptions { signal: None, t: grace.map(to_docker::seconds) };
        within(stop_timeout(grace), api.docker.restart_container(&name, Some(options)))
            .await
            .map_err(|failure| failure.about_start("restart the container", container))
    }

    async fn kill(&self, container: ContainerId, signal: &str) -> Result<(), DriverError> {
        let api = self.api().await?;
        let name = container.engine_name();
        let options = KillContainerOptions { signal: signal.to_owned() };
        within(SLOW, api.docker.kill_container(&name, Some(options)))
            .await
            .map_err(|failure| failure.about_container("send the container a signal", container))
    }

    async fn pause(&self, container: ContainerId) -> Result<Change, DriverError> {
        let api = self.api().await?;
        match within(SLOW, api.docker.pause_container(&container.engine_name())).await {
            Ok(()) => Ok(Change::Done),
            Err(failure) if failure.says(409, "already paused") => Ok(Change::Already),
            Err(failure) => Err(failure.about_container("pause the container", container)),
        }
    }

    async fn unpause(&self, container: ContainerId) -> Result<Change, DriverError> {
        let api = self.api().await?;
        match within(SLOW, api.docker.unpause_container(&container.engine_name())).await {
            Ok(()) => Ok(Change::Done),
            // Docker's message is the same for a running and a stopped container.
            Err(failure) if failure.says(500, "is not paused") || failure.is(409) => {
                let status = self.inspect(container).await?.status;
                if status == Status::Running {
                    return Ok(Change::Already);
                }
                let words = format!("Container {container} is not paused: it is {status}");
                Err(DriverError::Conflict { words })
            }
            Err(failure) => Err(failure.about_container("unpause the container", container)),
        }
    }

    async fn update(
        &self,
        container: ContainerId,
        resources: Resources,
    ) -> Result<(), DriverError> {
        let api = self.api().await?;
        let name = container.engine_name();
        let refused = |failure: RequestFailure| {
            failure.about_container("change the limits of the container", container)
        };
        let inspecting = api.docker.inspect_container(&name, None::<InspectContainerOptions>);
        let before = within(QUICK, inspecting).await.map_err(refused)?.host_config;
        let change = to_docker::update(resources, &before.unwrap_or_default());
        within(SLOW, api.docker.update_container(&name, change)).await.map_err(refused)
    }

    async fn remove(&self, container: ContainerId, force: bool) -> Result<Change, DriverError> {
        remove(&self.api().await?, &container.engine_name(), force).await
    }

    async fn rename_to_old(
        &self,
        container: ContainerId,
        engine: &EngineId,
    ) -> Result<Change, DriverError> {
        let options = RenameContainerOptions { name: old_name(container) };
        let api = self.api().await?;
        within(SLOW, api.docker.rename_container(engine.as_str(), options))
            .await
            .map(|()| Change::Done)
            .map_err(|failure| failure.about_container("rename the old container", container))
    }

    async fn stop_old(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<Change, DriverError> {
        stop(&self.api().await?, (container, &old_name(container)), grace).await
    }

    async fn start_old(&self, container: ContainerId) -> Result<Change, DriverError> {
        start(&self.api().await?, (container, &old_name(container))).await
    }

    async fn restore_old(&self, container: ContainerId) -> Result<Change, DriverError> {
        let options = RenameContainerOptions { name: container.engine_name() };
        let api = self.api().await?;
        match within(SLOW, api.docker.rename_container(&old_name(container), options)).await {
            Ok(()) => Ok(Change::Done),
            Err(failure) if failure.is(404) => Ok(Change::Already),
            Err(failure) => Err(failure.about("rename the old container")),
        }
    }

    async fn remove_old(&self, container: ContainerId) -> Result<Change, DriverError> {
        remove(&self.api().await?, &old_name(container), true).await
    }
}

/// The name of the old container of a rebuild.
pub(super) fn old_name(container: ContainerId) -> String {
    format!("{}.old", container.engine_name())
}

/// Starts a container by its name in Docker.
async fn start(api: &Api, (container, name): (ContainerId, &str)) -> Result<Change, DriverError> {
    set_restart(api, name, Restarts::ByPolicy)
        .await
        .map_err(|failure| failure.about_container(RESTART_POLICY, container))?;
    start_as_it_is(api, (container, name)).await
}

/// Starts a container by its name in Docker, without a change of its restart policy.
async fn start_as_it_is(
    api: &Api,
    (container, name): (ContainerId, &str),
) -> Result<Change, DriverError> {
    let start = api.docker.start_container(name, None::<StartContainerOptions>);
    change(within(SLOW, start).await)
        .map_err(|failure| failure.about_start("start the container", container))
}

/// Stops a container by its name in Docker.
async fn stop(
    api: &Api,
    (container, name): (ContainerId, &str),
    grace: Option<Duration>,
) -> Result<Change, DriverError> {
    set_restart(api, name, Restarts::Never)
        .await
        .map_err(|failure| failure.about_container(RESTART_POLICY, container))?;
    let options = StopContainerOptions { signal: None, t: grace.map(to_docker::seconds) };
    let stop = api.docker.stop_container(name, Some(options));
    let stopped = change(within(stop_timeout(grace), stop).await);
    if let Err(RequestFailure::Refused { .. } | RequestFailure::Unexpected(_)) = &stopped {
        keep_restarting(api, (container, name)).await;
    }
    stopped.map_err(|failure| failure.about_container("stop the container", container))
}

/// Restores the restart policy of a container that Docker has not stopped. If Docker has not answered, it may still stop
/// the container, so the policy stays as it is.
async fn keep_restarting(api: &Api, (container, name): (ContainerId, &str)) {
    if let Err(failure) = set_restart(api, name, Restarts::ByPolicy).await {
        let error = failure.about_container(RESTART_POLICY, container);
        tracing::warn!(
            container.id = %container, error = %zun_common::chain(&error),
            "container {container} was not stopped, and Docker does not restart it when it ends"
        );
    }
}

/// When Docker restarts a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restarts {
    /// As its user wants.
    ByPolicy,
    /// Not at all, because it was stopped. Docker would start it when it starts itself.
    Never,
}

/// Sets the restart policy. A container without the label needs no change: its policy is `no` or `unless-stopped`, or an
/// agent without this function has created it.
async fn set_restart(api: &Api, name: &str, restarts: Restarts) -> Result<(), RequestFailure> {
    let inspecting = api.docker.inspect_container(name, None::<InspectContainerOptions>);
    let shown = within(QUICK, inspecting).await?;
    let labels = shown.config.and_then(|config| config.labels);
    let wanted = labels.as_ref().and_then(|labels| labels.get(LABEL_RESTART));
    let Some(by_policy) = wanted.and_then(|text| to_docker::labelled_policy(text)) else {
        return Ok(());
    };
    let policy = match restarts {
        Restarts::ByPolicy => by_policy,
        Restarts::Never => to_docker::no_restart(),
    };
    if shown.host_config.and_then(|host| host.restart_policy).as_ref() == Some(&policy) {
        return Ok(());
    }
    let change = ContainerUpdateBody { restart_policy: Some(policy), ..Default::default() };
    within(SLOW, api.docker.update_container(name, change)).await
}

/// Removes a container, by Docker's ID or name.
async fn remove(api: &Api, container: &str, force: bool) -> Result<Change, DriverError> {
    let options = RemoveContainerOptions { v: true, force, link: false };
    match within(SLOW, api.docker.remove_container(container, Some(options))).await {
        Ok(()) => Ok(Change::Done),
        Err(failure) if failure.is(404) => Ok(Change::Already),
        Err(failure) if failure.says(409, "is already in progress") => {
            wait_removed(api, container).await?;
            Ok(Change::Already)
        }
        Err(failure) => Err(failure.about("remove the container")),
    }
}

async fn create(
    api: &Api,
    (container, platform): (ContainerId, Option<&str>),
    body: ContainerCreateBody,
) -> Result<ContainerCreateResponse, RequestFailure> {
    let options = CreateContainerOptions {
        name: Some(container.engine_name()),
        platform: platform.unwrap_or_default().to_owned(),
    };
    within(SLOW, api.docker.create_container(Some(options), body)).await
}

/// Returns the existing container with this name, if it has our label too. `None` if there is no container.
async fn adopt(api: &Api, container: ContainerId) -> Result<Option<EngineId>, DriverError> {
    let name = container.engine_name();
    let inspecting = api.docker.inspect_container(&name, None::<InspectContainerOptions>);
    match within(QUICK, inspecting).await {
        Ok(shown) if from_docker::is_ours(container, &shown) => {
            from_docker::engine_id(shown.id.as_deref()).map(Some)
        }
        Ok(_foreign) => Err(DriverError::Conflict {
            words: format!(
                "the name {name} is in use by a container that Zun did not create: rename or remove that container"
            ),
        }),
        Err(failure) if failure.is(404) => Ok(None),
        Err(failure) => Err(failure.about("inspect the container with this name")),
    }
}

/// Waits until a removal that is already in progress is done.
async fn wait_removed(api: &Api, container: &str) -> Result<(), DriverError> {
    let options = WaitContainerOptions { condition: "removed".to_owned() };
    let mut answer = api.docker.wait_container(container, Some(options));
    // Any answer, even "no such container", means that the container is removed.
    match tokio::time::timeout(SLOW, answer.next()).await {
        Ok(_answered) => Ok(()),
        Err(_elapsed) => {
            Err(RequestFailure::TimedOut(SLOW).about("wait for the removal of the container"))
        }
    }
}

fn change(outcome: Result<(), RequestFailure>) -> Result<Change, RequestFailure> {
    match outcome {
        Ok(()) => Ok(Change::Done),
        Err(failure) if failure.is(304) => Ok(Change::Already),
        Err(failure) => Err(failure),
    }
}

/// The time limit of a stop: the grace period, and the time that Docker needs to kill and to clean up.
fn stop_timeout(grace: Option<Duration>) -> Duration {
    grace.unwrap_or(DEFAULT_GRACE).saturating_add(SLOW)
}
