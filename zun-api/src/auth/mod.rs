//! Who is calling: one strategy is chosen at the start.

mod token;

use zun_common::id::{ProjectId, UserId};

pub(crate) use token::TokenFile;

use crate::settings::{HttpSettings, Settings, Strategy};

/// Who calls, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: UserId,
    pub(crate) project: ProjectId,
    pub(crate) roles: Vec<String>,
}

impl Identity {
    /// Whether this is an administrator.
    pub(crate) fn is_admin(&self) -> bool {
        self.roles.iter().any(|role| role == "admin")
    }
}

/// Settings that let nobody in, or everybody.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The strategy `token` without a file.
    #[error("auth.token_file is missing: the strategy `token` needs it")]
    MissingTokenFile,
    /// The strategy `none` on an address that others can reach.
    #[error(
        "auth.strategy `none` lets everybody in, so http.listen must be a loopback address, not {0}"
    )]
    NotLoopback(std::net::SocketAddr),
    /// The token file cannot be used.
    #[error("the token file {path} cannot be used")]
    TokenFile {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        cause: token::TokenFileError,
    },
}

/// The chosen strategy.
pub(crate) enum Authenticator {
    /// By bearer token.
    Token(TokenFile),
    /// Everybody is this one.
    Anonymous(Identity),
}

impl Authenticator {
    /// Sets up the strategy, or says why it cannot be.
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

    /// Who presents this token, if anybody does.
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
    fn nobody_in_particular_is_let_in_from_the_loopback_alone() {
        let mut settings = Settings::default();
        settings.auth.strategy = Strategy::None;
        assert!(Authenticator::new(&settings).is_ok());
        settings.http.listen = "0.0.0.0:9517".parse().unwrap();
        assert!(matches!(Authenticator::new(&settings), Err(AuthError::NotLoopback(_))));
    }

    #[test]
    fn the_default_is_token_and_asks_for_its_file() {
        assert!(matches!(
            Authenticator::new(&Settings::default()),
            Err(AuthError::MissingTokenFile)
        ));
    }
}
