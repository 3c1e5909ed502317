//! The directories of a copy. They stay writable until they are complete, and then get their modes and times, deepest
//! first.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, FileTimes, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};
use tar::Header;

/// The permissions that the owner needs to fill a directory.
const OWNER_ACCESS: u32 = 0o700;

/// The attributes that a directory gets at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FinalAttributes {
    mode: u32,
    /// The modification time, or `None` to keep the current one.
    modified: Option<SystemTime>,
}

/// The directories whose attributes are still to be set.
#[derive(Debug, Default)]
pub(super) struct Directories {
    attributes: BTreeMap<PathBuf, FinalAttributes>,
}

impl Directories {
    /// Creates the directory, or makes an existing one writable.
    pub(super) fn create(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        match fs::symlink_metadata(path) {
            Ok(existing) if existing.is_dir() => {
                self.make_writable(path, &existing);
                Ok(())
            }
            Ok(_) => {
                let message = format!("{} exists and is not a directory", path.display());
                Err(io::Error::other(message))
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().mode(mode).create(path)
            }
            Err(cause) => Err(cause),
        }
    }

    /// Makes an existing directory writable. A previous copy may have left it read-only.
    fn make_writable(&mut self, path: &Path, existing: &Metadata) {
        let mode = existing.permissions().mode() & 0o7777;
        if mode & OWNER_ACCESS == OWNER_ACCESS || self.attributes.contains_key(path) {
            return;
        }
        // If this fails, writing into the directory fails too, and that error is reported.
        if fs::set_permissions(path, Permissions::from_mode(mode | OWNER_ACCESS)).is_ok() {
            self.attributes.insert(path.to_owned(), FinalAttributes { mode, modified: None });
        }
    }

    /// Records the mode and time from the stream, to be set at the end.
    pub(super) fn set_later(&mut self, path: &Path, header: &Header) -> io::Result<()> {
        let modified = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(header.mtime()?));
        let attributes = FinalAttributes { mode: header.mode()? & 0o777, modified };
        self.attributes.insert(path.to_owned(), attributes);
        Ok(())
    }

    /// Returns the directories after `from` was renamed to `to`.
    pub(super) fn moved(self, from: &Path, to: &Path) -> Self {
        let moved = |(path, attributes): (PathBuf, FinalAttributes)| {
            let rest = path.strip_prefix(from).ok()?;
            // Joining an empty path would add a slash.
            let path = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            Some((path, attributes))
        };
        Self { attributes: self.attributes.into_iter().filter_map(moved).collect() }
    }

    /// Sets the attributes of all directories. If one fails, the others are still set.
    pub(super) fn finish(self) -> io::Result<()> {
        let mut outcome = Ok(());
        // A directory sorts before its contents, so the reverse order is deepest first.
        for (path, attributes) in self.attributes.iter().rev() {
            let done = apply(path, *attributes).map_err(|cause| {
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

fn apply(path: &Path, attributes: FinalAttributes) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if let Some(modified) = attributes.modified {
        directory.set_times(FileTimes::new().set_modified(modified))?;
    }
    directory.set_permissions(Permissions::from_mode(attributes.mode))
}
