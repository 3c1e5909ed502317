//! Response of `POST /v1/placement`: where a container would be created.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::container::PullPolicy;

/// Where a container would be created. Nothing was created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Placement {
    /// Whether a host fits.
    pub fits: bool,
    /// The host; null if none fits, or if the caller may not see hosts.
    pub host: Option<String>,
    /// Which of the hosts that fit is chosen: `spread` (the least loaded) or `pack` (the most loaded).
    pub strategy: String,
    /// The number of hosts that were considered.
    pub hosts: u64,
    /// The number of hosts that fit.
    pub fitting: u64,
    /// Why the others do not fit.
    pub refused: Vec<RefusedHosts>,
    /// Each host; null if the caller may not see hosts.
    pub candidates: Option<Vec<Candidate>>,
    /// The image.
    pub image: PlannedImage,
    /// The limits.
    pub limits: PlannedLimits,
}

/// Hosts that one filter refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedHosts {
    /// Why the filter refused these hosts, such as `down`.
    pub reason: String,
    /// The number of these hosts.
    pub hosts: u64,
}

/// A host that was considered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Its name.
    pub host: String,
    /// The share of its resources that would be claimed, from 0 to 1: the largest of CPUs, memory and disk. Null if it
    /// does not fit.
    pub load: Option<f64>,
    /// Why it does not fit; null if it does.
    pub reason: Option<String>,
    /// Whether it has the image, as it last reported.
    #[serde(default)]
    pub has_image: bool,
}

/// What would be pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedImage {
    /// The image, with its tag or digest.
    pub name: String,
    /// The domain of the registry that it comes from.
    pub domain: String,
    /// When the host pulls it.
    pub pull_policy: PullPolicy,
    /// The name of the login to its registry; null without one.
    pub registry: Option<String>,
}

/// What the container would claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedLimits {
    /// CPUs.
    pub cpu: f64,
    /// Memory in MiB.
    pub memory: u64,
    /// Disk in GiB; null without a limit.
    pub disk: Option<u64>,
}
