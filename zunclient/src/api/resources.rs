//! The calls of the API for volumes and networks.

use reqwest::Method;
use serde::Deserialize;
use zun_common::api::v1::resource::{CreateResource, Resource};
use zun_common::resource::ResourceKind;

use super::client::{LONG_TIMEOUT, SHORT_TIMEOUT, json};
use super::{ApiError, Client};

/// Items in one response.
const PAGE: &str = "1000";

/// A page of one of both kinds.
#[derive(Debug, Deserialize)]
struct Page {
    #[serde(alias = "volumes", alias = "networks")]
    items: Vec<Resource>,
    next: Option<String>,
}

const fn collection(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Volume => "volumes",
        ResourceKind::Network => "networks",
    }
}

impl Client {
    /// Lists volumes or networks.
    pub async fn resources(
        &self,
        kind: ResourceKind,
        filters: &[(&'static str, String)],
    ) -> Result<Vec<Resource>, ApiError> {
        let mut all: Vec<Resource> = Vec::new();
        loop {
            let mut query = vec![("limit", PAGE.to_owned())];
            query.extend(all.last().map(|last| ("marker", last.uuid.to_string())));
            let request = self.request(Method::GET, &[collection(kind)])?;
            let request = request.query(filters).query(&query);
            let page: Page = json(self.send(request, SHORT_TIMEOUT).await?).await?;
            let is_last = page.next.is_none() || page.items.is_empty();
            all.extend(page.items);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Returns a volume or a network.
    pub async fn resource(&self, kind: ResourceKind, ident: &str) -> Result<Resource, ApiError> {
        let request = self.request(Method::GET, &[collection(kind), ident])?;
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Creates a volume or a network.
    pub async fn create_resource(
        &self,
        kind: ResourceKind,
        ask: &CreateResource,
    ) -> Result<Resource, ApiError> {
        let request = self.request(Method::POST, &[collection(kind)])?.json(ask);
        json(self.send(request, LONG_TIMEOUT).await?).await
    }

    /// Deletes a volume or a network.
    pub async fn delete_resource(&self, kind: ResourceKind, ident: &str) -> Result<(), ApiError> {
        self.done(self.request(Method::DELETE, &[collection(kind), ident])?).await
    }
}
