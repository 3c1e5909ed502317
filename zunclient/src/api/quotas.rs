//! The calls of the API for quotas.

use reqwest::Method;
use zun_common::api::v1::quota::{Quota, QuotaChange, QuotaUsage};

use super::client::{SHORT_TIMEOUT, json};
use super::{ApiError, Client};

impl Client {
    /// Returns the quota of a project, and what its containers have.
    pub async fn quota(&self, project: &str) -> Result<QuotaUsage, ApiError> {
        let request = self.request(Method::GET, &["quotas", project])?.query(&[("usages", "true")]);
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Returns the quota of the caller's project, and what its containers have.
    pub async fn own_quota(&self) -> Result<QuotaUsage, ApiError> {
        let request = self.request(Method::GET, &["quotas"])?.query(&[("usages", "true")]);
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Returns the quota of projects without their own.
    pub async fn default_quota(&self) -> Result<Quota, ApiError> {
        let request = self.request(Method::GET, &["quotas", "default", "defaults"])?;
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Sets limits of a project, and returns all of them.
    pub async fn set_quota(&self, project: &str, change: &QuotaChange) -> Result<Quota, ApiError> {
        let request = self.request(Method::PUT, &["quotas", project])?.json(change);
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Removes the own limits of a project.
    pub async fn reset_quota(&self, project: &str) -> Result<(), ApiError> {
        self.done(self.request(Method::DELETE, &["quotas", project])?).await
    }

    /// Returns the limits of a class.
    pub async fn quota_class(&self, name: &str) -> Result<Quota, ApiError> {
        let request = self.request(Method::GET, &["quota_classes", name])?;
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Sets limits of a class, and returns all of them.
    pub async fn set_quota_class(
        &self,
        name: &str,
        change: &QuotaChange,
    ) -> Result<Quota, ApiError> {
        let request = self.request(Method::PUT, &["quota_classes", name])?.json(change);
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }
}
