//! Quantities with their units.

use serde::{Deserialize, Serialize};

/// A share of processors, in thousandths of one. On the wire a decimal number of processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Cpus(u32);

impl Cpus {
    /// From thousandths of a processor.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis)
    }

    /// In thousandths of a processor.
    pub const fn millis(self) -> u32 {
        self.0
    }

    /// As a number of processors.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl From<f64> for Cpus {
    /// Negative and not-a-number become 0; more than four million processors are cut.
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
#[serde(transparent)]
pub struct Mebibytes(pub u64);

impl Mebibytes {
    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0.saturating_mul(1 << 20)
    }

    /// From bytes, rounded down.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes >> 20)
    }
}

/// Disk space, in GiB (2^30 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gibibytes(pub u64);

/// What a container asks for, or a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Processors.
    pub cpus: Cpus,
    /// Memory.
    pub memory: Mebibytes,
}

/// A terminal's size in characters; both between 1 and 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_travel_as_a_decimal_number_of_processors() {
        assert_eq!(serde_json::to_string(&Cpus::from_millis(1500)).expect("a number"), "1.5");
        assert_eq!(serde_json::from_str::<Cpus>("0.1").expect("a number"), Cpus::from_millis(100));
        assert_eq!(Cpus::from(-1.0), Cpus::from_millis(0));
        assert_eq!(Cpus::from(f64::NAN), Cpus::from_millis(0));
    }
}
