//! The admin token: random at each start, since whoever can call the API is root on the machine.

use rand::Rng;
use sha2::{Digest, Sha256};
use zun_common::secret::Secret;

use super::{State, StateError};
use crate::hex::hex;

/// A bearer token. Only its hash is stored.
#[derive(Debug)]
pub struct Token(Secret<String>);

impl Token {
    /// 32 random bytes.
    pub fn fresh() -> Self {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        Self(Secret::new(hex(&bytes)))
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Writes the file by which zun-api knows it; earlier tokens are good no more.
    pub fn write_hash(&self, state: &State) -> Result<(), StateError> {
        super::environment::write(&state.tokens(), &self.file())
    }

    fn file(&self) -> String {
        let hash = hex(&Sha256::digest(self.expose()));
        format!(
            "[[token]]\nsha256 = \"{hash}\"\nuser = \"admin\"\nproject = \"admin\"\nroles = [\"admin\"]\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tokens_differ_and_their_file_does_not_tell_them() {
        let token = Token::fresh();
        assert_ne!(token.expose(), Token::fresh().expose());
        assert_eq!(token.expose().len(), 64);
        assert!(!token.file().contains(token.expose()));
    }
}
