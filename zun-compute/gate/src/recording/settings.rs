//! How much is recorded.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::{NoRecording, Quota, Recordings};

/// How long recordings are kept. They are in the directory `recordings` of the state directory.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingSettings {
    /// MiB of all recordings together. If it is used up, the oldest finished recording of the project that uses most is
    /// removed.
    pub quota: NonZeroU32,
    /// MiB of the recordings of one project; 0 for no limit. If it is used up, the project's oldest finished one is removed.
    pub project_quota: u32,
    /// Days after their end until recordings are removed.
    pub days: NonZeroU32,
}

impl Default for RecordingSettings {
    fn default() -> Self {
        let number = |value| NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN);
        Self { quota: number(4096), project_quota: 1024, days: number(30) }
    }
}

impl RecordingSettings {
    /// Opens the recordings below a state directory. Without one, there are none.
    pub fn open(&self, state_directory: Option<&Path>) -> Result<Recordings, NoRecording> {
        let Some(directory) = state_directory else { return Ok(Recordings::default()) };
        let of_project = match self.project_quota {
            0 => u64::MAX,
            mebibytes => u64::from(mebibytes) << 20,
        };
        let quota = Quota { all: u64::from(self.quota.get()) << 20, of_project };
        let age = Duration::from_hours(24) * self.days.get();
        Recordings::open(directory.join("recordings"), quota, age)
    }
}
