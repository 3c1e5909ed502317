//! The folders of a copy: they can be written until everything is in them, and are given their modes and times
//! last, the deepest first.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, FileTimes, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};
use tar::Header;

/// What whoever fills a folder needs.
const OPEN: u32 = 0o700;

/// What a folder is to have at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    mode: u32,
    /// None where it keeps the one that it has.
    changed: Option<SystemTime>,
}

/// The folders that something is still to be done to.
#[derive(Debug, Default)]
pub(super) struct Folders {
    due: BTreeMap<PathBuf, Due>,
}

impl Folders {
    /// There is such a folder after this, and it can be written.
    pub(super) fn make(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        match fs::symlink_metadata(path) {
            Ok(there) if there.is_dir() => {
                self.open(path, &there);
                Ok(())
            }
            Ok(_) => {
                let message = format!("{} exists and is not a folder", path.display());
                Err(io::Error::other(message))
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().mode(mode).create(path)
            }
            Err(cause) => Err(cause),
        }
    }

    /// One that was there may be closed to its owner, as a copy of another is.
    fn open(&mut self, path: &Path, there: &Metadata) {
        let mode = there.permissions().mode() & 0o7777;
        if mode & OPEN == OPEN || self.due.contains_key(path) {
            return;
        }
        // Whoever may not change it may not write into it either, and is told so by that.
        if fs::set_permissions(path, Permissions::from_mode(mode | OPEN)).is_ok() {
            self.due.insert(path.to_owned(), Due { mode, changed: None });
        }
    }

    /// It is to have what the stream says.
    pub(super) fn later(&mut self, path: &Path, told: &Header) -> io::Result<()> {
        let changed = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(told.mtime()?));
        let due = Due { mode: told.mode()? & 0o777, changed };
        self.due.insert(path.to_owned(), due);
        Ok(())
    }

    /// The same where `from` has become `to`.
    pub(super) fn moved(self, from: &Path, to: &Path) -> Self {
        let moved = |(path, due): (PathBuf, Due)| {
            let rest = path.strip_prefix(from).ok()?;
            // Joining with nothing would leave a slash behind.
            let path = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            Some((path, due))
        };
        Self { due: self.due.into_iter().filter_map(moved).collect() }
    }

    /// Gives each what it is to have. One that fails does not keep the others from it.
    pub(super) fn finish(self) -> io::Result<()> {
        let mut outcome = Ok(());
        // What is in a folder sorts behind it.
        for (path, due) in self.due.iter().rev() {
            let done = give(path, *due).map_err(|cause| {
                io::Error::new(
                    cause.kind(),
                    format!("cannot set the mode of {}: {cause}", path.display()),
                )
            });
            outcome = outcome.and(done);
        }
        outcome
    }
}

fn give(path: &Path, due: Due) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if let Some(changed) = due.changed {
        folder.set_times(FileTimes::new().set_modified(changed))?;
    }
    folder.set_permissions(Permissions::from_mode(due.mode))
}
