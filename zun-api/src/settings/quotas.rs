//! The default quota of projects.

use serde::{Deserialize, Deserializer};

/// What the containers of a project may have together. -1 is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaSettings {
    /// Number of containers.
    #[serde(deserialize_with = "limit")]
    pub containers: i64,
    /// CPUs.
    #[serde(deserialize_with = "limit")]
    pub cpu: i64,
    /// Memory in MiB.
    #[serde(deserialize_with = "limit")]
    pub memory: i64,
    /// Disk in GiB, of containers that have a limit for it.
    #[serde(deserialize_with = "limit")]
    pub disk: i64,
}

impl QuotaSettings {
    /// No limits.
    pub const UNLIMITED: Self = Self { containers: -1, cpu: -1, memory: -1, disk: -1 };
}

impl Default for QuotaSettings {
    /// OpenStack Zun's default quotas.
    fn default() -> Self {
        Self { containers: 40, cpu: 20, memory: 51_200, disk: 100 }
    }
}

fn limit<'de, D: Deserializer<'de>>(input: D) -> Result<i64, D::Error> {
    let limit = i64::deserialize(input)?;
    if (-1..=i64::from(i32::MAX)).contains(&limit) {
        return Ok(limit);
    }
    Err(serde::de::Error::custom(
        "it must be a whole number from 0 to 2147483647, or -1 for unlimited",
    ))
}
