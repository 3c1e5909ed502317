//! Reads files that hold secrets.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file with a secret that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// It cannot be read.
    #[error("cannot read it")]
    Unreadable(#[from] io::Error),
    /// Users other than its owner can read it.
    #[error("its mode is {0:o}, but only its owner may read it; run chmod 0600")]
    InsecureMode(u32),
}

/// Reads a file that only its owner may read.
pub(crate) fn read(path: &Path) -> Result<String, PrivateFileError> {
    let mode = std::fs::metadata(path)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::InsecureMode(mode));
    }
    Ok(std::fs::read_to_string(path)?)
}
