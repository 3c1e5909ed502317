//! The calls of the API for services and availability zones.

use reqwest::Method;
use zun_common::api::v1::host::{AvailabilityZone, AvailabilityZoneList, Service, ServiceList};

use super::client::{SHORT_TIMEOUT, json};
use super::{ApiError, Client};

/// The only service that the API lists.
const BINARY: &str = "zun-compute";

impl Client {
    /// Lists the services.
    pub async fn services(&self) -> Result<Vec<Service>, ApiError> {
        let request = self.request(Method::GET, &["services"])?;
        let list: ServiceList = json(self.send(request, SHORT_TIMEOUT).await?).await?;
        Ok(list.services)
    }

    /// Allows new containers on a host.
    pub async fn enable_service(&self, host: &str) -> Result<(), ApiError> {
        self.change_service("enable", &[("host", host)]).await
    }

    /// Keeps new containers off a host.
    pub async fn disable_service(&self, host: &str, reason: Option<&str>) -> Result<(), ApiError> {
        let reason = reason.map(|reason| ("disabled_reason", reason));
        let query: Vec<_> = [("host", host)].into_iter().chain(reason).collect();
        self.change_service("disable", &query).await
    }

    /// Sets whether a host counts as down, even if it reports.
    pub async fn force_down_service(&self, host: &str, down: bool) -> Result<(), ApiError> {
        let down = if down { "true" } else { "false" };
        self.change_service("force_down", &[("host", host), ("forced_down", down)]).await
    }

    /// Deletes a service whose host does not return.
    pub async fn delete_service(&self, host: &str) -> Result<(), ApiError> {
        let request = self.request(Method::DELETE, &["services"])?;
        self.done(request.query(&[("host", host), ("binary", BINARY)])).await
    }

    async fn change_service(&self, action: &str, query: &[(&str, &str)]) -> Result<(), ApiError> {
        let request = self.request(Method::PUT, &["services", action])?;
        self.done(request.query(query).query(&[("binary", BINARY)])).await
    }

    /// Lists the availability zones.
    pub async fn availability_zones(&self) -> Result<Vec<AvailabilityZone>, ApiError> {
        let request = self.request(Method::GET, &["availability_zones"])?;
        let list: AvailabilityZoneList = json(self.send(request, SHORT_TIMEOUT).await?).await?;
        Ok(list.availability_zones)
    }
}
