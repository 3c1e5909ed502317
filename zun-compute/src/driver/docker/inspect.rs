//! Inspects containers.

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models::{ContainerWaitExitError, ContainerWaitResponse};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptions, WaitContainerOptions,
};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use zun_common::docker_errors::user_message;
use zun_common::id::ContainerId;
use zun_common::rpc::container::{LogRequest, Logs, Stats, Top};

use super::deadline::{QUICK, within};
use super::errors::RequestFailure;
use super::{DockerDriver, LABEL_CONTAINER, from_docker};
use crate::driver::{ContainerInfo, DriverError, EngineEvent, EngineInfo, Inspect};

/// The exit code of a process that was killed by SIGKILL.
const KILLED: i64 = 137;
/// How many containers to inspect at a time.
const AT_ONCE: usize = 8;

#[async_trait]
impl Inspect for DockerDriver {
    async fn inspect(&self, container: ContainerId) -> Result<ContainerInfo, DriverError> {
        let api = self.api().await?;
        let name = container.engine_name();
        let inspecting = api.docker.inspect_container(&name, None::<InspectContainerOptions>);
        let shown = within(QUICK, inspecting)
            .await
            .map_err(|failure| failure.about_container("inspect the container", container))?;
        let mut seen = from_docker::seen(container, shown)?;
        if let (Some(KILLED), Some(end)) = (seen.exit_code, seen.finished_at) {
            seen.oom_killed |= self.oom_events.explain(&seen.engine, (seen.started_at, end));
        }
        Ok(seen)
    }

    async fn list(&self) -> Result<Vec<ContainerInfo>, DriverError> {
        let ours = self.ours().await?;
        let seen = stream::iter(ours).map(|container| async move {
            match self.inspect(container).await {
                Ok(seen) => Ok(Some(seen)),
                // It was removed in the meantime.
                Err(DriverError::NoContainer(_)) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let seen: Vec<Option<ContainerInfo>> = seen.buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(seen.into_iter().flatten().collect())
    }

    async fn wait(&self, container: ContainerId) -> Result<i64, DriverError> {
        let api = self.api().await?;
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        let mut answer = api.docker.wait_container(&container.engine_name(), Some(options));
        match answer.next().await {
            Some(answer) => waited(container, answer),
            None => {
                Err(DriverError::Down { cause: "the link to Docker was lost during a wait".into() })
            }
        }
    }

    async fn logs(
        &self,
        container: ContainerId,
        request: &LogRequest,
    ) -> Result<Logs, DriverError> {
        self.read_logs(container, request).await
    }

    async fn top(&self, container: ContainerId, ps_args: Option<&str>) -> Result<Top, DriverError> {
        self.list_processes(container, ps_args).await
    }

    async fn stats(&self, container: ContainerId) -> Result<Stats, DriverError> {
        self.measure(container).await
    }

    async fn events(&self) -> Result<BoxStream<'static, EngineEvent>, DriverError> {
        self.subscribe().await
    }

    async fn engine(&self) -> Result<EngineInfo, DriverError> {
        self.inspect_engine().await
    }
}

impl DockerDriver {
    /// Lists the containers of Zun: those whose label and name match.
    async fn ours(&self) -> Result<Vec<ContainerId>, DriverError> {
        let api = self.api().await?;
        let options = ListContainersOptions {
            all: true,
            limit: None,
            size: false,
            filters: Some([("label".to_owned(), vec![LABEL_CONTAINER.to_owned()])].into()),
        };
        let shown = within(QUICK, api.docker.list_containers(Some(options)))
            .await
            .map_err(|failure| failure.about("list the containers"))?;
        let ours = shown.into_iter().filter_map(|one| {
            let container: ContainerId = one.labels?.get(LABEL_CONTAINER)?.parse().ok()?;
            let named = |name: &String| ContainerId::from_engine_name(name) == Some(container);
            one.names?.iter().any(named).then_some(container)
        });
        Ok(ours.collect())
    }
}

/// Converts the answer of a wait. The client library returns every exit code but 0 as an error.
fn waited(
    container: ContainerId,
    answer: Result<ContainerWaitResponse, Error>,
) -> Result<i64, DriverError> {
    let (code, words) = match answer {
        Ok(ContainerWaitResponse { status_code, error }) => (
            status_code,
            error.and_then(|ContainerWaitExitError { message }| message).unwrap_or_default(),
        ),
        Err(Error::DockerContainerWaitError { error, code }) => (code, error),
        Err(error) => {
            return Err(
                RequestFailure::from(error).about_container("wait for the container", container)
            );
        }
    };
    if words.is_empty() {
        Ok(code)
    } else {
        Err(DriverError::Engine { doing: "wait for the container", words: user_message(&words) })
    }
}
