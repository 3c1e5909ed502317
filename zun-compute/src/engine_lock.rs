//! The lock that keeps a second agent on this machine from driving the same Docker engine.
//!
//! It is an advisory lock (`flock`) on a file in the agent's state directory, named by the engine's own ID. The state
//! directory is the place that the systemd unit and the standalone service both may write, and agents of one machine
//! have the same one unless an administrator separates them. The kernel releases the lock when the agent ends, however
//! it ends. The file stays, because removing it could let two agents lock two files of one name.
//!
//! An agent on another machine, or with another state directory, is kept out by zun-api, which knows agents by the ID of
//! their state directory.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::time::Instant;

/// How long another agent may take to end. During an upgrade the former agent may still be shutting down.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the engine cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another agent has locked it.
    #[error(
        "another zun-compute on this machine manages this Docker engine: it holds the lock {}. Stop that one \
         (`fuser {}` shows its process), or set `docker.socket` to another engine",
        .0.display(),
        .0.display()
    )]
    Held(PathBuf),
    /// The lock file cannot be used.
    #[error("cannot lock {}: check `state_directory`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
}

/// The lock of the engine that the agent manages.
#[derive(Debug)]
pub(crate) struct EngineLock {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The engine's ID, and the locked file.
    held: Option<(String, File)>,
    /// Since when another agent holds the lock.
    refused_since: Option<Instant>,
}

impl EngineLock {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), state: Mutex::default() }
    }

    /// Locks an engine, and unlocks a former one, whose data was replaced. `Ok(false)` if another agent holds the lock,
    /// but may be about to end.
    pub(crate) fn hold(&self, engine: &str) -> Result<bool, LockError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.held.as_ref().is_some_and(|(held, _)| held == engine) {
            return Ok(true);
        }
        let path = self.directory.join(file_name(engine));
        match lock(&path) {
            Ok(Some(file)) => {
                *state = State { held: Some((engine.to_owned(), file)), refused_since: None };
                Ok(true)
            }
            Ok(None) => {
                let since = *state.refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() < LOCK_TIMEOUT { Ok(false) } else { Err(LockError::Held(path)) }
            }
            Err(cause) => Err(LockError::File { path, cause }),
        }
    }
}

/// Creates the state directory, which only the agent's user can read.
pub(crate) fn create_state_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// The engine's ID may contain any character.
fn file_name(engine: &str) -> String {
    let safe = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let name: String = engine.chars().take(100).map(safe).collect();
    format!("engine-{name}.lock")
}

fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(0o600).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_agent_gives_up_on_an_engine_but_may_drive_another() {
        let directory = tempfile::tempdir().expect("a directory");
        let [first, second] = [(); 2].map(|()| EngineLock::new(directory.path()));
        assert!(first.hold("A:B").expect("locked"));
        assert!(first.hold("A:B").expect("still locked"));
        assert!(!second.hold("A:B").expect("the first may be about to end"));
        tokio::time::advance(LOCK_TIMEOUT).await;
        let words = second.hold("A:B").expect_err("held").to_string();
        assert!(words.contains("engine-A-B.lock") && words.contains("Stop that one"), "{words}");
        assert!(second.hold("C").expect("another engine"));
        drop(first);
        assert!(second.hold("A:B").expect("free again"));
    }
}
