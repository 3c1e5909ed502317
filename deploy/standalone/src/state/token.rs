//! The admin token. It is random at each start, because access to the API is equivalent to root on the machine.

use rand::Rng;
use sha2::{Digest, Sha256};
use zun_common::secret::Secret;

use super::{State, StateError};

/// The admin bearer token. The state directory has only its hash; the environment file has the token itself.
#[derive(Debug)]
pub struct Token(Secret<String>);

impl Token {
    /// Creates a token of 32 random bytes.
    pub fn fresh() -> Self {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        Self(Secret::new(hex::encode(bytes)))
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Writes the token's hash to the file that zun-api reads. Earlier tokens become invalid.
    pub fn write_hash(&self, state: &State) -> Result<(), StateError> {
        super::environment::write(&state.tokens(), &self.file())
    }

    fn file(&self) -> String {
        let hash = hex::encode(Sha256::digest(self.expose()));
        format!(
            "[[token]]\nsha256 = \"{hash}\"\nuser = \"admin\"\nproject = \"admin\"\nroles = [\"admin\"]\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_the_file_does_not_contain_them() {
        let token = Token::fresh();
        assert_ne!(token.expose(), Token::fresh().expose());
        assert_eq!(token.expose().len(), 64);
        assert!(!token.file().contains(token.expose()));
    }
}
