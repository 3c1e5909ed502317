//! The undo record: the files as they were before the first setup, and what docker-setup wrote since. `--undo` uses it.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::daemon_json::with_live_restore;
use super::files::{self, FileError, SavedFile};

/// The mode of the directory. The agent, which runs as another user, must be able to see the undo marker in it.
const DIRECTORY_MODE: u32 = 0o711;

/// One file that docker-setup wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// The file before the first setup; `None` if it did not exist.
    pub(super) former: Option<SavedFile>,
    /// The text that docker-setup wrote; `None` for keys and certificates, which are not copied into the record.
    pub(super) written: Option<String>,
}

/// The undo record, as stored on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UndoRecord {
    pub(super) files: BTreeMap<PathBuf, FileEntry>,
    /// Docker's settings file.
    pub(super) daemon_json: PathBuf,
    /// The directories that were created, outermost first.
    pub(super) directories: Vec<PathBuf>,
    /// Whether the plugin's socket was active before.
    pub(super) plugin_was_active: bool,
    /// Whether the current setup was verified. It is false after a run that was killed.
    #[serde(rename = "proved")]
    pub(super) verified: bool,
}

/// Why the undo record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UndoRecordError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not an undo record.
    #[error("cannot parse {path}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: serde_json::Error,
    },
    /// Another docker-setup has the lock.
    #[error("another docker-setup is running (it has locked {0}): wait until it ends")]
    Busy(PathBuf),
    /// The directory cannot be created or locked.
    #[error("cannot use {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
}

/// Access to the stored record, locked against other runs until it is dropped.
#[derive(Debug)]
pub(super) struct RecordStore {
    file: PathBuf,
    _lock: File,
}

/// Whether the text differs from the previous text only in live-restore, as it does after a run that was killed.
fn only_live_restore_differs(entry: &FileEntry, text: &str) -> bool {
    let former = entry.former.as_ref().map(|former| former.text.as_str());
    [true, false].into_iter().any(|on| with_live_restore(former, on).is_ok_and(|made| made == text))
}

/// Reads the record without locking it.
pub(super) fn read(path: &Path) -> Result<Option<UndoRecord>, UndoRecordError> {
    let Some(kept) = files::read(path)? else { return Ok(None) };
    let record = serde_json::from_str(&kept.text)
        .map_err(|cause| UndoRecordError::Invalid { path: path.to_owned(), cause })?;
    Ok(Some(record))
}

/// Creates the undo marker. Its text is for people.
pub(super) fn mark_undone(marker: &Path) -> Result<(), UndoRecordError> {
    let directory = marker.parent().unwrap_or_else(|| Path::new("/"));
    let failed = |cause| UndoRecordError::Directory { path: directory.to_owned(), cause };
    DirBuilder::new().recursive(true).create(directory).map_err(failed)?;
    std::fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE)).map_err(failed)?;
    Ok(files::write(
        marker,
        "docker-setup --undo was run on this host. Run docker-setup by hand to set Docker up again.\n",
    )?)
}

impl RecordStore {
    /// Creates the directory, which only its owner can list, and locks it.
    pub(super) fn lock(file: &Path) -> Result<Self, UndoRecordError> {
        let directory = file.parent().unwrap_or_else(|| Path::new("/")).to_owned();
        let failed = |cause| UndoRecordError::Directory { path: directory.clone(), cause };
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(&directory)
            .map_err(failed)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join("lock"))
            .map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { file: file.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(UndoRecordError::Busy(directory)),
            Err(cause) => Err(failed(cause.into())),
        }
    }

    pub(super) fn write(&self, record: &UndoRecord) -> Result<(), UndoRecordError> {
        let text = serde_json::to_string_pretty(record)
            .map_err(|cause| UndoRecordError::Invalid { path: self.file.clone(), cause })?;
        Ok(files::write_private(&self.file, &text)?)
    }

    /// Deletes the record, after everything was rolled back.
    pub(super) fn clear(&self) -> Result<(), UndoRecordError> {
        Ok(files::remove(&self.file)?)
    }

    /// Ends the run. If there is no record, the lock file and the directory are removed too.
    pub(super) fn release(self) -> Result<(), UndoRecordError> {
        if self.file.exists() {
            return Ok(());
        }
        if let Some(directory) = self.file.parent() {
            files::remove(&directory.join("lock"))?;
            files::remove_empty(&[directory.to_owned()]);
        }
        Ok(())
    }
}

impl UndoRecord {
    /// The text that docker-setup last wrote to a file.
    pub(super) fn written(&self, path: &Path) -> Option<&str> {
        self.files.get(path)?.written.as_deref()
    }

    /// Records that a file is about to be written. The first time, its current content is saved.
    pub(super) fn note(&mut self, path: &Path, now: Option<&SavedFile>, written: Option<&str>) {
        let entry = self
            .files
            .entry(path.to_owned())
            .or_insert_with(|| FileEntry { former: now.cloned(), written: None });
        entry.written = written.map(str::to_owned);
    }

    /// Returns a file that somebody else has changed since docker-setup wrote it.
    pub(super) fn changed_since(&self) -> Result<Option<&Path>, FileError> {
        for (path, entry) in &self.files {
            let Some(written) = &entry.written else { continue };
            let now = files::read(path)?;
            let ours = now.as_ref().is_some_and(|now| {
                now.text == *written
                    || (*path == self.daemon_json && only_live_restore_differs(entry, &now.text))
            });
            if !ours && now != entry.former {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}
