//! First starts of containers that were sent to Docker, and that Docker has not answered. Docker may still carry them
//! out, even after the agent has ended. So the same operation sends no second start, because a short process would run
//! twice.
//!
//! Each start is a file in the state directory, where the next agent finds it. Docker forgets its requests when it
//! stops, so all files are removed when Docker has stopped or the machine has rebooted.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use zun_common::environment;
use zun_common::id::OperationId;

/// The kernel's ID of the current boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The unanswered starts.
#[derive(Debug)]
pub(crate) struct UnansweredStarts {
    directory: PathBuf,
    boot: String,
    /// Since when the agent waits for them, if it does.
    starts: Mutex<HashMap<OperationId, Option<Instant>>>,
}

impl UnansweredStarts {
    /// Finds those that former agents have sent since the machine booted.
    pub(crate) fn open(state_directory: &Path) -> io::Result<Self> {
        let directory = state_directory.join("starts");
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
        let mut starts = HashMap::new();
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            match name.and_then(|name| name.parse().ok()) {
                Some(operation) if fs::read_to_string(&path).is_ok_and(|found| found == boot) => {
                    starts.insert(operation, None);
                }
                Some(_) | None => fs::remove_file(&path)?,
            }
        }
        Ok(Self { directory, boot, starts: Mutex::new(starts) })
    }

    /// Records a start that is about to be sent.
    pub(crate) async fn begin(&self, operation: OperationId) -> io::Result<()> {
        let (path, boot) = (self.path(operation), self.boot.clone());
        let write = move || fs::write(path, boot);
        environment::run_blocking(write).await.map_err(io::Error::other)??;
        self.starts().insert(operation, None);
        Ok(())
    }

    /// Removes a start that was answered, or whose operation has ended.
    pub(crate) fn end(&self, operation: OperationId) {
        if self.starts().remove(&operation).is_some() {
            self.remove(operation);
        }
    }

    /// How long this agent has waited for an unanswered start of this operation; `None` if there is none.
    pub(crate) fn waited(&self, operation: OperationId) -> Option<Duration> {
        let mut starts = self.starts();
        let since = starts.get_mut(&operation)?.get_or_insert_with(Instant::now);
        Some(since.elapsed())
    }

    /// Removes all, because Docker has stopped and will not carry them out.
    pub(crate) fn engine_ended(&self) {
        let all: Vec<_> = self.starts().drain().map(|(operation, _)| operation).collect();
        for operation in all {
            self.remove(operation);
        }
    }

    fn remove(&self, operation: OperationId) {
        match fs::remove_file(self.path(operation)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "cannot remove `{}`", self.path(operation).display());
            }
            Ok(()) | Err(_) => {}
        }
    }

    fn path(&self, operation: OperationId) -> PathBuf {
        self.directory.join(operation.to_string())
    }

    fn starts(&self) -> MutexGuard<'_, HashMap<OperationId, Option<Instant>>> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_next_agent_finds_them_unless_docker_or_the_machine_has_ended() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || UnansweredStarts::open(directory.path()).expect("opened");
        let ids = [(); 3].map(|()| OperationId::random());
        let first = open();
        for id in ids {
            first.begin(id).await.expect("begun");
        }
        first.end(ids[0]);
        let of_former_boot = directory.path().join("starts").join(ids[1].to_string());
        fs::write(of_former_boot, "another").expect("written");
        let second = open();
        assert_eq!(ids.map(|id| second.waited(id).is_some()), [false, false, true]);
        second.engine_ended();
        assert_eq!(open().waited(ids[2]), None);
    }
}
