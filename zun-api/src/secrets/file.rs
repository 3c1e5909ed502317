//! The file of keys: one key in base64 on each line, the newest first. Lines that begin with `#` are comments.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use zun_common::atomic_file::{self, Attributes};
use zun_common::secret::Secret;

use super::KEY_LEN;
use crate::private_file::{self, PrivateFileError};

const HEADER: &str = "# Keys that encrypt secrets in zun-api's database, the newest first. Keep a copy of this file apart from copies of the \
                      database: without it the secrets are lost.\n";

/// The file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read, or others can read it too.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// A line is not a key.
    #[error("line {0} must be a key: 32 bytes in base64, as `zun-api secrets init` writes it")]
    Malformed(usize),
    /// It has no key.
    #[error("it has no key; create the file with `zun-api secrets init`")]
    Empty,
    /// It exists already.
    #[error("it exists already, and a new one would lose the secrets that its keys have encrypted")]
    Exists,
    /// It cannot be written.
    #[error("cannot write it")]
    Write(#[source] io::Error),
}

/// Reads the keys.
pub(super) fn read(path: &Path) -> Result<Vec<Secret<[u8; KEY_LEN]>>, KeyFileError> {
    let text = private_file::read(path)?;
    let lines = (1..).zip(text.lines().map(str::trim));
    let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    keys.map(|(number, line)| key(line).ok_or(KeyFileError::Malformed(number))).collect()
}

fn key(line: &str) -> Option<Secret<[u8; KEY_LEN]>> {
    Some(Secret::new(STANDARD.decode(line).ok()?.try_into().ok()?))
}

/// Creates the file with a random key. Never replaces a file.
pub fn init(path: &Path) -> Result<(), KeyFileError> {
    let written = || {
        let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        open.write_all(format!("{HEADER}{}\n", random()).as_bytes())?;
        open.sync_all()
    };
    written().map_err(|cause| {
        if cause.kind() == ErrorKind::AlreadyExists {
            KeyFileError::Exists
        } else {
            KeyFileError::Write(cause)
        }
    })
}

/// Puts a new key before the others. The next start of zun-api encrypts all secrets with it.
pub fn rotate(path: &Path) -> Result<(), KeyFileError> {
    read(path)?;
    let former = private_file::read(path)?;
    let former = former.strip_prefix(HEADER).unwrap_or(&former);
    let text = format!("{HEADER}{}\n{former}", random());
    atomic_file::replace(path, text.as_bytes(), Attributes::PRIVATE).map_err(KeyFileError::Write)
}

fn random() -> String {
    let mut bytes = [0; KEY_LEN];
    SystemRandom::new().fill(&mut bytes).expect("the system has random numbers");
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::SecretKeys;
    use super::*;

    #[test]
    fn a_rotation_puts_a_new_key_first_and_keeps_the_old_ones() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("keys");
        init(&path).expect("created");
        assert!(matches!(init(&path), Err(KeyFileError::Exists)));
        let before = SecretKeys::load(&path).expect("a key");
        let sealed = before.seal(&Secret::new("x".to_owned()), "a");
        rotate(&path).expect("rotated");
        let after = SecretKeys::load(&path).expect("keys");
        assert_ne!(before.newest(), after.newest());
        assert!(after.unseal(&sealed, "a").is_ok());
        assert_eq!(read(&path).expect("keys").len(), 2);
    }

    #[test]
    fn a_file_that_others_can_read_or_that_has_no_good_key_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("keys");
        let load = |text: &str, mode| {
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
            SecretKeys::load(&path).expect_err("a bad file").to_string()
        };
        assert!(load("", 0o644).contains("its mode is 644"));
        assert!(load("# nothing\n", 0o600).contains("zun-api secrets init"));
        assert!(load("# c\nAAAA\n", 0o600).contains("line 2"));
    }
}
