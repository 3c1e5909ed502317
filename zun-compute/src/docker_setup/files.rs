//! Reads text files with mode and owner, and replaces them atomically.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zun_common::atomic_file::{self, Attributes};

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
}

/// A text file with its mode and owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedFile {
    pub(super) text: String,
    mode: u32,
    owner: u32,
    group: u32,
}

/// Reads a file; `None` if it does not exist.
pub(super) fn read(path: &Path) -> Result<Option<SavedFile>, FileError> {
    let failed = |cause| FileError::Read { path: path.to_owned(), cause };
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes)
            .map_err(|odd| failed(io::Error::new(io::ErrorKind::InvalidData, odd)))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let about = fs::metadata(path).map_err(failed)?;
    let mode = about.permissions().mode() & 0o7777;
    Ok(Some(SavedFile { text, mode, owner: about.uid(), group: about.gid() }))
}

/// Restores a file, or removes it if it did not exist before.
pub(super) fn restore(path: &Path, former: Option<&SavedFile>) -> Result<(), FileError> {
    match former {
        // An unchanged file is not replaced, so that a symbolic link stays one.
        Some(kept) if read(path).is_ok_and(|now| now.as_ref() == Some(kept)) => Ok(()),
        Some(kept) => replace(path, kept),
        None => remove(path),
    }
}

/// Writes a file atomically, with the mode and owner of the existing file, or else with mode 0644.
pub(super) fn write(path: &Path, text: &str) -> Result<(), FileError> {
    let there = read(path)?;
    let fresh = SavedFile { text: text.to_owned(), mode: 0o644, owner: own().0, group: own().1 };
    replace(path, &there.map_or(fresh, |there| SavedFile { text: text.to_owned(), ..there }))
}

/// Writes a file atomically with mode 0600.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), FileError> {
    let (owner, group) = own();
    replace(path, &SavedFile { text: text.to_owned(), mode: 0o600, owner, group })
}

pub(super) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(FileError::Write { path: path.to_owned(), cause }),
    }
}

/// Creates the missing parent directories of a file and returns them, outermost first.
pub(super) fn create_parents(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let missing: Vec<&Path> =
        path.ancestors().skip(1).take_while(|directory| !directory.exists()).collect();
    let mut made = Vec::new();
    for directory in missing.into_iter().rev() {
        let failed = |cause| FileError::Write { path: directory.to_owned(), cause };
        fs::create_dir(directory).map_err(failed)?;
        made.push(directory.to_owned());
    }
    Ok(made)
}

/// Removes the directories that are empty, innermost first.
pub(super) fn remove_empty(directories: &[PathBuf]) {
    for directory in directories.iter().rev() {
        if fs::remove_dir(directory).is_err() {
            tracing::debug!(
                "did not remove directory {}: it is not empty or does not exist",
                directory.display()
            );
        }
    }
}

fn own() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn replace(path: &Path, kept: &SavedFile) -> Result<(), FileError> {
    let SavedFile { text, mode, owner, group } = kept;
    let attributes = Attributes { mode: *mode, owner: Some((*owner, *group)) };
    atomic_file::replace(path, text.as_bytes(), attributes)
        .map_err(|cause| FileError::Write { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_restored() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a/b/file");
        assert_eq!(create_parents(&path).expect("made").len(), 2);
        assert_eq!(read(&path).expect("read"), None);
        fs::write(&path, "one").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("set");
        let former = read(&path).expect("read");
        write(&path, "two").expect("written");
        let now = read(&path).expect("read").expect("there");
        assert_eq!((now.text.as_str(), now.mode), ("two", 0o640));
        restore(&path, former.as_ref()).expect("restored");
        assert_eq!(read(&path).expect("read"), former);
        restore(&path, None).expect("removed");
        assert!(!path.exists());
        let made = [directory.path().join("a"), directory.path().join("a/b")];
        remove_empty(&made);
        assert!(!made[0].exists());
    }

    #[test]
    fn restoring_keeps_a_symbolic_link() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&path, "one").expect("written");
        symlink("file", &link).expect("a link");
        let former = read(&link).expect("read");
        write(&path, "two").expect("written");
        for file in [&path, &link] {
            restore(file, former.as_ref()).expect("restored");
        }
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&link).expect("read"), "one");
    }

    #[test]
    fn a_file_that_is_not_text_is_named_in_the_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, [0xff, 0xfe]).expect("written");
        let words = zun_common::chain(&read(&path).expect_err("no text"));
        assert!(words.contains("file") && words.contains("utf-8"), "{words}");
    }
}
