//! Tokens in the user's cache directory, so that not every command logs in. A file has the token and a salted hash of the
//! credentials, so that other credentials of the same user do not get the token.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use chrono::{TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zun_common::atomic_file::{self, Attributes};
use zun_common::secret::Secret;

use super::Session;

/// A token that expires sooner than this is not used: it could expire on the way.
const MIN_LIFETIME: TimeDelta = TimeDelta::minutes(1);

/// The file of the token for one Keystone, user and project.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    path: PathBuf,
    /// The request for the token, with its secrets.
    credentials: Secret<Value>,
}

/// The content of a file.
#[derive(Deserialize)]
struct Stored {
    salt: String,
    /// The hash of the salt and the credentials, in hexadecimal digits.
    credentials: String,
    #[serde(flatten)]
    session: Session,
}

impl Cache {
    /// Returns the file for what `key` identifies and for these credentials; `None` if the user has no cache directory.
    pub(super) fn new(key: &str, credentials: Secret<Value>) -> Option<Self> {
        let directory = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let directory = directory.filter(|path| path.is_absolute()).or_else(|| {
            let home = std::env::var_os("HOME").map(PathBuf::from)?;
            home.is_absolute().then(|| home.join(".cache"))
        })?;
        Some(Self::below(&directory.join("zun/tokens"), key, credentials))
    }

    fn below(directory: &std::path::Path, key: &str, credentials: Secret<Value>) -> Self {
        let name = format!("{}.json", hex::encode(Sha256::digest(key.as_bytes())));
        Self { path: directory.join(name), credentials }
    }

    /// Returns the token, unless it is missing, unreadable, of other credentials or expires soon.
    pub(super) fn read(&self) -> Option<Session> {
        let text = std::fs::read(&self.path).ok()?;
        let Stored { salt, credentials, session } = serde_json::from_slice(&text).ok()?;
        let is_usable =
            credentials == self.hash(&salt) && session.expires_at > Utc::now() + MIN_LIFETIME;
        is_usable.then_some(session)
    }

    fn hash(&self, salt: &str) -> String {
        let text = format!("{salt} {}", self.credentials.expose());
        hex::encode(Sha256::digest(text.as_bytes()))
    }

    /// Stores the token. A cache that cannot be written costs a login per command, nothing else.
    pub(super) fn write(&self, session: &Session) {
        let Some(directory) = self.path.parent() else { return };
        if DirBuilder::new().recursive(true).mode(0o700).create(directory).is_ok() {
            let Session { token, expires_at, endpoint } = session;
            let salt = Uuid::new_v4().to_string();
            let text = json!({
                "credentials": self.hash(&salt),
                "salt": salt,
                "token": token.expose(),
                "expires_at": expires_at,
                "endpoint": endpoint,
            });
            let text = text.to_string();
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

    use super::*;

    fn session(lifetime: TimeDelta) -> Session {
        Session {
            token: Secret::new("t".to_owned()),
            expires_at: Utc::now() + lifetime,
            endpoint: Some("https://zun/v1".to_owned()),
        }
    }

    #[test]
    fn other_credentials_do_not_get_the_token_and_are_not_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let cache = |password: &str| {
            let credentials = Secret::new(json!({"user": "ann", "password": password}));
            Cache::below(directory.path(), "ann in web", credentials)
        };
        cache("hunter2").write(&session(TimeDelta::hours(1)));
        assert!(cache("hunter2").read().is_some());
        assert!(cache("hunter3").read().is_none());
        let file = || std::fs::read_to_string(&cache("").path).unwrap();
        let first = file();
        assert!(!first.contains("hunter2"), "{first}");
        cache("hunter2").write(&session(TimeDelta::hours(1)));
        let hash = |text: &str| serde_json::from_str::<Stored>(text).unwrap().credentials;
        assert_ne!(hash(&first), hash(&file()));
    }

    #[test]
    fn a_token_is_found_again_until_it_expires_and_only_its_owner_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("zun/tokens");
        let of = |key| Cache::below(&below, key, Secret::new(Value::Null));
        let cache = of("ann in web");
        assert!(cache.read().is_none());
        cache.write(&session(TimeDelta::hours(1)));
        let found = cache.read().unwrap();
        assert_eq!(
            (found.token.expose().as_str(), found.endpoint.as_deref()),
            ("t", Some("https://zun/v1"))
        );
        assert!(of("bob in web").read().is_none());
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
