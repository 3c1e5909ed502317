//! The calls of the API for hosts.

use reqwest::Method;
use zun_common::api::v1::host::{Host, HostList};

use super::client::{SHORT_TIMEOUT, json};
use super::{ApiError, Client};

/// Hosts in one response.
const PAGE: &str = "1000";

impl Client {
    /// Lists all hosts.
    pub async fn hosts(&self) -> Result<Vec<Host>, ApiError> {
        let mut hosts: Vec<Host> = Vec::new();
        loop {
            let mut query = vec![("limit", PAGE)];
            if let Some(last) = hosts.last() {
                query.push(("marker", last.uuid.as_str()));
            }
            let request = self.request(Method::GET, &["hosts"])?.query(&query);
            let page: HostList = json(self.send(request, SHORT_TIMEOUT).await?).await?;
            let is_last = page.next.is_none() || page.hosts.is_empty();
            hosts.extend(page.hosts);
            if is_last {
                return Ok(hosts);
            }
        }
    }

    /// Returns a host.
    pub async fn host(&self, host: &str) -> Result<Host, ApiError> {
        let request = self.request(Method::GET, &["hosts", host])?;
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Confirms that the database was restored from an older copy, and that the host continues from it.
    pub async fn recover_host(&self, host: &str) -> Result<(), ApiError> {
        self.done(self.request(Method::POST, &["hosts", host, "recover"])?).await
    }

    /// Removes a container of this cluster from a host that the service does not know.
    pub async fn remove_stray(&self, host: &str, id: &str) -> Result<(), ApiError> {
        self.done(self.request(Method::DELETE, &["hosts", host, "strays", id])?).await
    }

    /// Confirms that the machine or the engine's data of a host was replaced.
    pub async fn replace_host(&self, host: &str) -> Result<(), ApiError> {
        self.done(self.request(Method::POST, &["hosts", host, "replace"])?).await
    }
}
