//! The SQLite file and its lock.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::DbError;

/// The lock that prevents a second zun-api from using the same file. The kernel releases it when the process ends.
#[derive(Debug)]
pub(super) struct FileLock(#[expect(dead_code, reason = "dropping it unlocks")] File);

/// Creates the file if it is missing, and locks it.
///
/// The lock is on a separate file next to it: SQLite's locks on the database file are lost when the process closes any
/// other descriptor of that file.
pub(super) fn lock(path: &Path) -> Result<FileLock, DbError> {
    let failed = |path: &Path, cause| DbError::File { path: path.to_owned(), cause };
    open_private(path).map_err(|cause| failed(path, cause))?;
    // The same file by another name has the same lock.
    let path = path.canonicalize().map_err(|cause| failed(path, cause))?;
    let mut name = path.clone().into_os_string();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = open_private(&name).map_err(|cause| failed(&name, cause))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(FileLock(file)),
        Err(Errno::WOULDBLOCK) => Err(DbError::Locked { path }),
        Err(errno) => Err(failed(&name, errno.into())),
    }
}

/// The rows hold environments of tenants, so only the owner can read the file; SQLite gives the files next to it the
/// same mode.
fn open_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
