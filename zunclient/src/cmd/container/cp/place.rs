//! The two ends of a copy, as they are written on the command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::cmd::Failure;

/// Where something is copied from or to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Stdin or stdout.
    Stream,
    /// Here.
    Local(PathBuf),
    /// In a container.
    Inside(Inside),
}

/// A path in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inside {
    /// Its name or id.
    pub(super) container: String,
    /// Absolute.
    pub(super) path: Vec<u8>,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "-" {
            return Ok(Self::Stream);
        }
        match text.split_once(':') {
            Some((container, path)) if !container.contains('/') && !container.is_empty() => {
                if path.is_empty() {
                    return Err("there is no path behind the container".to_owned());
                }
                if path.contains('\0') || path.len() > 4000 {
                    return Err("the path is too long, or holds a NUL".to_owned());
                }
                let path = format!("/{}", path.trim_start_matches('/')).into_bytes();
                Ok(Self::Inside(Inside { container: container.to_owned(), path }))
            }
            Some(_) | None if text.is_empty() => Err("it is empty".to_owned()),
            Some(_) | None => Ok(Self::Local(PathBuf::from(text))),
        }
    }
}

impl Inside {
    /// It is written as a folder.
    pub(super) fn wants_folder(&self) -> bool {
        self.path.ends_with(b"/") || self.is_contents()
    }

    /// What is in it is meant, and not itself.
    pub(super) fn is_contents(&self) -> bool {
        self.path.ends_with(b"/.")
    }

    /// Its last name; none of the root.
    pub(super) fn name(&self) -> Option<Vec<u8>> {
        let mut parts = self.path.split(|byte| *byte == b'/');
        parts.rfind(|part| !matches!(*part, b"" | b".")).map(<[u8]>::to_vec)
    }

    /// The folder that it is in, and its name there.
    pub(super) fn split(self) -> Result<(Self, Vec<u8>), Failure> {
        let named = self.name().filter(|name| name != b"..");
        let name = named.ok_or_else(|| Failure::new(format!("{self} names no file")))?;
        let mut path = self.path;
        while path.ends_with(b"/") || path.ends_with(b"/.") {
            path.pop();
        }
        path.truncate(path.len() - name.len());
        Ok((Self { path, ..self }, name))
    }
}

impl fmt::Display for Inside {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.container, String::from_utf8_lossy(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(text: &str) -> Inside {
        match text.parse() {
            Ok(Place::Inside(inside)) => inside,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_colon_names_a_container_unless_a_slash_comes_first() {
        assert_eq!("-".parse(), Ok(Place::Stream));
        assert_eq!("./a:b".parse(), Ok(Place::Local("./a:b".into())));
        assert_eq!("/x/a:b".parse(), Ok(Place::Local("/x/a:b".into())));
        assert_eq!("file".parse(), Ok(Place::Local("file".into())));
        assert_eq!(inside("test:tmp/x").path, b"/tmp/x");
        assert_eq!(inside("test:/a:b").path, b"/a:b");
        assert!("test:".parse::<Place>().is_err());
        assert!("".parse::<Place>().is_err());
    }

    #[test]
    fn a_path_is_taken_apart_at_its_last_name() {
        for (text, folder, name) in [
            ("c:/a/b", "/a/", "b"),
            ("c:b", "/", "b"),
            ("c:/a/b/", "/a/", "b"),
            ("c:/a/b/.", "/a/", "b"),
        ] {
            let (inside, told) = inside(text).split().expect("a name");
            assert_eq!(
                (inside.path.as_slice(), told.as_slice()),
                (folder.as_bytes(), name.as_bytes())
            );
        }
        for nameless in ["c:/", "c:/..", "c:/."] {
            assert!(inside(nameless).split().is_err(), "{nameless}");
        }
    }
}
