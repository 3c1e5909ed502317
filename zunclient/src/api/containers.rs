//! The calls of the API for containers.

use std::time::Duration;

use reqwest::Method;
use serde_json::json as value;
use zun_common::api::v1::console::{AttachRequest, ConsoleEndpoint, DataRequest};
use zun_common::api::v1::container::{
    Container, ContainerList, ContainerStats, ContainerTop, CreateContainer, UpdateContainer,
};
use zun_common::api::v1::exec::{Execute, Executed};
use zun_common::api::v1::files::{CommittedImage, ContainerChanges};
use zun_common::api::v1::placement::Placement;
use zun_common::api::v1::run::{Run, RunList, WaitRequest, Waited};
use zun_common::status::Status;

use super::client::{LONG_TIMEOUT, SHORT_TIMEOUT, json};
use super::repeat::IfUnreachable;
use super::{ApiError, Client};

/// What deleting does to a running container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delete {
    /// The service refuses to delete a running container.
    OnlyStopped,
    /// The container is stopped first.
    StopFirst,
    /// The container is killed first.
    Force,
}

/// Selects the containers to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Query parameters of the API, such as filters.
    pub parameters: Vec<(&'static str, String)>,
}

impl Client {
    /// Returns where a container would be created, and creates nothing.
    pub async fn explain(&self, ask: &CreateContainer) -> Result<Placement, ApiError> {
        let request = self.request(Method::POST, &["placement"])?.json(ask);
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Creates a container without starting it.
    pub async fn create(&self, ask: &CreateContainer) -> Result<Container, ApiError> {
        let request = self.request(Method::POST, &["containers"])?;
        self.change(request.query(&[("run", "false")]).json(ask), LONG_TIMEOUT).await
    }

    /// Returns a container.
    pub async fn show(&self, container: &str) -> Result<Container, ApiError> {
        let request = self.request(Method::GET, &["containers", container])?;
        let shown: Container = json(self.send(request, SHORT_TIMEOUT).await?).await?;
        self.names.remember(shown.uuid, container);
        Ok(shown)
    }

    /// Waits until a container has one of `statuses`, at most for `within`, and returns it.
    pub async fn wait_for(
        &self,
        container: &str,
        statuses: &[Status],
        within: Duration,
    ) -> Result<Container, ApiError> {
        let names: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
        let seconds = within.as_secs().max(1);
        let request = self
            .request(Method::GET, &["containers", container])?
            .query(&[("wait_for", names.join(",")), ("timeout", seconds.to_string())]);
        json(self.send(request, Duration::from_secs(seconds) + SHORT_TIMEOUT).await?).await
    }

    /// Waits like [`Self::wait_for`], but also returns if the container has changed since `last`.
    pub async fn wait_for_change(
        &self,
        last: &Container,
        statuses: &[Status],
        within: Duration,
    ) -> Result<Container, ApiError> {
        let names: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
        let seconds = within.as_secs().max(1);
        let seen = last.updated_at.map(zun_common::api::v1::time::text).unwrap_or_default();
        let request = self
            .request(Method::GET, &["containers", &last.uuid.to_string()])?
            .query(&[("wait_for", names.join(",")), ("timeout", seconds.to_string())])
            .query(&[("unless_updated", seen)]);
        json(self.send(request, Duration::from_secs(seconds) + SHORT_TIMEOUT).await?).await
    }

    /// Waits until a run has ended or begun, at most for the time in `ask`, and returns its state then.
    pub async fn wait_for_run(
        &self,
        container: &str,
        ask: &WaitRequest,
    ) -> Result<Waited, ApiError> {
        let request = self.request(Method::POST, &["containers", container, "wait"])?;
        let within = Duration::from_secs(ask.timeout.unwrap_or_default()) + SHORT_TIMEOUT;
        json(self.send(request.json(ask), within).await?).await
    }

    /// Returns the newest runs of a container, the newest first.
    pub async fn runs(&self, container: &str) -> Result<Vec<Run>, ApiError> {
        let request = self.request(Method::GET, &["containers", container, "runs"])?;
        let RunList { runs } = json(self.send(request, SHORT_TIMEOUT).await?).await?;
        Ok(runs)
    }

    /// Lists the containers of all pages.
    pub async fn list(&self, query: &ListQuery) -> Result<Vec<Container>, ApiError> {
        let mut all: Vec<Container> = Vec::new();
        loop {
            let page = self.list_page(query, all.last()).await?;
            all.extend(page.containers);
            if page.next.is_none() {
                return Ok(all);
            }
        }
    }

    /// Lists the containers of one page: the first, or the one after the container `last`. A full page that is not
    /// the last has `next`.
    pub async fn list_page(
        &self,
        query: &ListQuery,
        last: Option<&Container>,
    ) -> Result<ContainerList, ApiError> {
        let mut request = self.request(Method::GET, &["containers"])?.query(&query.parameters);
        if let Some(last) = last {
            request = request.query(&[("marker", last.uuid.to_string())]);
        }
        let mut page: ContainerList = json(self.send(request, SHORT_TIMEOUT).await?).await?;
        // Stops if the service repeats a page, instead of requesting it in an endless loop.
        let end = page.containers.last().map(|container| container.uuid);
        page.next = page.next.filter(|_| end.is_some() && end != last.map(|last| last.uuid));
        Ok(page)
    }

    /// Removes a container.
    pub async fn delete(&self, container: &str, how: Delete) -> Result<(), ApiError> {
        let request = self.request(Method::DELETE, &["containers", container])?;
        let request = match how {
            Delete::OnlyStopped => request,
            Delete::StopFirst => request.query(&[("stop", "true")]),
            Delete::Force => request.query(&[("force", "true")]),
        };
        self.command(request, IfUnreachable::Fail).await
    }

    /// Starts a container. If the service cannot be reached, tries for 30 seconds.
    pub async fn start(&self, container: &str) -> Result<(), ApiError> {
        let request = self.request(Method::POST, &["containers", container, "start"])?;
        self.command(request, IfUnreachable::Repeat).await
    }

    /// Sends `pause` or `unpause`.
    pub async fn act(&self, container: &str, action: &str) -> Result<(), ApiError> {
        let request = self.request(Method::POST, &["containers", container, action])?;
        self.command(request, IfUnreachable::Fail).await
    }

    /// Sends `stop` or `reboot`. `grace` is the number of seconds before SIGKILL.
    pub async fn act_with_grace(
        &self,
        container: &str,
        action: &str,
        grace: Option<u32>,
    ) -> Result<(), ApiError> {
        let request = self.request(Method::POST, &["containers", container, action])?;
        let request = match grace {
            Some(grace) => request.query(&[("timeout", grace)]),
            None => request,
        };
        self.command(request, IfUnreachable::Fail).await
    }

    /// Replaces a container with a new one of the image, or of its own image if `None`.
    pub async fn rebuild(&self, container: &str, image: Option<&str>) -> Result<(), ApiError> {
        let request = self.request(Method::POST, &["containers", container, "rebuild"])?;
        let request = match image {
            Some(image) => request.query(&[("image", image)]),
            None => request,
        };
        self.command(request, IfUnreachable::Fail).await
    }

    /// Sends a signal to the container's process.
    pub async fn kill(&self, container: &str, signal: &str) -> Result<(), ApiError> {
        let request = self.request(Method::POST, &["containers", container, "kill"])?;
        self.command(request.query(&[("signal", signal)]), IfUnreachable::Fail).await
    }

    /// Requests a grant for reading the output.
    pub async fn logs(
        &self,
        container: &str,
        ask: &DataRequest,
    ) -> Result<ConsoleEndpoint, ApiError> {
        let request = self.request(Method::POST, &["containers", container, "logs"])?;
        json(self.send(request.json(ask), SHORT_TIMEOUT).await?).await
    }

    /// Requests a grant for copying files.
    pub async fn archive(
        &self,
        container: &str,
        ask: &DataRequest,
    ) -> Result<ConsoleEndpoint, ApiError> {
        let request = self.request(Method::POST, &["containers", container, "archive"])?;
        json(self.send(request.json(ask), SHORT_TIMEOUT).await?).await
    }

    /// Lists the container's processes.
    pub async fn top(
        &self,
        container: &str,
        ps_args: Option<&str>,
    ) -> Result<ContainerTop, ApiError> {
        let request = self.request(Method::GET, &["containers", container, "top"])?;
        let request = match ps_args {
            Some(ps_args) => request.query(&[("ps_args", ps_args)]),
            None => request,
        };
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Returns the resource usage. The host measures for one or two seconds.
    pub async fn stats(&self, container: &str) -> Result<ContainerStats, ApiError> {
        let request = self.request(Method::GET, &["containers", container, "stats"])?;
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Changes the name or the limits.
    pub async fn update(
        &self,
        container: &str,
        ask: &UpdateContainer,
    ) -> Result<Container, ApiError> {
        let request = self.request(Method::PATCH, &["containers", container])?;
        self.change(request.json(ask), SHORT_TIMEOUT).await
    }

    /// Lists the files that differ from the container's image.
    pub async fn changes(&self, container: &str) -> Result<ContainerChanges, ApiError> {
        let request = self.request(Method::GET, &["containers", container, "changes"])?;
        json(self.send(request, LONG_TIMEOUT).await?).await
    }

    /// Creates an image from a container on its host.
    pub async fn commit(
        &self,
        container: &str,
        (repository, tag): (&str, Option<&str>),
    ) -> Result<CommittedImage, ApiError> {
        let request = self.request(Method::POST, &["containers", container, "commit"])?;
        let request = request.query(&[("repository", repository)]).query(&[("tag", tag)]);
        json(self.send(request, LONG_TIMEOUT).await?).await
    }

    /// Requests a grant for the container's console. With `before_start`, the answer comes when the container is
    /// created.
    pub async fn attach(
        &self,
        container: &str,
        ask: &AttachRequest,
    ) -> Result<ConsoleEndpoint, ApiError> {
        let mut request = self.request(Method::POST, &["containers", container, "attach"])?;
        if ask.before_start {
            // In the query, because the service's limit on requests that wait does not read bodies.
            request = request.query(&[("before_start", "true")]);
        }
        json(self.send(request.json(ask), LONG_TIMEOUT).await?).await
    }

    /// Runs a command in a container, or creates an exec to attach to.
    pub async fn execute(&self, container: &str, ask: &Execute) -> Result<Executed, ApiError> {
        let request = self.request(Method::POST, &["containers", container, "execute"])?;
        json(self.send(request.json(ask), LONG_TIMEOUT).await?).await
    }
    /// Requests another grant for the console of an exec. Without protocols, for Docker's own.
    pub async fn execute_attach(
        &self,
        container: &str,
        exec: &str,
        (csr, protocols): (&str, &[&str]),
    ) -> Result<ConsoleEndpoint, ApiError> {
        let request = self.request(Method::POST, &["containers", container, "execute_attach"])?;
        // An older service does not know the field `protocols`.
        let ask = if protocols.is_empty() {
            value!({ "csr": csr })
        } else {
            value!({ "csr": csr, "protocols": protocols })
        };
        let request = request.query(&[("exec_id", exec)]).json(&ask);
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Sends a signal to the process of an exec.
    pub async fn execute_kill(
        &self,
        container: &str,
        exec: &str,
        signal: &str,
    ) -> Result<(), ApiError> {
        let request = self.request(Method::POST, &["containers", container, "execute_kill"])?;
        self.done(request.query(&[("exec_id", exec), ("signal", signal)])).await
    }
}
