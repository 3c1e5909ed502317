//! The calls of the API for the operations on a container.

use reqwest::Method;
use zun_common::api::v1::action::{ContainerAction, ContainerActionDetail, ContainerActions};

use super::client::{SHORT_TIMEOUT, json};
use super::{ApiError, Client};

impl Client {
    /// Lists the operations on a container, newest first.
    pub async fn actions(&self, container: &str) -> Result<Vec<ContainerAction>, ApiError> {
        let request = self.request(Method::GET, &["containers", container, "container_actions"])?;
        let list: ContainerActions = json(self.send(request, SHORT_TIMEOUT).await?).await?;
        Ok(list.actions)
    }

    /// Returns the operation on a container that this request asked for, with its events.
    pub async fn action(
        &self,
        container: &str,
        request_id: &str,
    ) -> Result<ContainerAction, ApiError> {
        let path = ["containers", container, "container_actions", request_id];
        let request = self.request(Method::GET, &path)?;
        let detail: ContainerActionDetail = json(self.send(request, SHORT_TIMEOUT).await?).await?;
        Ok(detail.action)
    }
}
