//! The calls of the API for logins to registries.

use reqwest::Method;
use zun_common::api::v1::registry::{
    Registry, RegistryBody, RegistryFields, RegistryList, RegistryRequest,
};

use super::client::{SHORT_TIMEOUT, json};
use super::{ApiError, Client};

/// Logins in one response.
const PAGE: &str = "1000";

impl Client {
    /// Lists the logins that have these values of fields, such as `domain`.
    pub async fn registries(
        &self,
        filters: &[(&'static str, String)],
    ) -> Result<Vec<Registry>, ApiError> {
        let mut all: Vec<Registry> = Vec::new();
        loop {
            let mut query = vec![("limit", PAGE.to_owned())];
            query.extend(all.last().map(|last| ("marker", last.uuid.to_string())));
            let request = self.request(Method::GET, &["registries"])?;
            let request = request.query(filters).query(&query);
            let page: RegistryList = json(self.send(request, SHORT_TIMEOUT).await?).await?;
            let is_last = page.next.is_none() || page.registries.is_empty();
            all.extend(page.registries);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Returns a login.
    pub async fn registry(&self, registry: &str) -> Result<Registry, ApiError> {
        let request = self.request(Method::GET, &["registries", registry])?;
        let body: RegistryBody = json(self.send(request, SHORT_TIMEOUT).await?).await?;
        Ok(body.registry)
    }

    /// Stores a new login.
    pub async fn create_registry(&self, registry: RegistryFields) -> Result<Registry, ApiError> {
        let request = self.request(Method::POST, &["registries"])?;
        let request = request.json(&RegistryRequest { registry });
        let body: RegistryBody = json(self.send(request, SHORT_TIMEOUT).await?).await?;
        Ok(body.registry)
    }

    /// Changes a login.
    pub async fn update_registry(
        &self,
        ident: &str,
        registry: RegistryFields,
    ) -> Result<Registry, ApiError> {
        let request = self.request(Method::PATCH, &["registries", ident])?;
        let request = request.json(&RegistryRequest { registry });
        let body: RegistryBody = json(self.send(request, SHORT_TIMEOUT).await?).await?;
        Ok(body.registry)
    }

    /// Deletes a login.
    pub async fn delete_registry(&self, ident: &str) -> Result<(), ApiError> {
        self.done(self.request(Method::DELETE, &["registries", ident])?).await
    }
}
