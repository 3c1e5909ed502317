//! Identifies callers with the strategy from the settings.

mod keystone;
mod policy;
mod site;
mod token;

use std::path::PathBuf;

use zun_common::id::{ProjectId, UserId};

pub(crate) use keystone::{Credentials, Keystone, KeystoneError, Owner, SignedIn};
pub(crate) use policy::Permission;
pub use policy::Policy;
#[cfg(test)]
pub(crate) use policy::VERBS;
pub(crate) use site::Site;
pub(crate) use token::TokenFile;

use crate::private_file::PrivateFileError;
use crate::settings::{HttpSettings, Settings, Strategy};

/// An authenticated user in a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: UserId,
    pub(crate) project: ProjectId,
    pub(crate) roles: Vec<String>,
}

impl Identity {
    /// Whether the user may only list and show containers: the role `reader`, and none of OpenStack's roles that imply
    /// it.
    fn only_reads(&self) -> bool {
        let has = |wanted: &str| self.roles.iter().any(|role| role == wanted);
        has("reader") && !["member", "manager", "admin"].into_iter().any(has)
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
        path: PathBuf,
        /// The cause.
        #[source]
        cause: token::TokenFileError,
    },
    /// The file of rules cannot be used.
    #[error("cannot use the policy file `{path}`")]
    PolicyFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: policy::PolicyError,
    },
    /// A setting of the strategy `keystone` is missing.
    #[error("auth.keystone.{0} is missing: auth.strategy `keystone` needs it")]
    MissingKeystone(&'static str),
    /// The URL of Keystone cannot be used.
    #[error(
        "auth.keystone.url must be an http or https URL, such as https://keystone.example.org/v3, not `{0}`"
    )]
    KeystoneUrl(String),
    /// Tokens would travel in plain text.
    #[error(
        "auth.keystone.url `{0}` is plain HTTP to another machine, so anyone on the path can read tokens; use https, or set auth.keystone.insecure = true"
    )]
    PlainKeystone(String),
    /// The password of the service user cannot be used.
    #[error("cannot use the password file `{path}`")]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: PrivateFileError,
    },
    /// The CA of Keystone's certificate cannot be read.
    #[error("cannot read auth.keystone.ca_file `{path}`")]
    KeystoneCa {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// The HTTP client cannot be set up.
    #[error("cannot set up the client of Keystone; check auth.keystone.ca_file")]
    KeystoneClient(#[source] reqwest::Error),
}

/// Why a request has no identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is no token, or it is not valid.
    #[error("there is no valid token")]
    NoValidToken,
    /// The token is valid, but not for a project.
    #[error("the token is not for a project")]
    NoProject,
    /// The token could not be validated.
    #[error("the token could not be validated")]
    Unknown(#[from] KeystoneError),
    /// Keystone does not accept the user, the password or the project.
    #[error("the user, the password or the project is wrong")]
    WrongCredentials,
    /// Too many users sign in at this moment.
    #[error("too many users are signing in")]
    TooManySignIns,
    /// The strategy has no passwords.
    #[error("this auth.strategy does not use passwords")]
    NoPasswords,
    /// The strategy has no tokens, and the request may be from a page of another site.
    #[error("the header `{header}` names another site")]
    ForeignSite {
        /// The header.
        header: &'static str,
        /// Its value.
        value: String,
    },
}

/// The authentication strategy.
pub(crate) enum Authenticator {
    /// By a token of a file.
    Token(TokenFile),
    /// By a token of Keystone.
    Keystone(Box<Keystone>),
    /// Every caller has this identity.
    Anonymous(Anonymous),
}

/// The identity of every caller.
pub(crate) struct Anonymous {
    identity: Identity,
    /// The setting `http.public_endpoint`.
    public: Option<String>,
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
            Strategy::Keystone => {
                Keystone::new(&settings.auth.keystone).map(Box::new).map(Self::Keystone)
            }
            Strategy::None => anonymous_admin(&settings.http).map(Self::Anonymous),
        }
    }

    /// Returns the identity of the token's owner.
    pub(crate) async fn identify(
        &self,
        token: Option<&str>,
        site: Site<'_>,
    ) -> Result<Identity, Refusal> {
        match self {
            Self::Anonymous(Anonymous { identity, public }) => {
                site.require_own(public.as_deref())?;
                Ok(identity.clone())
            }
            Self::Token(file) => {
                token.and_then(|token| file.identify(token)).ok_or(Refusal::NoValidToken)
            }
            Self::Keystone(keystone) => {
                match keystone.identify(token.ok_or(Refusal::NoValidToken)?).await? {
                    Some(Owner::User(identity)) => Ok(identity),
                    Some(Owner::NoProject) => Err(Refusal::NoProject),
                    None => Err(Refusal::NoValidToken),
                }
            }
        }
    }

    /// Exchanges a password for a token.
    pub(crate) async fn sign_in(&self, credentials: &Credentials) -> Result<SignedIn, Refusal> {
        match self {
            Self::Keystone(keystone) => keystone.sign_in(credentials).await,
            Self::Token(_) | Self::Anonymous(_) => Err(Refusal::NoPasswords),
        }
    }

    /// The value of the header `WWW-Authenticate` for a request without a valid token.
    pub(crate) fn challenge(&self) -> &str {
        match self {
            Self::Keystone(keystone) => keystone.challenge(),
            Self::Token(_) | Self::Anonymous(_) => "Bearer realm=\"zun\"",
        }
    }
}

fn anonymous_admin(settings: &HttpSettings) -> Result<Anonymous, AuthError> {
    if !settings.listen.ip().is_loopback() {
        return Err(AuthError::NotLoopback(settings.listen));
    }
    let identity = Identity {
        user: "admin".parse().expect("a valid user"),
        project: "admin".parse().expect("a valid project"),
        roles: vec!["admin".to_owned()],
    };
    Ok(Anonymous { identity, public: settings.public_endpoint.clone() })
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
