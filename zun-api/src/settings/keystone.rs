//! Settings of the strategy `keystone`.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use url::Url;

/// Maximum lifetime of a cached answer, in seconds: a revoked token may work for this much longer.
const LONGEST_CACHE: u64 = 60;

/// Where Keystone is, and the service user that validates tokens.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeystoneSettings {
    /// The Identity API, such as `https://keystone.example.org/v3`.
    pub url: Option<Url>,
    /// The address that clients are referred to (`WWW-Authenticate`). Default: `url`.
    pub public_url: Option<Url>,
    /// The name of the service user. It needs a role that may validate tokens: `service` or `admin`.
    pub user: String,
    /// The domain of the service user.
    pub user_domain: String,
    /// The project of the service user.
    pub project: String,
    /// The domain of that project.
    pub project_domain: String,
    /// File with the password of the service user, mode 0600.
    pub password_file: Option<PathBuf>,
    /// The CA of Keystone's certificate, in PEM. Default: the CAs of the system.
    pub ca_file: Option<PathBuf>,
    /// Permits plain HTTP to another machine.
    pub insecure: bool,
    /// Seconds within which Keystone must answer a request.
    pub timeout: u64,
    /// Seconds for which an answer is used again, at most 60.
    #[serde(deserialize_with = "cache")]
    pub cache: u64,
}

impl Default for KeystoneSettings {
    fn default() -> Self {
        Self {
            url: None,
            public_url: None,
            user: "zun".to_owned(),
            user_domain: "Default".to_owned(),
            project: "service".to_owned(),
            project_domain: "Default".to_owned(),
            password_file: None,
            ca_file: None,
            insecure: false,
            timeout: 5,
            cache: LONGEST_CACHE,
        }
    }
}

fn cache<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
    let seconds = u64::deserialize(input)?;
    if seconds <= LONGEST_CACHE {
        return Ok(seconds);
    }
    Err(serde::de::Error::custom("it must be 0 to 60 seconds"))
}
