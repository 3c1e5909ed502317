//! The default limits of containers.

use serde::{Deserialize, Deserializer};
use zun_common::units::{CONTAINER_CPUS, CONTAINER_MEMORY};

use super::decimal;

/// The default limits of a container.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DefaultLimits {
    /// CPUs.
    #[serde(deserialize_with = "cpus")]
    pub cpu: f64,
    /// Memory in MiB.
    #[serde(deserialize_with = "mebibytes")]
    pub memory: u64,
}

impl DefaultLimits {
    /// CPUs that a container may have: the smallest number, and the largest.
    pub(crate) const CPUS: (f64, f64) = CONTAINER_CPUS;
    /// Memory that a container may have, in MiB: the least, and the most.
    pub(crate) const MEMORY: (u64, u64) = CONTAINER_MEMORY;
}

impl Default for DefaultLimits {
    /// OpenStack Zun's.
    fn default() -> Self {
        Self { cpu: 1.0, memory: 512 }
    }
}

fn cpus<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    let (least, most) = DefaultLimits::CPUS;
    let cpus = decimal(&toml::Value::deserialize(input)?);
    cpus.filter(|cpus| (least..=most).contains(cpus)).ok_or_else(|| {
        serde::de::Error::custom(format!("it must be a number from {least} to {most}"))
    })
}

fn mebibytes<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
    let (least, most) = DefaultLimits::MEMORY;
    let memory = u64::deserialize(input)?;
    if (least..=most).contains(&memory) {
        return Ok(memory);
    }
    let words = format!("it must be a whole number of MiB from {least} to {most}");
    Err(serde::de::Error::custom(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_a_limit_that_a_request_may_name() {
        let read = |text: &str| toml::from_str::<DefaultLimits>(text).map_err(|it| it.to_string());
        assert_eq!(read(""), Ok(DefaultLimits { cpu: 1.0, memory: 512 }));
        for half in ["cpu = 0.5\nmemory = 64", "cpu = \"0.5\"\nmemory = 64"] {
            assert_eq!(read(half), Ok(DefaultLimits { cpu: 0.5, memory: 64 }), "{half}");
        }
        for bad in ["cpu = 0.01", "cpu = 17", "cpu = nan", "cpu = \"x\""] {
            assert!(read(bad).expect_err(bad).contains("a number from 0.1 to 16"), "{bad}");
        }
        for bad in ["memory = 5", "memory = 8193", "memory = -1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
