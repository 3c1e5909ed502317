//! Bearer tokens. A file holds their hashes and is reloaded when it changes.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zun_common::chain;
use zun_common::file_stamp::FileStamp;
use zun_common::id::{ProjectId, UserId};

use super::Identity;
use crate::private_file::{self, PrivateFileError};

/// Minimum interval between two checks for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read, or others can read it too.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// It does not have the expected format.
    #[error("it must contain `[[token]]` entries with sha256, user, project and roles")]
    Malformed(#[from] toml::de::Error),
    /// A hash is not valid.
    #[error("the sha256 of user {0} must be 64 hexadecimal digits")]
    InvalidHash(UserId),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<TokenEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenEntry {
    sha256: String,
    user: UserId,
    project: ProjectId,
    #[serde(default)]
    roles: Vec<String>,
}

struct Loaded {
    tokens: Vec<([u8; 32], Identity)>,
    version: Option<FileStamp>,
    checked_at: Instant,
}

/// The tokens of a file.
pub(crate) struct TokenFile {
    path: PathBuf,
    loaded: Mutex<Loaded>,
}

impl TokenFile {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, TokenFileError> {
        let (tokens, version) = load(path)?;
        let loaded = Loaded { tokens, version: Some(version), checked_at: Instant::now() };
        Ok(Self { path: path.to_owned(), loaded: Mutex::new(loaded) })
    }

    /// Returns the owner of a token. Compares it with every hash in constant time.
    pub(crate) fn identify(&self, token: &str) -> Option<Identity> {
        let presented: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut loaded = self.loaded.lock().expect("no thread panics while it holds this lock");
        self.reload_if_changed(&mut loaded);
        let mut found = None;
        for (hash, identity) in &loaded.tokens {
            if bool::from(hash.ct_eq(&presented)) {
                found = Some(identity);
            }
        }
        found.cloned()
    }

    /// Reloads a changed file. If it is not valid, logs that once and accepts no token until it is fixed: the
    /// administrator may have been about to revoke one.
    fn reload_if_changed(&self, loaded: &mut Loaded) {
        if loaded.checked_at.elapsed() < CHECK_INTERVAL {
            return;
        }
        loaded.checked_at = Instant::now();
        let version = FileStamp::of(&self.path);
        if version.is_some() && version == loaded.version {
            return;
        }
        match load(&self.path) {
            Ok((tokens, version)) => {
                tracing::info!("reloaded the token file `{}`", self.path.display());
                loaded.tokens = tokens;
                loaded.version = Some(version);
            }
            Err(error) => {
                if !loaded.tokens.is_empty() {
                    log_unusable(&self.path, &error);
                }
                loaded.tokens.clear();
                loaded.version = None;
            }
        }
    }
}

fn log_unusable(path: &Path, error: &TokenFileError) {
    tracing::error!(
        error = %chain(error),
        "cannot use the token file `{}`; no token is accepted until it is fixed", path.display()
    );
}

type Tokens = Vec<([u8; 32], Identity)>;

fn load(path: &Path) -> Result<(Tokens, FileStamp), TokenFileError> {
    let metadata = std::fs::metadata(path).map_err(PrivateFileError::from)?;
    let file: File = toml::from_str(&private_file::read(path)?)?;
    let tokens = file.token.into_iter().map(parse).collect::<Result<_, _>>()?;
    Ok((tokens, FileStamp::from(&metadata)))
}

fn parse(line: TokenEntry) -> Result<([u8; 32], Identity), TokenFileError> {
    let TokenEntry { sha256, user, project, roles } = line;
    let mut hash = [0; 32];
    hex::decode_to_slice(&sha256, &mut hash)
        .map_err(|_not_hexadecimal| TokenFileError::InvalidHash(user.clone()))?;
    Ok((hash, Identity { user, project, roles }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn line(token: &str, user: &str) -> String {
        let hash = hex::encode(Sha256::digest(token.as_bytes()));
        format!(
            "[[token]]\nsha256 = \"{hash}\"\nuser = \"{user}\"\nproject = \"p\"\nroles = [\"admin\"]\n"
        )
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn expire_check(tokens: &TokenFile) {
        tokens.loaded.lock().unwrap().checked_at =
            Instant::now().checked_sub(CHECK_INTERVAL).unwrap();
    }

    #[test]
    fn a_valid_token_identifies_its_user() {
        let file = file(&(line("s3cret", "ann") + &line("other", "bob")));
        let tokens = TokenFile::read(file.path()).unwrap();
        assert_eq!(tokens.identify("s3cret").unwrap().user.as_str(), "ann");
        assert!(tokens.identify("s3cret").unwrap().roles.iter().any(|role| role == "admin"));
        assert_eq!(tokens.identify("other").unwrap().user.as_str(), "bob");
        assert_eq!(tokens.identify("guess"), None);
        assert_eq!(tokens.identify(""), None);
    }

    #[test]
    fn a_changed_file_is_reloaded() {
        let mut file = file(&line("old", "ann"));
        let tokens = TokenFile::read(file.path()).unwrap();
        file.as_file_mut().set_len(0).unwrap();
        std::fs::write(file.path(), line("brand-new", "ann-marie")).unwrap();
        expire_check(&tokens);
        assert!(tokens.identify("brand-new").is_some());
        assert!(tokens.identify("old").is_none());
    }

    #[test]
    fn an_invalid_file_accepts_no_token_until_it_is_fixed() {
        let file = file(&line("token", "ann"));
        let tokens = TokenFile::read(file.path()).unwrap();
        std::fs::write(file.path(), "[[token]]\nsha256 = 'xyz'").unwrap();
        expire_check(&tokens);
        assert!(tokens.identify("token").is_none());
        std::fs::write(file.path(), line("token", "ann")).unwrap();
        expire_check(&tokens);
        assert!(tokens.identify("token").is_some());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let file = file(&line("token", "ann"));
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            TokenFile::read(file.path()),
            Err(TokenFileError::File(PrivateFileError::InsecureMode(0o644)))
        ));
    }

    #[test]
    fn a_hash_of_another_length_is_refused() {
        let file = file("[[token]]\nsha256 = 'abcd'\nuser = 'u'\nproject = 'p'");
        assert!(matches!(TokenFile::read(file.path()), Err(TokenFileError::InvalidHash(_))));
    }
}
