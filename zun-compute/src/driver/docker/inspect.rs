//! Inspects containers.

use std::time::Duration;

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models::{ContainerWaitExitError, ContainerWaitResponse};
use bollard::query_parameters::{InspectContainerOptions, WaitContainerOptions};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::Value;
use zun_common::docker_errors::user_message;
use zun_common::id::{ContainerId, EngineId};
use zun_common::rpc::container::{LogRequest, Logs, Stats, Top};
use zun_common::status::Status;

use super::deadline::{QUICK, SLOW, within};
use super::errors::RequestFailure;
use super::lifecycle::old_name;
use super::{Api, DockerDriver, LABEL_CONTAINER, from_docker};
use crate::driver::listing::{Limits, inspect_each};
use crate::driver::{
    ContainerInfo, DriverError, EngineEvent, EngineInfo, Inspect, ListedContainer,
};

/// The exit code of a process that was killed by SIGKILL.
const KILLED: i64 = 137;
/// `{"label":["zun.container"]}`
const FILTERS: &str = "%7B%22label%22%3A%5B%22zun.container%22%5D%7D";
/// The largest list of containers, in bytes: about 1 KiB and the labels of each.
const LARGEST_LIST: usize = 256 << 20;
/// Docker can hang on a container whose console is stalled.
const LISTING: Limits =
    Limits { at_once: 8, each: Duration::from_secs(5), total: Duration::from_secs(20) };

#[async_trait]
impl Inspect for DockerDriver {
    async fn inspect(&self, container: ContainerId) -> Result<ContainerInfo, DriverError> {
        self.inspect_named((container, &container.engine_name())).await
    }

    async fn inspect_old(&self, container: ContainerId) -> Result<ContainerInfo, DriverError> {
        self.inspect_named((container, &old_name(container))).await
    }

    async fn list(&self) -> Result<Vec<ListedContainer>, DriverError> {
        let containers = self.listed(ContainerId::engine_name).await?;
        let containers = containers.into_iter().map(|one| (one.container, one.engine)).collect();
        Ok(inspect_each(containers, LISTING, |container| self.inspect(container)).await)
    }

    async fn statuses(&self) -> Result<Vec<(ContainerId, Option<Status>)>, DriverError> {
        let containers = self.listed(ContainerId::engine_name).await?;
        Ok(containers.into_iter().map(|one| (one.container, one.status)).collect())
    }

    async fn list_old(&self) -> Result<Vec<ContainerId>, DriverError> {
        let containers = self.listed(old_name).await?;
        Ok(containers.into_iter().map(|one| one.container).collect())
    }

    async fn wait(&self, container: ContainerId) -> Result<i64, DriverError> {
        let api = self.api().await?;
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        let mut answer = api.docker.wait_container(&container.engine_name(), Some(options));
        match answer.next().await {
            Some(answer) => waited(container, answer),
            None => Err(DriverError::down("the link to Docker was lost during a wait")),
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
    /// Inspects a container by its name in Docker.
    async fn inspect_named(
        &self,
        (container, name): (ContainerId, &str),
    ) -> Result<ContainerInfo, DriverError> {
        let api = self.api().await?;
        let inspecting = api.docker.inspect_container(name, None::<InspectContainerOptions>);
        // Callers have shorter limits. Docker answers when it releases the container.
        let shown = within(SLOW, inspecting)
            .await
            .map_err(|failure| failure.about_container("inspect the container", container))?;
        let mut seen = from_docker::seen(container, shown)?;
        if let (Some(KILLED), Some(end)) = (seen.exit_code, seen.finished_at) {
            seen.oom_killed |= self.oom_events.explain(&seen.engine, (seen.started_at, end));
        }
        Ok(seen)
    }

    /// Lists the containers whose label and name match.
    async fn listed(&self, name: fn(ContainerId) -> String) -> Result<Vec<Listed>, DriverError> {
        let Api { version, .. } = self.api().await?;
        let path = format!("/v{version}/containers/json?all=true&filters={FILTERS}");
        let shown: Vec<Value> = within(QUICK, self.wire.get_json(&path, LARGEST_LIST))
            .await
            .map_err(|failure| failure.about("list the containers"))?;
        Ok(shown.iter().filter_map(|shown| listed(shown, name)).collect())
    }
}

/// A container in Docker's list.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    container: ContainerId,
    engine: Option<EngineId>,
    status: Option<Status>,
}

/// Reads the IDs and the status of a container from a list. It reads no other field, so a field that it does not know
/// fails no listing. `None` if the container is not Zun's: if it does not have the name that belongs to its label.
fn listed(shown: &Value, name: fn(ContainerId) -> String) -> Option<Listed> {
    let container: ContainerId =
        shown.get("Labels")?.get(LABEL_CONTAINER)?.as_str()?.parse().ok()?;
    let expected = name(container);
    let named = |name: &Value| {
        name.as_str().map(|name| name.strip_prefix('/').unwrap_or(name)) == Some(&expected)
    };
    let engine = shown.get("Id").and_then(Value::as_str);
    let names = shown.get("Names")?.as_array()?;
    let engine = from_docker::engine_id(engine).ok();
    let status = shown.get("State").and_then(Value::as_str).and_then(from_docker::listed_status);
    names.iter().any(named).then_some(Listed { container, engine, status })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_container_is_recognised_whatever_its_other_fields_are() {
        let ours = |shown: &Value| listed(shown, ContainerId::engine_name);
        let container = ContainerId::random();
        let (name, engine) = (format!("/{}", container.engine_name()), "ab".repeat(32));
        let labels = serde_json::json!({ LABEL_CONTAINER: container.to_string() });
        let entry = |name: &str, id: Value| serde_json::json!({ "Id": id, "Names": [name], "Labels": labels, "State": "new", "Ports": 7 });
        let expected = Listed { container, engine: engine.parse().ok(), status: None };
        assert_eq!(ours(&entry(&name, engine.clone().into())), Some(expected));
        let expected = Listed { container, engine: None, status: None };
        assert_eq!(ours(&entry(&name, Value::Null)), Some(expected));
        let mut running = entry(&name, Value::Null);
        running["State"] = "running".into();
        assert_eq!(ours(&running).and_then(|one| one.status), Some(Status::Running));
        assert_eq!(ours(&entry("/forged", engine.into())), None);
        let old = entry(&format!("{name}.old"), Value::Null);
        assert_eq!(ours(&old), None);
        let old = listed(&old, old_name);
        assert_eq!(old.map(|one| one.container), Some(container));
        assert_eq!(ours(&serde_json::json!({ "Names": [name], "Labels": null })), None);
    }
}
