//! Identifies callers with the strategy from the settings.

mod token;

use zun_common::id::{ProjectId, UserId};

pub(crate) use token::TokenFile;

use crate::settings::{HttpSettings, Settings, Strategy};

/// An authenticated user in a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: UserId,
    pub(crate) project: ProjectId,
    pub(crate) roles: Vec<String>,
}

impl Identity {
    /// Whether the user is an administrator.
    pub(crate) fn is_admin(&self) -> bool {
        self.roles.iter().any(|role| role == "admin")
    }
}

/// Authentication settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The strategy `token` has no token file.
    #[error("auth.token_file is missing: auth.strategy `token` needs a file of hashed tokens")]
    MissingTokenFile,
    /// The strategy `none` with an address that others can reach.
    #[error(
        "auth.strategy `none` accepts every caller, so http.listen must be a loopback address, not {0}"
    )]
    NotLoopback(std::net::SocketAddr),
    /// The token file cannot be used.
    #[error("cannot use the token file `{path}`")]
    TokenFile {
        /// The file.
        path: std::path::PathBuf,
        /// The cause.
        #[source]
        cause: token::TokenFileError,
    },
}

/// The authentication strategy.
pub(crate) enum Authenticator {
    /// By bearer token.
    Token(TokenFile),
    /// Every caller has this identity.
    Anonymous(Identity),
}

impl Authenticator {
    /// Creates the strategy from the settings.
    pub(crate) fn new(settings: &Settings) -> Result<Self, AuthError> {
        match settings.auth.strategy {
            Strategy::Token => {
                let path = settings.auth.token_file.as_ref().ok_or(AuthError::MissingTokenFile)?;
                TokenFile::read(path)
                    .map(Self::Token)
                    .map_err(|cause| AuthError::TokenFile { path: path.clone(), cause })
            }
            Strategy::None => anonymous_admin(&settings.http).map(Self::Anonymous),
        }
    }

    /// Returns the identity of the token's owner, if the token is valid.
    pub(crate) fn identify(&self, token: Option<&str>) -> Option<Identity> {
        match self {
            Self::Token(file) => file.identify(token?),
            Self::Anonymous(identity) => Some(identity.clone()),
        }
    }
}

fn anonymous_admin(settings: &HttpSettings) -> Result<Identity, AuthError> {
    if !settings.listen.ip().is_loopback() {
        return Err(AuthError::NotLoopback(settings.listen));
    }
    Ok(Identity {
        user: "admin".parse().expect("a valid user"),
        project: "admin".parse().expect("a valid project"),
        roles: vec!["admin".to_owned()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategy_none_requires_a_loopback_address() {
        let mut settings = Settings::default();
        settings.auth.strategy = Strategy::None;
        assert!(Authenticator::new(&settings).is_ok());
        settings.http.listen = "0.0.0.0:9517".parse().unwrap();
        assert!(matches!(Authenticator::new(&settings), Err(AuthError::NotLoopback(_))));
    }

    #[test]
    fn the_default_strategy_is_token_and_requires_a_file() {
        assert!(matches!(
            Authenticator::new(&Settings::default()),
            Err(AuthError::MissingTokenFile)
        ));
    }
}
