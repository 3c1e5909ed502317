//! Where the service is and who we are, from flags and the environment. The token comes from the
//! environment alone: a command line can be read by everybody on the machine.

use zun_common::secret::Secret;

use crate::console::Proxies;

/// How requests say who they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum AuthType {
    /// With the token of `OS_TOKEN`.
    AdminToken,
    /// Not at all.
    None,
}

/// What a client needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The service's address, such as `http://127.0.0.1:9517/v1`.
    pub endpoint: String,
    /// The token, where one is used.
    pub token: Option<Secret<String>>,
    /// A file with the authorities to trust for the service, in PEM, where not the system's.
    pub ca_file: Option<std::path::PathBuf>,
    /// The proxies on the way to consoles.
    pub proxies: Proxies,
    /// Each request is told on stderr.
    pub debug: bool,
}

/// Settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSettings {
    /// No address.
    #[error(
        "no address of the service: set OS_ENDPOINT, such as http://127.0.0.1:9517/v1, or give --os-endpoint"
    )]
    NoEndpoint,
    /// No token.
    #[error("no token: set OS_TOKEN, or OS_AUTH_TYPE=none where the service asks for none")]
    NoToken,
    /// A token that no header can carry.
    #[error("OS_TOKEN holds characters that a token cannot have")]
    BadToken,
}

/// Reads what is not a flag, and checks that it is enough.
pub fn settings(
    endpoint: Option<&str>,
    auth: Option<AuthType>,
    debug: bool,
) -> Result<Settings, BadSettings> {
    let endpoint =
        endpoint.filter(|endpoint| !endpoint.is_empty()).ok_or(BadSettings::NoEndpoint)?;
    let token = std::env::var_os("OS_TOKEN").filter(|token| !token.is_empty());
    let token = match (auth, token) {
        (Some(AuthType::None), _) | (None, None) => None,
        (Some(AuthType::AdminToken), None) => return Err(BadSettings::NoToken),
        (Some(AuthType::AdminToken) | None, Some(token)) => {
            let token = token.into_string().map_err(|_not_text| BadSettings::BadToken)?;
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(BadSettings::BadToken);
            }
            Some(Secret::new(token))
        }
    };
    let ca_file = std::env::var_os("OS_CACERT").filter(|path| !path.is_empty());
    Ok(Settings {
        endpoint: endpoint.to_owned(),
        token,
        ca_file: ca_file.map(Into::into),
        proxies: Proxies::of_environment(),
        debug,
    })
}
