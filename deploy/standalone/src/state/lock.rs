//! The lock that allows one instance per state directory. The kernel's file lock shows whether an instance is running,
//! and the file's text is its process ID.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{State, StateError, at};

/// The lock of a state directory, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Unlocks explicitly, because a child process that is just being spawned still has the file open until it executes
    /// its program.
    fn drop(&mut self) {
        if let Err(errno) = flock(&self.file, FlockOperation::Unlock) {
            tracing::debug!(error = %errno, "cannot unlock the state directory; the lock ends with the process");
        }
    }
}

/// The instance that has locked the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process ID; `None` if it has not written it yet.
    pub pid: Option<i32>,
}

/// Why the directory cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another instance has locked it.
    #[error(
        "zun-standalone is already running in {}{}",
        state.display(),
        pid.map(|pid| format!(" as process {pid}")).unwrap_or_default()
    )]
    Held {
        /// The directory.
        state: PathBuf,
        /// The process ID of the other instance; `None` if it has not written it yet.
        pid: Option<i32>,
    },
    /// The lock file cannot be used.
    #[error(transparent)]
    File(#[from] StateError),
    /// The other instance did not end, even after SIGKILL.
    #[error("process {pid} did not end within {seconds} s of SIGTERM, nor after SIGKILL")]
    DoesNotEnd {
        /// The process ID of the other instance.
        pid: i32,
        /// The time limit, in seconds.
        seconds: u64,
    },
}

impl Lock {
    /// Locks the directory, which must exist. Fails if another instance has locked it.
    pub fn acquire(state: &State) -> Result<Self, LockError> {
        let path = path_of(state);
        loop {
            let mut file = open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    let pid = read_pid(&mut file);
                    return Err(LockError::Held { state: state.root().to_owned(), pid });
                }
                Err(errno) => return Err(LockError::File(at("lock", &path)(errno.into()))),
            }
            // The previous holder may have removed the file, and another instance may have created it again.
            if !is_still(&file, &path) {
                continue;
            }
            write_pid(&mut file).map_err(at("write", &path))?;
            return Ok(Self { file });
        }
    }

    /// Returns the instance that has locked the directory, if any.
    pub fn holder(state: &State) -> Result<Option<Holder>, LockError> {
        let path = path_of(state);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LockError::File(at("open", &path)(error))),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(_held) => Ok(Some(Holder { pid: read_pid(&mut file) })),
        }
    }
}

impl Holder {
    /// Stops the instance with SIGTERM, and kills it after `within`.
    pub fn end(&self, within: Duration) -> Result<(), LockError> {
        let Some(pid) = self.pid.and_then(Pid::from_raw) else { return Ok(()) };
        // The process may already have ended.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
        for (signal, within) in [(Signal::TERM, within), (Signal::KILL, Duration::from_secs(5))] {
            pidfd_send_signal(&process, signal).unwrap_or_default();
            let time = Timespec {
                tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(within.subsec_nanos()),
            };
            let mut wanted = [PollFd::new(&process, PollFlags::IN)];
            if matches!(poll(&mut wanted, Some(&time)), Ok(1..)) {
                return Ok(());
            }
        }
        Err(LockError::DoesNotEnd { pid: pid.as_raw_nonzero().get(), seconds: within.as_secs() })
    }
}

fn path_of(state: &State) -> PathBuf {
    state.root().join("lock")
}

fn open(path: &Path) -> Result<File, StateError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(at("open", path))
}

fn read_pid(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn is_still(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_is_refused_until_the_first_has_ended() {
        let directory = tempfile::tempdir().expect("a directory");
        let state = State::new(directory.path()).expect("a path");
        let first = Lock::acquire(&state).expect("the first");
        let own = i32::try_from(std::process::id()).expect("a pid");
        let refusal = Lock::acquire(&state).expect_err("a second");
        let words = refusal.to_string();
        assert!(
            words.contains("already running in") && words.contains(&own.to_string()),
            "{words}"
        );
        assert_eq!(Lock::holder(&state).expect("known"), Some(Holder { pid: Some(own) }));
        drop(first);
        assert_eq!(Lock::holder(&state).expect("known"), None);
        drop(Lock::acquire(&state).expect("the next"));
    }
}
