//! The source and the destination of a copy, as written on the command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::cmd::Failure;

/// A source or a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CopyPath {
    /// Stdin or stdout.
    Stdio,
    /// A path on this machine.
    Local(PathBuf),
    /// A path in a container.
    Container(ContainerPath),
}

/// A path in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cmd::container) struct ContainerPath {
    /// The name or UUID of the container.
    pub(in crate::cmd::container) container: String,
    /// The absolute path.
    pub(in crate::cmd::container) path: Vec<u8>,
}

impl FromStr for CopyPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "-" {
            return Ok(Self::Stdio);
        }
        match text.split_once(':') {
            Some((container, path)) if !container.contains('/') && !container.is_empty() => {
                if path.is_empty() {
                    return Err("the path after the colon is missing".to_owned());
                }
                if path.contains('\0') || path.len() > 4000 {
                    return Err("the path is longer than 4000 bytes or contains NUL".to_owned());
                }
                let path = format!("/{}", path.trim_start_matches('/')).into_bytes();
                Ok(Self::Container(ContainerPath { container: container.to_owned(), path }))
            }
            Some(_) | None if text.is_empty() => Err("it is empty".to_owned()),
            Some(_) | None => Ok(Self::Local(PathBuf::from(text))),
        }
    }
}

impl ContainerPath {
    /// Returns `true` if the path names a directory, by `/` or `/.` at its end.
    pub(super) fn wants_directory(&self) -> bool {
        self.path.ends_with(b"/") || self.is_contents()
    }

    /// Returns `true` if the contents of a directory are meant, by `/.` at the end.
    pub(super) fn is_contents(&self) -> bool {
        self.path.ends_with(b"/.")
    }

    /// Returns the last part of the path; `None` for the root.
    pub(super) fn name(&self) -> Option<Vec<u8>> {
        let mut parts = self.path.split(|byte| *byte == b'/');
        parts.rfind(|part| !matches!(*part, b"" | b".")).map(<[u8]>::to_vec)
    }

    /// Returns the parent directory and the name in it.
    pub(super) fn split(self) -> Result<(Self, Vec<u8>), Failure> {
        let named = self.name().filter(|name| name != b"..");
        let name = named.ok_or_else(|| Failure::new(format!("{self} does not name a file")))?;
        let mut path = self.path;
        while path.ends_with(b"/") || path.ends_with(b"/.") {
            path.pop();
        }
        path.truncate(path.len() - name.len());
        Ok((Self { path, ..self }, name))
    }
}

impl fmt::Display for CopyPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(path) => path.fmt(out),
            Self::Local(path) => path.display().fmt(out),
            Self::Stdio => out.write_str("-"),
        }
    }
}

impl fmt::Display for ContainerPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.container, String::from_utf8_lossy(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_container(text: &str) -> ContainerPath {
        match text.parse() {
            Ok(CopyPath::Container(in_container)) => in_container,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_colon_names_a_container_unless_a_slash_comes_first() {
        assert_eq!("-".parse(), Ok(CopyPath::Stdio));
        assert_eq!("./a:b".parse(), Ok(CopyPath::Local("./a:b".into())));
        assert_eq!("/x/a:b".parse(), Ok(CopyPath::Local("/x/a:b".into())));
        assert_eq!("file".parse(), Ok(CopyPath::Local("file".into())));
        assert_eq!(in_container("test:tmp/x").path, b"/tmp/x");
        assert_eq!(in_container("test:/a:b").path, b"/a:b");
        assert!("test:".parse::<CopyPath>().is_err());
        assert!("".parse::<CopyPath>().is_err());
    }

    #[test]
    fn a_path_is_taken_apart_at_its_last_name() {
        for (text, directory, name) in [
            ("c:/a/b", "/a/", "b"),
            ("c:b", "/", "b"),
            ("c:/a/b/", "/a/", "b"),
            ("c:/a/b/.", "/a/", "b"),
        ] {
            let (in_container, last) = in_container(text).split().expect("a name");
            assert_eq!(
                (in_container.path.as_slice(), last.as_slice()),
                (directory.as_bytes(), name.as_bytes())
            );
        }
        for nameless in ["c:/", "c:/..", "c:/."] {
            assert!(in_container(nameless).split().is_err(), "{nameless}");
        }
    }
}
