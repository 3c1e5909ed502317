//! Reads the sizes that the agent has stored. This program runs as root and the agent does not. So it reads only a few
//! bytes of a file, and follows no link out of the directory.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, openat, unlinkat};

/// The length of `65535 65535` and a newline, in bytes.
const MAX_LENGTH: u64 = 12;

/// The directory with the sizes, and its owner.
pub(crate) struct Sizes {
    directory: OwnedFd,
    owner: u32,
}

impl Sizes {
    /// Opens a directory that only its owner may write.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(CWD, path, flags, Mode::empty())?;
        let about = fstat(&directory)?;
        if about.st_mode & 0o022 != 0 {
            return Err(io::Error::other("users other than the owner may write to the directory"));
        }
        Ok(Self { directory, owner: about.st_uid })
    }

    /// Reads the file of an ID. It must be a regular file of the directory's owner. Links are not followed, and the
    /// call never blocks.
    pub(crate) fn read(&self, id: &OsStr) -> io::Result<String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.directory, id, flags, Mode::empty())?;
        let about = fstat(&file)?;
        let plain = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
        if !plain || about.st_uid != self.owner {
            return Err(io::Error::other("it is not a regular file of the directory's owner"));
        }
        let mut text = String::new();
        File::from(file).take(MAX_LENGTH).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Removes the file of an ID.
    pub(crate) fn remove(&self, id: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.directory, id, AtFlags::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::process::Command;

    use super::*;

    #[test]
    fn only_a_short_regular_file_of_the_owner_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let here = directory.path();
        fs::write(here.join("good"), "33 101\n").expect("written");
        fs::write(here.join("long"), "1".repeat(100)).expect("written");
        symlink(here.join("good"), here.join("link")).expect("a link");
        fs::create_dir(here.join("directory")).expect("a directory");
        let fifo = Command::new("mkfifo").arg(here.join("fifo")).status().expect("mkfifo runs");
        assert!(fifo.success());
        let sizes = Sizes::open(here).expect("a good directory");
        assert_eq!(sizes.read(OsStr::new("good")).expect("read"), "33 101\n");
        assert_eq!(sizes.read(OsStr::new("long")).expect("read").len(), 12);
        for bad in ["link", "directory", "fifo", "missing"] {
            assert!(sizes.read(OsStr::new(bad)).is_err(), "{bad}");
        }
        sizes.remove(OsStr::new("good")).expect("removed");
        assert!(sizes.read(OsStr::new("good")).is_err());
    }

    #[test]
    fn a_directory_that_others_may_write_or_that_is_a_link_is_not_opened() {
        let directory = tempfile::tempdir().expect("a directory");
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::create_dir(&real).expect("a directory");
        symlink(&real, &link).expect("a link");
        assert!(Sizes::open(&link).is_err(), "a link");
        fs::set_permissions(&real, Permissions::from_mode(0o770)).expect("set");
        assert!(Sizes::open(&real).is_err(), "for a group");
        fs::set_permissions(&real, Permissions::from_mode(0o700)).expect("set");
        assert!(Sizes::open(&real).is_ok());
    }
}
