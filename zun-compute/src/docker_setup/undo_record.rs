//! What was there before the first set-up, and what was written since: for `--undo`.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::daemon_json::with_live_restore;
use super::files::{self, FileError, SavedFile};

/// The agent sees there whether it was undone.
const DIRECTORY_MODE: u32 = 0o711;

/// One file that was set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// As it was; `None` where it was not there.
    pub(super) former: Option<SavedFile>,
    /// What was written; `None` for keys and certificates, which nobody else needs to know.
    pub(super) written: Option<String>,
}

/// The record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UndoRecord {
    pub(super) files: BTreeMap<PathBuf, FileEntry>,
    /// Docker's settings file.
    pub(super) daemon_json: PathBuf,
    /// Made on the way, outermost first.
    pub(super) directories: Vec<PathBuf>,
    /// The plugin's socket was there before.
    pub(super) plugin_was_active: bool,
    /// What is set up now was proved. Not so after a run that was killed.
    pub(super) proved: bool,
}

/// Why there is no record to work with.
#[derive(Debug, thiserror::Error)]
pub enum UndoRecordError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not what was written.
    #[error("{path} cannot be understood")]
    Invalid {
        /// The record.
        path: PathBuf,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// Another run holds it.
    #[error("another docker-setup runs: {0} is locked")]
    Busy(PathBuf),
    /// The directory cannot be made or locked.
    #[error("cannot use {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

/// The record's place, held against other runs until it is dropped.
#[derive(Debug)]
pub(super) struct RecordStore {
    file: PathBuf,
    _lock: File,
}

/// The former settings with live-restore alone: what a run that was killed half way leaves.
fn only_live_restore_differs(entry: &FileEntry, text: &str) -> bool {
    let former = entry.former.as_ref().map(|former| former.text.as_str());
    [true, false].into_iter().any(|on| with_live_restore(former, on).is_ok_and(|made| made == text))
}

/// Reads the record without holding its place.
pub(super) fn read(path: &Path) -> Result<Option<UndoRecord>, UndoRecordError> {
    let Some(kept) = files::read(path)? else { return Ok(None) };
    let record = serde_json::from_str(&kept.text)
        .map_err(|cause| UndoRecordError::Invalid { path: path.to_owned(), cause })?;
    Ok(Some(record))
}

/// Leaves a mark that it was undone, which the agent, another user, can see; what stands in it is for people.
pub(super) fn mark_undone(mark: &Path) -> Result<(), UndoRecordError> {
    let directory = mark.parent().unwrap_or_else(|| Path::new("/"));
    let failed = |cause| UndoRecordError::Directory { path: directory.to_owned(), cause };
    DirBuilder::new().recursive(true).create(directory).map_err(failed)?;
    std::fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE)).map_err(failed)?;
    Ok(files::write(
        mark,
        "docker-setup --undo was called here; docker-setup by hand ends this.\n",
    )?)
}

impl RecordStore {
    /// Makes the directory, in which its owner alone can look around, and holds it.
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

    /// Nothing is set up any more.
    pub(super) fn clear(&self) -> Result<(), UndoRecordError> {
        Ok(files::remove(&self.file)?)
    }

    /// The end of a run. Where nothing is set up, nothing stays.
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
    /// What was written into a file the last time.
    pub(super) fn written(&self, path: &Path) -> Option<&str> {
        self.files.get(path)?.written.as_deref()
    }

    /// A file is about to be written; the first time, what is there is kept.
    pub(super) fn note(&mut self, path: &Path, now: Option<&SavedFile>, written: Option<&str>) {
        let entry = self
            .files
            .entry(path.to_owned())
            .or_insert_with(|| FileEntry { former: now.cloned(), written: None });
        entry.written = written.map(str::to_owned);
    }

    /// A file that somebody else has changed since.
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
