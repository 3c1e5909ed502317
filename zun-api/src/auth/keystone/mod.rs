//! Validates tokens at Keystone (Identity API v3), and caches the answers.

mod cache;
mod client;
mod user_name;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{AuthError, Identity, Refusal};
use crate::private_file;
use crate::settings::KeystoneSettings;
use cache::Cache;
use client::Client;
pub(crate) use client::{Credentials, KeystoneError, SignedIn};
use tokio::sync::Semaphore;

/// Maximum number of users who sign in at the same time.
const SIGN_INS: usize = 8;

/// The owner of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A user in a project.
    User(Identity),
    /// The token is valid, but for the whole system or a domain, not for a project.
    NoProject,
}

/// Validates tokens.
pub(crate) struct Keystone {
    client: Client,
    cache: Cache,
    challenge: String,
    service_user: String,
    sign_ins: Semaphore,
    /// The names of the users who sign in at this moment.
    names: Mutex<BTreeSet<String>>,
}

impl Keystone {
    /// Checks the settings, and reads the password of the service user. Does not connect.
    pub(super) fn new(settings: &KeystoneSettings) -> Result<Self, AuthError> {
        let url = settings.url.clone().ok_or(AuthError::MissingKeystone("url"))?;
        let file = settings.password_file.as_ref();
        let file = file.ok_or(AuthError::MissingKeystone("password_file"))?;
        require_secure(&url, settings.insecure)?;
        let password = private_file::read(file)
            .map_err(|cause| AuthError::PasswordFile { path: file.clone(), cause })?;
        let public = settings.public_url.as_ref().unwrap_or(&url);
        let challenge = format!("Keystone uri=\"{public}\"");
        let client = Client::new(url, settings, password.trim_end_matches('\n'))?;
        let cache = Cache::new(Duration::from_secs(settings.cache));
        let service_user = settings.user.clone();
        let sign_ins = Semaphore::new(SIGN_INS);
        let names = Mutex::default();
        Ok(Self { client, cache, challenge, service_user, sign_ins, names })
    }

    /// The value of the header `WWW-Authenticate` for a request without a valid token.
    pub(super) fn challenge(&self) -> &str {
        &self.challenge
    }

    /// Exchanges a password for a token. There is one request at a time for each user, and none for the service user:
    /// Keystone may lock out users after wrong passwords, and then zun-api could validate no token.
    pub(super) async fn sign_in(&self, credentials: &Credentials) -> Result<SignedIn, Refusal> {
        if user_name::may_match(&credentials.user, &self.service_user) {
            return Err(Refusal::WrongCredentials);
        }
        let _permit = self.sign_ins.try_acquire().map_err(|_full| Refusal::TooManySignIns)?;
        let _turn = Turn::of(&self.names, &credentials.user).ok_or(Refusal::TooManySignIns)?;
        self.client.sign_in(credentials).await?.ok_or(Refusal::WrongCredentials)
    }

    /// Returns the owner of the token, or `None` if the token is not valid.
    pub(super) async fn identify(&self, token: &str) -> Result<Option<Owner>, KeystoneError> {
        self.cache.get(token, || self.client.validate(token)).await
    }
}

/// A user's turn to sign in. It ends when this is dropped.
struct Turn<'a> {
    names: &'a Mutex<BTreeSet<String>>,
    name: String,
}

impl<'a> Turn<'a> {
    /// Returns `None` while a user of this name signs in.
    fn of(names: &'a Mutex<BTreeSet<String>>, user: &str) -> Option<Self> {
        let name = user_name::folded(user);
        let is_first = names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        is_first.then_some(Self { names, name })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// Tokens and the password travel in each request to Keystone.
fn require_secure(url: &url::Url, insecure: bool) -> Result<(), AuthError> {
    let local = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => return Err(AuthError::KeystoneUrl(url.to_string())),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if local || insecure => Ok(()),
        "http" => Err(AuthError::PlainKeystone(url.to_string())),
        _ => Err(AuthError::KeystoneUrl(url.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_signs_in_once_at_a_time() {
        let names = Mutex::default();
        let first = Turn::of(&names, "ann");
        assert!(first.is_some());
        assert!(Turn::of(&names, " Ann ").is_none());
        assert!(Turn::of(&names, "bob").is_some());
        drop(first);
        assert!(Turn::of(&names, "ann").is_some());
        assert!(names.lock().unwrap().is_empty());
    }

    #[test]
    fn plain_http_to_another_machine_requires_the_setting_insecure() {
        let check = |url: &str, insecure| require_secure(&url.parse().unwrap(), insecure);
        assert!(check("https://keystone.example.org/v3", false).is_ok());
        assert!(check("http://127.0.0.1:5000/v3", false).is_ok());
        assert!(check("http://[::1]:5000/v3", false).is_ok());
        assert!(check("http://keystone.example.org:5000/v3", true).is_ok());
        let refusal = check("http://keystone.example.org:5000/v3", false).unwrap_err();
        assert!(matches!(refusal, AuthError::PlainKeystone(_)), "{refusal}");
        assert!(matches!(check("ftp://localhost/", true), Err(AuthError::KeystoneUrl(_))));
        assert!(matches!(check("mailto:ann", true), Err(AuthError::KeystoneUrl(_))));
    }
}
