//! How much is recorded.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::{NoRecording, Recordings};

/// How long recordings are kept. They are in the directory `recordings` of the state directory.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingSettings {
    /// MiB of all recordings together. The oldest finished ones are removed first.
    pub quota: NonZeroU32,
    /// Days after their end until recordings are removed.
    pub days: NonZeroU32,
}

impl Default for RecordingSettings {
    fn default() -> Self {
        let number = |value| NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN);
        Self { quota: number(4096), days: number(30) }
    }
}

impl RecordingSettings {
    /// Opens the recordings below a state directory. Without one, there are none.
    pub fn open(&self, state_directory: Option<&Path>) -> Result<Recordings, NoRecording> {
        let Some(directory) = state_directory else { return Ok(Recordings::default()) };
        let quota = u64::from(self.quota.get()) << 20;
        let age = Duration::from_hours(24) * self.days.get();
        Recordings::open(directory.join("recordings"), quota, age)
    }
}
