//! Unpacks a tar stream into local files. A container produced the stream, so it is not trusted: no name leads out of
//! the destination, and symlinks are created unchanged and never written through.

mod directories;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Entry, EntryType};

use super::chunks::Reader;
use super::copy_path::ContainerPath;
use super::skipped;
use crate::cmd::Failure;
use directories::Directories;

/// The local destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Entries keep their names and go into this directory.
    Into(PathBuf),
    /// The copy gets this path. The path is free, or a file that is replaced.
    As(PathBuf),
}

/// Chooses the target by what exists at the destination. A destination that is a symlink is followed.
pub(super) fn target(
    destination: &Path,
    source: &ContainerPath,
    is_directory: bool,
) -> Result<Target, Failure> {
    let refuse = |message: &str| Err(Failure::new(format!("{}: {message}", destination.display())));
    match fs::metadata(destination) {
        Ok(existing) if existing.is_dir() => Ok(Target::Into(destination.to_owned())),
        Ok(_) if is_directory => refuse("it is not a directory, but the source is"),
        Ok(existing) if !existing.is_file() => {
            refuse("it is not a file or directory; use - to copy to stdout")
        }
        Ok(_) => match destination.canonicalize() {
            Ok(path) => Ok(Target::As(path)),
            Err(cause) => refuse(&cause.to_string()),
        },
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(destination).is_ok() {
                return refuse("it is a broken symlink");
            }
            if destination.as_os_str().as_bytes().ends_with(b"/") && !is_directory {
                return refuse("no such directory");
            }
            if let Some(parent) = missing_parent(destination) {
                return refuse(&format!("the directory {} does not exist", parent.display()));
            }
            if is_directory && source.is_contents() {
                return match fs::create_dir(destination) {
                    Ok(()) => Ok(Target::Into(destination.to_owned())),
                    Err(cause) => refuse(&cause.to_string()),
                };
            }
            Ok(Target::As(destination.to_owned()))
        }
        Err(cause) => refuse(&cause.to_string()),
    }
}

/// Chooses the target for a copy with this path in an existing directory. As for all files there, a symlink is replaced and
/// never followed.
pub(super) fn target_inside(
    path: &Path,
    source: &ContainerPath,
    is_directory: bool,
) -> Result<Target, Failure> {
    let refuse = |message: &str| Err(Failure::new(format!("{}: {message}", path.display())));
    match fs::symlink_metadata(path) {
        Ok(existing) if existing.is_dir() && is_directory => Ok(Target::Into(path.to_owned())),
        Ok(existing) if existing.is_dir() => refuse("a directory with this name exists"),
        Ok(_) if is_directory => refuse("it is not a directory, but the source is"),
        Ok(existing) if existing.is_file() || existing.is_symlink() => {
            Ok(Target::As(path.to_owned()))
        }
        Ok(_) => refuse("a device, socket or FIFO with this name exists"),
        Err(_none) => target(path, source, is_directory),
    }
}

/// Returns the directory in which a path would be, if it does not exist.
fn missing_parent(path: &Path) -> Option<&Path> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty())?;
    (!parent.exists()).then_some(parent)
}

/// Unpacks the whole stream.
pub(super) fn unpack(from: Reader, target: &Target) -> io::Result<()> {
    match target {
        Target::Into(directory) => {
            let mut unpacking = Unpacking::into(directory);
            let outcome = unpacking.unpack_all(from);
            // Also after a failure, because existing directories must get their modes back.
            outcome.and(unpacking.directories.finish())
        }
        Target::As(path) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or_else(|| Path::new("."));
            // Unpack beside the destination first, so an interrupted copy leaves nothing behind.
            let temporary = tempfile::Builder::new().prefix(".zun-cp-").tempdir_in(parent)?;
            let mut unpacking = Unpacking::into(temporary.path());
            unpacking.unpack_all(from)?;
            let Unpacking { top, directories, .. } = unpacking;
            let top = top.ok_or_else(|| io::Error::other("there is nothing to copy"))?;
            let unpacked = temporary.path().join(top);
            fs::rename(&unpacked, path)?;
            // Modes are set last, because a read-only directory cannot be moved.
            directories.moved(&unpacked, path).finish()
        }
    }
}

/// The state of unpacking into a directory.
struct Unpacking<'a> {
    directory: &'a Path,
    directories: Directories,
    /// The names of the skipped entries.
    skipped: HashSet<PathBuf>,
    /// The top-level name of the first entry.
    top: Option<PathBuf>,
}

impl<'a> Unpacking<'a> {
    fn into(directory: &'a Path) -> Self {
        Self { directory, directories: Directories::default(), skipped: HashSet::new(), top: None }
    }

    fn unpack_all(&mut self, from: Reader) -> io::Result<()> {
        for entry in Archive::new(from).entries()? {
            let mut entry = entry?;
            let entry_path = entry.path()?.into_owned();
            let name = relative_name(&entry_path)?;
            let placed = self.unpack_entry(&mut entry, &name);
            let named = |cause: io::Error| {
                let message = format!("{}: {}", entry_path.display(), zun_common::chain(&cause));
                io::Error::new(cause.kind(), message)
            };
            if placed.map_err(named)? == Outcome::Written && self.top.is_none() {
                self.top = name.iter().next().map(PathBuf::from);
            }
        }
        Ok(())
    }

    /// Unpacks one entry.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "whatever kind there is now or later, it is left out"
    )]
    fn unpack_entry(&mut self, entry: &mut Entry<'_, Reader>, name: &Path) -> io::Result<Outcome> {
        if name.as_os_str().is_empty() {
            return Ok(Outcome::Skipped);
        }
        let path = self.directory.join(name);
        match entry.header().entry_type() {
            EntryType::Directory => self.directory(entry, name),
            // Old archives mark a directory only by the slash at the end of its name.
            EntryType::Regular if entry.path_bytes().ends_with(b"/") => self.directory(entry, name),
            EntryType::Regular
            | EntryType::Continuous
            | EntryType::GNUSparse
            | EntryType::Symlink => {
                self.clear_path(name)?;
                entry.unpack(&path).map(|_| Outcome::Written)
            }
            EntryType::Link => {
                let to = link_target(entry)?;
                if self.skipped.contains(&to) {
                    return Ok(self.skip(name, "it is a hard link to a skipped file"));
                }
                let to = self.hard_link_source(&to)?;
                self.clear_path(name)?;
                fs::hard_link(to, &path).map(|()| Outcome::Written)
            }
            EntryType::XGlobalHeader => Ok(Outcome::Skipped),
            _ => Ok(self.skip(name, "it is not a file, directory or symlink")),
        }
    }

    fn directory(&mut self, entry: &Entry<'_, Reader>, name: &Path) -> io::Result<Outcome> {
        self.create_parents(name)?;
        let path = self.directory.join(name);
        self.directories.create(&path, 0o700)?;
        self.directories.set_later(&path, entry.header())?;
        Ok(Outcome::Written)
    }

    fn skip(&mut self, name: &Path, why: &str) -> Outcome {
        skipped(&format!("skipped {}: {why}", name.display()));
        self.skipped.insert(name.to_owned());
        Outcome::Skipped
    }

    /// Creates the parent directories. A symlink in their place is an error.
    fn create_parents(&mut self, name: &Path) -> io::Result<()> {
        let mut path = self.directory.to_owned();
        for part in name.parent().into_iter().flat_map(Path::iter) {
            path.push(part);
            self.directories.create(&path, 0o777)?;
        }
        Ok(())
    }

    /// Creates the parent directories and removes an existing file or symlink.
    fn clear_path(&mut self, name: &Path) -> io::Result<()> {
        self.create_parents(name)?;
        remove_existing(&self.directory.join(name))
    }

    /// Returns the file that a hard link refers to. It must be in the destination, with no symlink on its path.
    fn hard_link_source(&self, name: &Path) -> io::Result<PathBuf> {
        let refused =
            || io::Error::other("refused: it is a hard link to a file that was not copied");
        let mut path = self.directory.to_owned();
        for part in name.parent().into_iter().flat_map(Path::iter) {
            path.push(part);
            if !fs::symlink_metadata(&path).is_ok_and(|existing| existing.is_dir()) {
                return Err(refused());
            }
        }
        let path = self.directory.join(name);
        let existing = fs::symlink_metadata(&path).map_err(|_not_there| refused())?;
        if existing.is_file() || existing.is_symlink() { Ok(path) } else { Err(refused()) }
    }
}

/// The result of unpacking an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Written,
    Skipped,
}

/// Returns a name relative to the destination. An absolute path starts at the destination.
fn relative_name(entry_path: &Path) -> io::Result<PathBuf> {
    let mut name = PathBuf::new();
    for part in entry_path.components() {
        match part {
            Component::Normal(part) => name.push(part),
            Component::ParentDir => {
                let message = format!("`{}` points outside the destination", entry_path.display());
                return Err(io::Error::other(message));
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    Ok(name)
}

fn link_target(entry: &Entry<'_, Reader>) -> io::Result<PathBuf> {
    match entry.link_name()? {
        Some(name) => relative_name(&name),
        None => Err(io::Error::other("the link has no target")),
    }
}

/// Removes an existing file or symlink. Anything else at the path is an error.
fn remove_existing(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(existing) if existing.is_file() || existing.is_symlink() => fs::remove_file(path),
        Ok(existing) if existing.is_dir() => {
            Err(io::Error::other("a directory with this name exists"))
        }
        Ok(_) => Err(io::Error::other("a device, socket or FIFO with this name exists")),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(cause),
    }
}
