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
const OWNER_ACCESS: u32 = 0o700;

/// What a folder is to have at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FinalAttributes {
    mode: u32,
    /// None where it keeps the one that it has.
    modified: Option<SystemTime>,
}

/// The folders that something is still to be done to.
#[derive(Debug, Default)]
pub(super) struct Folders {
    attributes: BTreeMap<PathBuf, FinalAttributes>,
}

impl Folders {
    /// There is such a folder after this, and it can be written.
    pub(super) fn create(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        match fs::symlink_metadata(path) {
            Ok(existing) if existing.is_dir() => {
                self.make_writable(path, &existing);
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
    fn make_writable(&mut self, path: &Path, existing: &Metadata) {
        let mode = existing.permissions().mode() & 0o7777;
        if mode & OWNER_ACCESS == OWNER_ACCESS || self.attributes.contains_key(path) {
            return;
        }
        // If this fails, writing into the folder fails too, and that error is reported.
        if fs::set_permissions(path, Permissions::from_mode(mode | OWNER_ACCESS)).is_ok() {
            self.attributes.insert(path.to_owned(), FinalAttributes { mode, modified: None });
        }
    }

    /// It is to have what the stream says.
    pub(super) fn set_later(&mut self, path: &Path, header: &Header) -> io::Result<()> {
        let modified = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(header.mtime()?));
        let attributes = FinalAttributes { mode: header.mode()? & 0o777, modified };
        self.attributes.insert(path.to_owned(), attributes);
        Ok(())
    }

    /// The same where `from` has become `to`.
    pub(super) fn moved(self, from: &Path, to: &Path) -> Self {
        let moved = |(path, attributes): (PathBuf, FinalAttributes)| {
            let rest = path.strip_prefix(from).ok()?;
            // Joining with nothing would leave a slash behind.
            let path = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            Some((path, attributes))
        };
        Self { attributes: self.attributes.into_iter().filter_map(moved).collect() }
    }

    /// Gives each what it is to have. One that fails does not keep the others from it.
    pub(super) fn finish(self) -> io::Result<()> {
        let mut outcome = Ok(());
        // What is in a folder sorts behind it.
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
    let folder = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if let Some(modified) = attributes.modified {
        folder.set_times(FileTimes::new().set_modified(modified))?;
    }
    folder.set_permissions(Permissions::from_mode(attributes.mode))
}
