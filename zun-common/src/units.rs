//! Quantities with units.

use serde::{Deserialize, Serialize};

/// A number of CPUs, stored in thousandths. Serialized as a decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Cpus(u32);

impl Cpus {
    /// Creates a value from thousandths of a CPU.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis)
    }

    /// The number of thousandths of a CPU.
    pub const fn millis(self) -> u32 {
        self.0
    }

    /// The number of CPUs.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl From<f64> for Cpus {
    /// Negative values and NaN become 0. Values above four million CPUs are capped.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float casts saturate"
    )]
    fn from(cpus: f64) -> Self {
        Self((cpus * 1000.0).round() as u32)
    }
}

impl From<Cpus> for f64 {
    fn from(cpus: Cpus) -> Self {
        cpus.as_f64()
    }
}

/// Memory, in MiB (2^20 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "messages", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Mebibytes(pub u64);

impl Mebibytes {
    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0.saturating_mul(1 << 20)
    }

    /// Converts from bytes, rounding down.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes >> 20)
    }
}

/// Disk space, in GiB (2^30 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gibibytes(pub u64);

/// CPUs that a container may have: the smallest number, and the largest.
pub const CONTAINER_CPUS: (f64, f64) = (0.1, 16.0);
/// Memory that a container may have, in MiB: the least, and the most. Docker accepts no less.
pub const CONTAINER_MEMORY: (u64, u64) = (6, 8192);
/// The size that `/dev/shm` of a container may have, in MiB.
pub const CONTAINER_SHM: (u64, u64) = (1, 8192);

/// The resources that a container requests or a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// CPUs.
    pub cpus: Cpus,
    /// Memory.
    pub memory: Mebibytes,
}

/// The size of a terminal in characters. zun-api accepts 1 to 65535 rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Number of lines.
    pub rows: u16,
    /// Number of characters in a line.
    pub columns: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_serialize_as_a_decimal_number() {
        assert_eq!(serde_json::to_string(&Cpus::from_millis(1500)).expect("a number"), "1.5");
        assert_eq!(serde_json::from_str::<Cpus>("0.1").expect("a number"), Cpus::from_millis(100));
        assert_eq!(Cpus::from(-1.0), Cpus::from_millis(0));
        assert_eq!(Cpus::from(f64::NAN), Cpus::from_millis(0));
    }
}
