//! Tokens in the user's cache directory, so that not every command logs in.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use chrono::{TimeDelta, Utc};
use sha2::{Digest, Sha256};
use zun_common::atomic_file::{self, Attributes};

use super::Session;

/// A token that expires sooner than this is not used: it could expire on the way.
const MIN_LIFETIME: TimeDelta = TimeDelta::minutes(1);

/// The file of the token for one Keystone, user and project.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    path: PathBuf,
}

impl Cache {
    /// Returns the file for what `key` identifies; `None` if the user has no cache directory.
    pub(super) fn new(key: &str) -> Option<Self> {
        let directory = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let directory = directory.filter(|path| path.is_absolute()).or_else(|| {
            let home = std::env::var_os("HOME").map(PathBuf::from)?;
            home.is_absolute().then(|| home.join(".cache"))
        })?;
        Some(Self::below(&directory.join("zun/tokens"), key))
    }

    fn below(directory: &std::path::Path, key: &str) -> Self {
        let name = format!("{}.json", hex::encode(Sha256::digest(key.as_bytes())));
        Self { path: directory.join(name) }
    }

    /// Returns the token, unless it is missing, unreadable or expires soon.
    pub(super) fn read(&self) -> Option<Session> {
        let text = std::fs::read(&self.path).ok()?;
        let session: Session = serde_json::from_slice(&text).ok()?;
        (session.expires_at > Utc::now() + MIN_LIFETIME).then_some(session)
    }

    /// Stores the token. A cache that cannot be written costs a login per command, nothing else.
    pub(super) fn write(&self, session: &Session) {
        let Some(directory) = self.path.parent() else { return };
        if DirBuilder::new().recursive(true).mode(0o700).create(directory).is_ok() {
            let text = session.to_json().to_string();
            atomic_file::replace_unsynced(&self.path, text.as_bytes(), Attributes::PRIVATE)
                .unwrap_or_default();
        }
    }

    /// Removes the token.
    pub(super) fn clear(&self) {
        std::fs::remove_file(&self.path).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use zun_common::secret::Secret;

    use super::*;

    #[test]
    fn a_token_is_found_again_until_it_expires_and_only_its_owner_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("zun/tokens");
        let cache = Cache::below(&below, "ann in web");
        let session = |lifetime| Session {
            token: Secret::new("t".to_owned()),
            expires_at: Utc::now() + lifetime,
            endpoint: Some("https://zun/v1".to_owned()),
        };
        assert!(cache.read().is_none());
        cache.write(&session(TimeDelta::hours(1)));
        let found = cache.read().unwrap();
        assert_eq!(
            (found.token.expose().as_str(), found.endpoint.as_deref()),
            ("t", Some("https://zun/v1"))
        );
        assert!(Cache::below(&below, "bob in web").read().is_none());
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&cache.path), mode(&below)), (0o600, 0o700));
        cache.write(&session(TimeDelta::seconds(30)));
        assert!(cache.read().is_none());
        std::fs::write(&cache.path, "{").unwrap();
        assert!(cache.read().is_none());
        cache.clear();
        assert!(!cache.path.exists());
    }
}
