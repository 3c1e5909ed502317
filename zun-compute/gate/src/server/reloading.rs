//! A value that is read from files, and read again when they change.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{info, warn};
use zun_common::chain;
use zun_common::file_stamp::FileStamp;

/// A value from files.
pub(super) struct Reloading<T> {
    what: &'static str,
    files: Vec<PathBuf>,
    read: Box<dyn Fn() -> Result<T, Box<dyn Error + Send + Sync>> + Send + Sync>,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// The files' stamps at the last read, even if the content was not valid.
    seen: Vec<Option<FileStamp>>,
    value: Arc<T>,
}

impl<T> Reloading<T> {
    /// Reads the value, which must be valid at the start.
    pub(super) fn load(
        what: &'static str,
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        // The stamps come first: if a file is replaced before it is read, it is read again.
        let seen = stamps(&files);
        let value = Arc::new(read()?);
        Ok(Self { what, files, read: Box::new(read), state: Mutex::new(State { seen, value }) })
    }

    /// Returns the value. If the files are not valid, keeps the former value, and logs one warning.
    pub(super) fn current(&self) -> Arc<T> {
        let what = self.what;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = stamps(&self.files);
        if seen != state.seen {
            state.seen = seen;
            match (self.read)() {
                Ok(value) => {
                    state.value = Arc::new(value);
                    info!("reloaded {what}");
                }
                Err(error) => {
                    warn!(error = %chain(&*error), "cannot reload {what}; keeping what was read before");
                }
            }
        }
        Arc::clone(&state.value)
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<FileStamp>> {
    files.iter().map(|file| FileStamp::of(file)).collect()
}
