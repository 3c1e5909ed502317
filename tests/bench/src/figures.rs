//! What was measured: medians with tails, and the file that contains them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::rows::{Goal, Row, Unit};

/// All samples of one thing, summarized.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// The value that 90 % of the samples are not worse than.
    pub p90: f64,
    /// The number of samples.
    pub samples: usize,
    /// Their unit.
    pub unit: Unit,
}

/// A row's result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    /// The value of the row.
    pub value: f64,
    /// What Zun's samples were.
    pub zun: Summary,
    /// What those of its baseline were.
    pub peer: Option<Summary>,
    /// A remark.
    pub note: Option<String>,
}

/// A row in the file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The row's name.
    pub row: String,
    /// What it is.
    pub what: String,
    /// The unit of its value.
    pub unit: Unit,
    /// Its goal.
    pub goal: Option<Goal>,
    /// Whether the goal is met.
    pub met: Option<bool>,
    /// The result.
    pub figure: Figure,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// Where and when.
    pub machine: Machine,
    /// The rows that were measured.
    pub rows: Vec<Entry>,
}

impl Summary {
    /// Summarizes samples of which less is better.
    ///
    /// # Panics
    /// Panics if there are none.
    pub fn of(samples: &[f64], unit: Unit) -> Self {
        let sorted = sorted(samples);
        Self {
            median: quantile(&sorted, 0.5),
            p90: quantile(&sorted, 0.9),
            samples: sorted.len(),
            unit,
        }
    }

    /// Summarizes samples of which more is better, such as rates.
    ///
    /// # Panics
    /// Panics if there are none.
    pub fn of_rates(samples: &[f64]) -> Self {
        let sorted = sorted(samples);
        Self { p90: quantile(&sorted, 0.1), ..Self::of(samples, Unit::PerSecond) }
    }

    /// Summarizes durations in milliseconds.
    ///
    /// # Panics
    /// Panics if there are none.
    pub fn of_times(samples: &[Duration]) -> Self {
        let samples: Vec<f64> = samples.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
        Self::of(&samples, Unit::Milliseconds)
    }
}

impl Figure {
    /// The median of the samples is the value.
    pub const fn plain(zun: Summary) -> Self {
        Self { value: zun.median, zun, peer: None, note: None }
    }

    /// The ratio of the medians is the value.
    pub fn ratio(zun: Summary, peer: Summary) -> Self {
        Self { value: zun.median / peer.median, zun, peer: Some(peer), note: None }
    }

    /// Adds a remark.
    #[must_use]
    pub fn with_note(mut self, note: String) -> Self {
        self.note = Some(note);
        self
    }
}

impl Entry {
    /// Compares a figure with the row's goal.
    pub fn new(row: &Row, figure: Figure) -> Self {
        Self {
            row: row.name.to_owned(),
            what: row.what.to_owned(),
            unit: row.unit,
            goal: row.goal,
            met: row.goal.map(|goal| goal.is_met(figure.value)),
            figure,
        }
    }
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Returns the nearest-rank quantile of sorted samples.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "there are few samples"
)]
pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    let rank = (sorted.len() as f64 * part).ceil().max(1.0) as usize;
    sorted[rank - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_times_is_the_slow_one_and_of_rates_the_low_one() {
        let samples: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        let times = Summary::of(&samples, Unit::Milliseconds);
        assert_eq!((times.median, times.p90, times.samples), (5.0, 9.0, 10));
        let rates = Summary::of_rates(&samples);
        assert_eq!((rates.median, rates.p90), (5.0, 1.0));
        let one = Summary::of(&[7.0], Unit::Count);
        assert!(one.median.total_cmp(&one.p90).is_eq() && one.samples == 1);
    }
}
