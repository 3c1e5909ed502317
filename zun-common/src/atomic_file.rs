//! Replaces files atomically: a reader, or a crash, finds the old file or the new one, and never a part of one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, fchown, symlink};
use std::path::{Path, PathBuf};

/// The mode and owner of a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// The permission bits.
    pub mode: u32,
    /// User and group; `None` for those of this process.
    pub owner: Option<(u32, u32)>,
}

impl Attributes {
    /// A file that only its owner can read.
    pub const PRIVATE: Self = Self::mode(0o600);
    /// A file that everybody can read.
    pub const PUBLIC: Self = Self::mode(0o644);

    /// A file of this process's user.
    pub const fn mode(mode: u32) -> Self {
        Self { mode, owner: None }
    }
}

/// Replaces a file, or creates it. It is on disk when this returns.
pub fn replace(path: &Path, bytes: &[u8], attributes: Attributes) -> io::Result<()> {
    through_temporary_file(path, |temporary| write_new(temporary, bytes, attributes)?.sync_all())?;
    sync_directory(path)
}

/// Replaces a file that need not survive a power failure, without waiting for the disk.
pub fn replace_unsynced(path: &Path, bytes: &[u8], attributes: Attributes) -> io::Result<()> {
    through_temporary_file(path, |temporary| write_new(temporary, bytes, attributes).map(drop))
}

/// Replaces a file by a symbolic link, which is on disk when this returns.
pub fn replace_by_link(path: &Path, target: &Path) -> io::Result<()> {
    through_temporary_file(path, |temporary| symlink(target, temporary))?;
    sync_directory(path)
}

/// Renames a file within its directory. The change is on disk when this returns.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_directory(to)
}

/// Creates a temporary file in the same directory, and renames it to its final name.
fn through_temporary_file(
    path: &Path,
    create: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = temporary(path);
    // Remove any existing file first: it may be a symbolic link that another user created.
    remove(&temporary)?;
    let replaced = create(&temporary).and_then(|()| fs::rename(&temporary, path));
    if replaced.is_err() {
        remove(&temporary)?;
    }
    replaced
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".zun-new");
    path.with_file_name(name)
}

fn write_new(path: &Path, bytes: &[u8], attributes: Attributes) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    if let Some((user, group)) = attributes.owner {
        fchown(&file, Some(user), Some(group))?;
    }
    file.set_permissions(Permissions::from_mode(attributes.mode))?;
    Ok(file)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(directory).expect("a directory");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_created_and_replaced_with_its_mode_and_nothing_is_left_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        for (text, mode) in [("one", 0o600), ("two", 0o644), ("three", 0o444), ("four", 0o400)] {
            replace(&path, text.as_bytes(), Attributes::mode(mode)).expect("replaced");
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
            let found = fs::metadata(&path).expect("a file").permissions().mode() & 0o7777;
            assert_eq!(found, mode);
        }
        replace_unsynced(&path, b"five", Attributes::PRIVATE).expect("replaced");
        assert_eq!(fs::read_to_string(&path).expect("read"), "five");
        assert_eq!(names(directory.path()), ["file"]);
    }

    #[test]
    fn a_link_at_the_temporary_name_is_not_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, victim) = (directory.path().join("file"), directory.path().join("victim"));
        fs::write(&victim, "mine").expect("written");
        symlink(&victim, temporary(&path)).expect("a link");
        replace(&path, b"text", Attributes::PRIVATE).expect("replaced");
        assert_eq!(fs::read_to_string(&victim).expect("read"), "mine");
        assert_eq!(fs::read_to_string(&path).expect("read"), "text");
        assert!(!path.is_symlink());
    }

    #[test]
    fn a_file_is_replaced_by_a_link_and_a_link_by_a_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, other) = (directory.path().join("file"), directory.path().join("other"));
        for path in [&path, &other] {
            replace(path, b"text", Attributes::PUBLIC).expect("written");
        }
        replace_by_link(&path, Path::new("other")).expect("replaced");
        assert_eq!(fs::read_link(&path).expect("a link"), Path::new("other"));
        replace(&path, b"new", Attributes::PUBLIC).expect("replaced");
        assert!(!path.is_symlink());
        assert_eq!(fs::read_to_string(&other).expect("read"), "text");
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_no_temporary_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("directory");
        fs::create_dir_all(path.join("full")).expect("created");
        assert!(replace(&path, b"text", Attributes::PRIVATE).is_err());
        assert_eq!(names(directory.path()), ["directory"]);
    }
}
