//! Requests and responses about quotas. -1 is unlimited.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The limits of a project, or the default limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quota {
    /// Number of containers.
    pub containers: i64,
    /// Memory in MiB.
    pub memory: i64,
    /// CPUs.
    pub cpu: i64,
    /// Disk in GiB.
    pub disk: i64,
}

/// A change of limits. Absent limits are not changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaChange {
    /// Number of containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<i64>,
    /// Memory in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<i64>,
    /// CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<i64>,
    /// Disk in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<i64>,
}

/// A limit, and how much of it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Used<T> {
    /// The limit.
    pub limit: i64,
    /// How much is in use.
    pub in_use: T,
}

/// The limits of a project, and how much of them is in use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaUsage {
    /// Number of containers.
    pub containers: Used<i64>,
    /// Memory in MiB.
    pub memory: Used<i64>,
    /// CPUs.
    pub cpu: Used<f64>,
    /// Disk in GiB.
    pub disk: Used<i64>,
}

/// Response of `GET /v1/quotas/{project}`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ShownQuota {
    /// The limits.
    Limits(Quota),
    /// With `usages=true`, also the usage.
    WithUsage(QuotaUsage),
}
