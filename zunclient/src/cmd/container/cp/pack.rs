//! Local files as a tar stream. All of it belongs to root at its destination.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::pieces::Writer;
use super::skipped;
use crate::cmd::Failure;

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    path: PathBuf,
    metadata: Metadata,
}

impl Parcel {
    /// What is there; a link that is named itself is followed.
    pub(super) fn of(path: PathBuf) -> Result<Self, Failure> {
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Self { path, metadata }),
            Err(cause) => Err(Failure::new(format!("{}: {cause}", path.display()))),
        }
    }

    pub(super) fn is_folder(&self) -> bool {
        self.metadata.is_dir()
    }

    /// The name that it has in a folder that takes it; none where only what is in it is meant.
    pub(super) fn name(&self) -> Result<Vec<u8>, Failure> {
        if self.path.as_os_str().as_bytes().ends_with(b"/.") || self.path == Path::new(".") {
            return Ok(b".".to_vec());
        }
        let whole = || Some(self.path.canonicalize().ok()?.file_name()?.to_owned());
        let name = self.path.file_name().map(OsStr::to_owned).or_else(whole);
        let name = name.ok_or_else(|| Failure::new(format!("{self} has no name")))?;
        Ok(name.into_vec())
    }
}

impl fmt::Display for Parcel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(out)
    }
}

/// Packs it under this name.
pub(super) fn pack(parcel: &Parcel, name: &[u8], to: Writer) -> io::Result<()> {
    let mut builder = Builder::new(to);
    let name = PathBuf::from(OsStr::from_bytes(name));
    // A list and not a call for each folder: folders may be as deep as they like.
    let mut left = vec![(parcel.path.clone(), name, parcel.metadata.clone())];
    while let Some((path, name, metadata)) = left.pop() {
        let named =
            |cause: io::Error| io::Error::new(cause.kind(), format!("{}: {cause}", path.display()));
        add(&mut builder, (&path, &name), &metadata).map_err(named)?;
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

fn add(
    builder: &mut Builder<Writer>,
    (path, name): (&Path, &Path),
    metadata: &Metadata,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_metadata(metadata);
    header.set_uid(0);
    header.set_gid(0);
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
        skipped(&format!("{} is neither file, folder nor link; it is left out", path.display()));
        return Ok(());
    }
    // As long as it was when it was looked at, whatever is done to it meanwhile.
    let size = metadata.len();
    let content = File::open(path)?.take(size).chain(io::repeat(0)).take(size);
    header.set_size(size);
    builder.append_data(&mut header, name, content)
}
