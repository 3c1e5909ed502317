//! Containers.

use std::time::Duration;

use reqwest::Method;
use serde_json::json as value;
use zun_common::api::v1::console::{AttachRequest, ConsoleEndpoint, DataRequest};
use zun_common::api::v1::container::{
    Container, ContainerList, ContainerStats, ContainerTop, CreateContainer, UpdateContainer,
};
use zun_common::api::v1::exec::{Execute, Executed};
use zun_common::status::Status;

use super::client::{LONG_TIMEOUT, json};
use super::{ApiError, Client};

const SHORT_TIMEOUT: Duration = Duration::from_secs(30);

/// What is done about the process of a container that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delete {
    /// Nothing: a running one is refused.
    OnlyStopped,
    /// It is stopped first.
    StopFirst,
    /// It is killed.
    Force,
}

/// Which containers are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Filters and the like, as the API has them.
    pub parameters: Vec<(&'static str, String)>,
}

impl Client {
    /// Makes a container; it is not started.
    pub async fn create(&self, ask: &CreateContainer) -> Result<Container, ApiError> {
        let request = self.request(Method::POST, &["containers"])?;
        json(self.send(request.query(&[("run", "false")]).json(ask), LONG_TIMEOUT).await?).await
    }

    /// One container.
    pub async fn show(&self, container: &str) -> Result<Container, ApiError> {
        let request = self.request(Method::GET, &["containers", container])?;
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// One container, once it is in one of these statuses, or as it is after so long.
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

    /// The same, and whatever else changes ends the wait too: any `updated_at` but this one.
    pub async fn wait_for_news(
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

    /// All of them, over as many pages as there are.
    pub async fn list(&self, query: &ListQuery) -> Result<Vec<Container>, ApiError> {
        let mut all = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let mut request = self.request(Method::GET, &["containers"])?.query(&query.parameters);
            if let Some(marker) = &marker {
                request = request.query(&[("marker", marker)]);
            }
            let page: ContainerList = json(self.send(request, SHORT_TIMEOUT).await?).await?;
            let last = page.containers.last().map(|container| container.uuid.to_string());
            all.extend(page.containers);
            match (page.next, last) {
                (Some(_), Some(last)) if marker.as_ref() != Some(&last) => marker = Some(last),
                (Some(_) | None, _) => return Ok(all),
            }
        }
    }

    /// Removes a container.
    pub async fn delete(&self, container: &str, how: Delete) -> Result<(), ApiError> {
        let request = self.request(Method::DELETE, &["containers", container])?;
        self.done(match how {
            Delete::OnlyStopped => request,
            Delete::StopFirst => request.query(&[("stop", "true")]),
            Delete::Force => request.query(&[("force", "true")]),
        })
        .await
    }

    /// `start`, `pause` or `unpause`.
    pub async fn act(&self, container: &str, action: &str) -> Result<(), ApiError> {
        self.done(self.request(Method::POST, &["containers", container, action])?).await
    }

    /// `stop` or `reboot`, with this grace in seconds.
    pub async fn act_with_grace(
        &self,
        container: &str,
        action: &str,
        grace: Option<u32>,
    ) -> Result<(), ApiError> {
        let request = self.request(Method::POST, &["containers", container, action])?;
        self.done(match grace {
            Some(grace) => request.query(&[("timeout", grace)]),
            None => request,
        })
        .await
    }

    /// Sends a signal.
    pub async fn kill(&self, container: &str, signal: &str) -> Result<(), ApiError> {
        let request = self.request(Method::POST, &["containers", container, "kill"])?;
        self.done(request.query(&[("signal", signal)])).await
    }

    /// Where its output is dialled.
    pub async fn logs(
        &self,
        container: &str,
        ask: &DataRequest,
    ) -> Result<ConsoleEndpoint, ApiError> {
        let request = self.request(Method::POST, &["containers", container, "logs"])?;
        json(self.send(request.json(ask), SHORT_TIMEOUT).await?).await
    }

    /// Where its files are dialled.
    pub async fn archive(
        &self,
        container: &str,
        ask: &DataRequest,
    ) -> Result<ConsoleEndpoint, ApiError> {
        let request = self.request(Method::POST, &["containers", container, "archive"])?;
        json(self.send(request.json(ask), SHORT_TIMEOUT).await?).await
    }

    /// Its processes.
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

    /// What it uses now; the host measures for a second or two.
    pub async fn stats(&self, container: &str) -> Result<ContainerStats, ApiError> {
        let request = self.request(Method::GET, &["containers", container, "stats"])?;
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Changes its name or its limits.
    pub async fn update(
        &self,
        container: &str,
        ask: &UpdateContainer,
    ) -> Result<Container, ApiError> {
        let request = self.request(Method::PATCH, &["containers", container])?;
        json(self.send(request.json(ask), SHORT_TIMEOUT).await?).await
    }

    /// Where its console is dialled.
    pub async fn attach(
        &self,
        container: &str,
        ask: &AttachRequest,
    ) -> Result<ConsoleEndpoint, ApiError> {
        let request = self.request(Method::POST, &["containers", container, "attach"])?;
        json(self.send(request.json(ask), SHORT_TIMEOUT).await?).await
    }

    /// Runs another command, or makes an exec that is then dialled.
    pub async fn execute(&self, container: &str, ask: &Execute) -> Result<Executed, ApiError> {
        let request = self.request(Method::POST, &["containers", container, "execute"])?;
        json(self.send(request.json(ask), LONG_TIMEOUT).await?).await
    }
    /// Where the console of an exec is dialled, with another grant.
    pub async fn execute_attach(
        &self,
        container: &str,
        exec: &str,
        csr: &str,
    ) -> Result<ConsoleEndpoint, ApiError> {
        let request = self.request(Method::POST, &["containers", container, "execute_attach"])?;
        let request = request.query(&[("exec_id", exec)]).json(&value!({ "csr": csr }));
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Sends the process of an exec a signal.
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
