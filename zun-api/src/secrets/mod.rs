//! Encrypts secrets that the database keeps, with keys from a file. Access to the database or to a copy of it is
//! not enough to read them.
//!
//! AES-256-GCM with a random nonce. The record that the secret belongs to is authenticated with it, so a secret that is
//! copied to another row cannot be decrypted there.

mod file;

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use zun_common::secret::Secret;

pub use file::{KeyFileError, init, rotate};

/// Bytes of a key.
const KEY_LEN: usize = 32;
/// The first bytes of a hash that name a key.
const ID_LEN: usize = 8;

/// An encrypted secret, as the database keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// Names the key.
    pub(crate) key_id: String,
    /// Nonce and ciphertext, in base64.
    pub(crate) text: String,
}

/// A secret cannot be decrypted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnsealError {
    #[error("the key {0} is not in secrets.key_file: put it back, or store the secret again")]
    NoKey(String),
    #[error("the secret was not encrypted for this record, or its row was changed")]
    Forged,
}

/// The keys. The first one encrypts, all of them decrypt.
pub(crate) struct SecretKeys {
    first: Key,
    former: Vec<Key>,
}

struct Key {
    id: String,
    cipher: LessSafeKey,
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SecretKeys").field("first", &self.first.id).finish_non_exhaustive()
    }
}

impl Key {
    fn new(bytes: &Secret<[u8; KEY_LEN]>) -> Self {
        let digest = Sha256::new().chain_update("zun key id").chain_update(bytes.expose());
        let id = hex::encode(digest.finalize().get(..ID_LEN).unwrap_or_default());
        let unbound = UnboundKey::new(&AES_256_GCM, bytes.expose());
        Self { id, cipher: LessSafeKey::new(unbound.expect("the length is right")) }
    }
}

impl SecretKeys {
    /// Reads the file. Only its owner may read it.
    pub(crate) fn load(path: &Path) -> Result<Self, KeyFileError> {
        let mut keys = file::read(path)?.into_iter().map(|bytes| Key::new(&bytes));
        let first = keys.next().ok_or(KeyFileError::Empty)?;
        Ok(Self { first, former: keys.collect() })
    }

    /// The ID of the key that encrypts.
    pub(crate) fn newest(&self) -> &str {
        &self.first.id
    }

    /// Encrypts a secret for a record.
    pub(crate) fn seal(&self, secret: &Secret<String>, record: &str) -> Sealed {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).expect("the system has random numbers");
        let mut bytes = secret.expose().as_bytes().to_vec();
        let sealed = self.first.cipher.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(record.as_bytes()),
            &mut bytes,
        );
        sealed.expect("a secret is short");
        let text = STANDARD.encode([&nonce[..], &bytes].concat());
        Sealed { key_id: self.first.id.clone(), text }
    }

    /// Decrypts the secret of a record.
    pub(crate) fn unseal(
        &self,
        sealed: &Sealed,
        record: &str,
    ) -> Result<Secret<String>, UnsealError> {
        let mut keys = std::iter::once(&self.first).chain(&self.former);
        let key = keys.find(|key| key.id == sealed.key_id);
        let key = key.ok_or_else(|| UnsealError::NoKey(sealed.key_id.clone()))?;
        let bytes = STANDARD.decode(&sealed.text).map_err(|_not_base64| UnsealError::Forged)?;
        let (nonce, ciphertext) =
            bytes.split_first_chunk::<NONCE_LEN>().ok_or(UnsealError::Forged)?;
        let mut text = ciphertext.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.cipher.open_in_place(nonce, Aad::from(record.as_bytes()), &mut text);
        let plain = opened.map_err(|_forged| UnsealError::Forged)?.to_vec();
        String::from_utf8(plain).map(Secret::new).map_err(|_not_text| UnsealError::Forged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> SecretKeys {
        let mut all = bytes.iter().map(|byte| Key::new(&Secret::new([*byte; KEY_LEN])));
        SecretKeys { first: all.next().expect("a key"), former: all.collect() }
    }

    fn password() -> Secret<String> {
        Secret::new("hunter2".to_owned())
    }

    #[test]
    fn a_secret_is_decrypted_for_its_own_record_only() {
        let keys = keys(&[1]);
        let sealed = keys.seal(&password(), "registry:a");
        assert!(!sealed.text.contains("hunter2"));
        assert_eq!(keys.unseal(&sealed, "registry:a"), Ok(password()));
        assert_eq!(keys.unseal(&sealed, "registry:b"), Err(UnsealError::Forged));
        assert_ne!(keys.seal(&password(), "registry:a"), sealed, "each has its own nonce");
    }

    #[test]
    fn a_changed_secret_is_refused() {
        let keys = keys(&[1]);
        let good = keys.seal(&password(), "a");
        let mut bytes = STANDARD.decode(&good.text).expect("base64");
        for place in 0..bytes.len() {
            bytes[place] ^= 1;
            let changed = Sealed { text: STANDARD.encode(&bytes), ..good.clone() };
            assert_eq!(keys.unseal(&changed, "a"), Err(UnsealError::Forged), "byte {place}");
            bytes[place] ^= 1;
        }
        for text in ["", "!", "AAAA"] {
            let short = Sealed { text: text.to_owned(), ..good.clone() };
            assert_eq!(keys.unseal(&short, "a"), Err(UnsealError::Forged), "{text}");
        }
    }

    #[test]
    fn a_former_key_decrypts_until_it_is_taken_away() {
        let sealed = keys(&[1]).seal(&password(), "a");
        assert_eq!(keys(&[2, 1]).unseal(&sealed, "a"), Ok(password()));
        assert_ne!(keys(&[2, 1]).seal(&password(), "a").key_id, sealed.key_id);
        let gone = keys(&[2]).unseal(&sealed, "a").expect_err("the key is gone");
        assert!(gone.to_string().contains(&sealed.key_id), "{gone}");
    }
}
