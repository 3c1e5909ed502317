//! Packs local files into a tar stream.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::chunks::Writer;
use super::skipped;
use crate::cmd::Failure;

/// The owner of the files at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owners {
    /// Root owns all of them.
    Root,
    /// The users and groups with the same numbers as here.
    Kept,
}

/// The local file or directory to send.
#[derive(Debug, Clone)]
pub(super) struct LocalSource {
    path: PathBuf,
    metadata: Metadata,
    owners: Owners,
}

impl LocalSource {
    /// Reads the metadata of `path`. If the path is a symlink, it is followed.
    pub(super) fn of(path: PathBuf, owners: Owners) -> Result<Self, Failure> {
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Self { path, metadata, owners }),
            Err(cause) => Err(Failure::new(format!("{}: {cause}", path.display()))),
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.metadata.is_dir()
    }

    /// Returns its name in a destination directory, or `.` if only the contents of a directory are copied.
    pub(super) fn name(&self) -> Result<Vec<u8>, Failure> {
        if self.path.as_os_str().as_bytes().ends_with(b"/.") || self.path == Path::new(".") {
            return Ok(b".".to_vec());
        }
        let whole = || Some(self.path.canonicalize().ok()?.file_name()?.to_owned());
        let name = self.path.file_name().map(OsStr::to_owned).or_else(whole);
        let name = name.ok_or_else(|| Failure::new(format!("{self} has no file name")))?;
        Ok(name.into_vec())
    }
}

impl fmt::Display for LocalSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(out)
    }
}

/// Packs `local` under `name`.
pub(super) fn pack(local: &LocalSource, name: &[u8], to: Writer) -> io::Result<()> {
    let mut builder = Builder::new(to);
    let name = PathBuf::from(OsStr::from_bytes(name));
    // A list instead of recursion, because directories can be nested deeply.
    let mut left = vec![(local.path.clone(), name, local.metadata.clone())];
    while let Some((path, name, metadata)) = left.pop() {
        let named =
            |cause: io::Error| io::Error::new(cause.kind(), format!("{}: {cause}", path.display()));
        add_entry(&mut builder, (&path, &name), (&metadata, local.owners)).map_err(named)?;
        if !metadata.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&path).map_err(named)? {
            let entry = entry.map_err(named)?;
            let metadata = fs::symlink_metadata(entry.path()).map_err(named)?;
            left.push((entry.path(), name.join(entry.file_name()), metadata));
        }
    }
    builder.into_inner()?.flush()
}

fn add_entry(
    builder: &mut Builder<Writer>,
    (path, name): (&Path, &Path),
    (metadata, owners): (&Metadata, Owners),
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_metadata(metadata);
    if owners == Owners::Root {
        header.set_uid(0);
        header.set_gid(0);
    }
    if metadata.is_symlink() {
        header.set_size(0);
        return builder.append_link(&mut header, name, fs::read_link(path)?);
    }
    if metadata.is_dir() {
        header.set_entry_type(EntryType::Directory);
        header.set_size(0);
        return builder.append_data(&mut header, name, io::empty());
    }
    if !metadata.is_file() {
        skipped(&format!("skipped {}: it is not a file, directory or symlink", path.display()));
        return Ok(());
    }
    let mut content = Content::of(File::open(path)?, metadata.len())?;
    header.set_size(content.size());
    builder.append_data(&mut header, name, &mut content)
}

/// How many bytes to read before trusting the declared size of a file. Files in /proc declare 0 bytes, and files in
/// /sys declare more than they have.
const LENGTH_CHECK: u64 = 64 << 10;

/// The most bytes to read from a file that declares a size of 0.
const MAX_UNDECLARED: u64 = 64 << 20;

/// The content of a file, with exactly the announced number of bytes. Data appended during the copy is ignored.
struct Content {
    first: io::Cursor<Vec<u8>>,
    rest: File,
    /// How many bytes of `rest` are still to be read.
    left: u64,
}

impl Content {
    /// Reads the start of a file with this declared size.
    fn of(mut file: File, declared: u64) -> io::Result<Self> {
        let mut first = Vec::new();
        let mut read = (&mut file).take(LENGTH_CHECK).read_to_end(&mut first)? as u64;
        if declared == 0 && read == LENGTH_CHECK {
            read += (&mut file).take(MAX_UNDECLARED).read_to_end(&mut first)? as u64;
            if read > MAX_UNDECLARED {
                let message = "it reports a size of 0, but has more than 64 MiB";
                return Err(io::Error::other(message));
            }
        }
        let whole = read < LENGTH_CHECK || declared < read;
        let left = if whole { 0 } else { declared - read };
        Ok(Self { first: io::Cursor::new(first), rest: file, left })
    }

    fn size(&self) -> u64 {
        self.first.get_ref().len() as u64 + self.left
    }
}

impl io::Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.first.read(buffer)?;
        if count > 0 || self.left == 0 || buffer.is_empty() {
            return Ok(count);
        }
        let count = (&mut self.rest).take(self.left).read(buffer)?;
        if count == 0 {
            let message = "it became shorter while it was read";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn file(size: usize) -> File {
        let file = tempfile::tempfile().expect("a file");
        (&file).write_all(&vec![7; size]).expect("written");
        io::Seek::rewind(&mut &file).expect("its beginning");
        file
    }

    fn read(mut content: Content) -> io::Result<u64> {
        let (size, mut bytes) = (content.size(), Vec::new());
        let count = content.read_to_end(&mut bytes)? as u64;
        assert_eq!(count, size, "as many as were announced");
        Ok(count)
    }

    #[test]
    fn files_belong_to_root_unless_their_owners_are_kept() {
        const OTHER: u32 = 65534;
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("file");
        fs::write(&path, "content").expect("written");
        // Only root may do it. Without it, the file belongs to another user than root.
        drop(std::os::unix::fs::chown(&path, Some(OTHER), Some(OTHER)));
        let metadata = fs::metadata(&path).expect("a file");
        let here = (u64::from(metadata.uid()), u64::from(metadata.gid()));
        assert_ne!(here.0, 0);
        for (owners, expected) in [(Owners::Root, (0, 0)), (Owners::Kept, here)] {
            let local = LocalSource::of(path.clone(), owners).expect("a file");
            let (chunks, reader) = super::super::chunks::Reader::new(16);
            let packing = std::thread::spawn(move || pack(&local, b"file", Writer::new(chunks)));
            let mut archive = tar::Archive::new(reader);
            let entry = archive.entries().expect("entries").next().expect("one").expect("readable");
            let header = entry.header();
            assert_eq!((header.uid().expect("a uid"), header.gid().expect("a gid")), expected);
            drop(entry);
            drop(archive);
            drop(packing.join().expect("no panic"));
        }
    }

    #[test]
    fn the_content_has_the_announced_size_or_reading_fails() {
        for (size, declared, sent) in [
            (10, 10, 10),
            (10, 4096, 10),
            (10, 0, 10),
            (0, 0, 0),
            (300_000, 0, 300_000),
            (300_000, 300_000, 300_000),
            (300_000, 200_000, 200_000),
            (65_536, 65_536, 65_536),
        ] {
            let content = Content::of(file(size), declared).expect("readable");
            assert_eq!(read(content).expect("all of it"), sent, "{size} of {declared}");
        }
        for (size, declared) in [(300_000, 300_001), (65_536, 65_537)] {
            let content = Content::of(file(size), declared).expect("readable");
            let refusal = read(content).expect_err("shorter");
            assert_eq!(refusal.to_string(), "it became shorter while it was read");
        }
    }
}
