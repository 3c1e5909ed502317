//! A tar stream into local files. What it says was written in a container, so nothing of it is trusted: no
//! name and no link leads out of the destination.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use tar::Archive;

use super::pieces::Reader;
use super::place::Inside;
use crate::cmd::Failure;

/// Where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Goal {
    /// Into this folder, under the names that it comes with.
    Into(PathBuf),
    /// To become this; there is nothing yet, or a file that is replaced.
    Become(PathBuf),
}

/// Where it goes, from what is there now.
pub(super) fn goal(destination: &Path, source: &Inside, is_folder: bool) -> Result<Goal, Failure> {
    let refuse = |words: &str| Err(Failure::new(format!("{}: {words}", destination.display())));
    match fs::metadata(destination) {
        Ok(there) if there.is_dir() => Ok(Goal::Into(destination.to_owned())),
        Ok(_) if is_folder => refuse("it is no folder, and what is copied is one"),
        Ok(_) => Ok(Goal::Become(destination.to_owned())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            if destination.as_os_str().as_bytes().ends_with(b"/") && !is_folder {
                return refuse("there is no such folder");
            }
            if is_folder && source.is_contents() {
                return match fs::create_dir(destination) {
                    Ok(()) => Ok(Goal::Into(destination.to_owned())),
                    Err(cause) => refuse(&cause.to_string()),
                };
            }
            Ok(Goal::Become(destination.to_owned()))
        }
        Err(cause) => refuse(&cause.to_string()),
    }
}

/// Unpacks all of it.
pub(super) fn unpack(from: Reader, goal: &Goal) -> io::Result<()> {
    match goal {
        Goal::Into(folder) => unpack_into(from, folder).map(drop),
        Goal::Become(path) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or_else(|| Path::new("."));
            // Beside its place first: what is cut off leaves nothing half there.
            let beside = tempfile::Builder::new().prefix(".zun-cp-").tempdir_in(parent)?;
            let top = unpack_into(from, beside.path())?;
            let top = top.ok_or_else(|| io::Error::other("the host sent nothing"))?;
            fs::rename(beside.path().join(top), path)
        }
    }
}

/// Unpacks into a folder that is there, and says the first name of what came.
fn unpack_into(from: Reader, folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut archive = Archive::new(from);
    let mut top = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if !entry.unpack_in(folder)? {
            let words = format!("`{}` would lead out of the destination; refused", path.display());
            return Err(io::Error::other(words));
        }
        let first = path.components().find_map(|part| match part {
            Component::Normal(name) => Some(PathBuf::from(name)),
            Component::Prefix(_)
            | Component::RootDir
            | Component::CurDir
            | Component::ParentDir => None,
        });
        top = top.or(first);
    }
    Ok(top)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tar::{Builder, EntryType, Header};

    use super::*;

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(size);
        header
    }

    /// Names that the library itself would not write.
    fn file(builder: &mut Builder<Vec<u8>>, name: &[u8], content: &[u8]) {
        let mut header = header(EntryType::Regular, content.len() as u64);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_cksum();
        builder.append(&header, content).expect("a vector takes all");
    }

    fn link(builder: &mut Builder<Vec<u8>>, name: &str, to: &str) {
        let mut header = header(EntryType::Symlink, 0);
        builder.append_link(&mut header, name, to).expect("a vector takes all");
    }

    fn unpacked(builder: Builder<Vec<u8>>, goal: &Goal) -> io::Result<()> {
        let bytes = builder.into_inner().expect("a vector takes all");
        let (pieces, reader) = Reader::new(1);
        let feeding = std::thread::spawn(move || pieces.blocking_send(Ok(Bytes::from(bytes))));
        let outcome = unpack(reader, goal);
        feeding.join().expect("no panic").ok();
        outcome
    }

    #[test]
    fn nothing_leads_out_of_the_destination() {
        let outside = tempfile::tempdir().expect("a folder");
        let place = tempfile::tempdir().expect("a folder");
        let into = Goal::Into(place.path().to_owned());
        let mut dots = Builder::new(Vec::new());
        file(&mut dots, b"../escaped", b"x");
        unpacked(dots, &into).expect_err("refused");
        let mut through = Builder::new(Vec::new());
        link(&mut through, "door", outside.path().to_str().expect("text"));
        file(&mut through, b"door/escaped", b"x");
        unpacked(through, &into).expect_err("refused");
        let mut absolute = Builder::new(Vec::new());
        file(&mut absolute, b"/tmp/absolute", b"x");
        unpacked(absolute, &into).expect("its root is the destination");
        assert!(place.path().join("tmp/absolute").exists());
        assert!(!place.path().parent().expect("one").join("escaped").exists());
        assert_eq!(fs::read_dir(outside.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn what_is_to_become_something_is_there_as_a_whole_or_not_at_all() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("new");
        let mut good = Builder::new(Vec::new());
        file(&mut good, b"old", b"content");
        unpacked(good, &Goal::Become(path.clone())).expect("good");
        assert_eq!(fs::read(&path).expect("a file"), b"content");
        let (pieces, reader) = Reader::new(2);
        let mut cut = Builder::new(Vec::new());
        file(&mut cut, b"old", &[7; 5000]);
        let bytes = cut.into_inner().expect("a vector takes all")[..2000].to_vec();
        pieces.blocking_send(Ok(bytes.into())).expect("room");
        pieces.blocking_send(Err(io::Error::other("cut"))).expect("room");
        unpack(reader, &Goal::Become(path.clone())).expect_err("cut");
        assert_eq!(fs::read(&path).expect("the old one"), b"content");
        assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 1);
    }
}
