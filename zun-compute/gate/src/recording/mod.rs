//! Recordings of sessions, in files that outlive the sessions and the containers.
//!
//! ```text
//!  recordings/ID.cast   the recording, in asciicast v2
//!  recordings/ID.json   the session and container that it is of
//!  recordings/ID.place  while it is in progress: up to where it is valid, and which output follows
//! ```
//! Output is appended first, and then the place is written. So a process that is killed in between leaves bytes after the
//! place, which the next one overwrites with the same output, as the session's ring still has it.

mod cast;
mod settings;
mod store;
mod writer;

pub use cast::Batch;
pub use settings::RecordingSettings;
pub use store::{NoRecording, NotDeleted, OpenRecording, Quota, Recordings};
pub use writer::Writer;

/// The present time in milliseconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
