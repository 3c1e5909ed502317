//! The address of the API and the caller's token, from flags and the environment. The token comes from the
//! environment only, because every user of the machine can read command lines.

use zun_common::secret::Secret;

use crate::console::Proxies;

/// How requests are authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum AuthType {
    /// With the token in `OS_TOKEN`.
    AdminToken,
    /// Without a token.
    None,
}

/// The settings of a client.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address of the API, such as `http://127.0.0.1:9517/v1`.
    pub endpoint: String,
    /// The token, if one is used.
    pub token: Option<Secret<String>>,
    /// A PEM file of the CA certificates to trust for the API; `None` means those of the system.
    pub ca_file: Option<std::path::PathBuf>,
    /// The proxies for connections to hosts.
    pub proxies: Proxies,
    /// Whether each request is printed to stderr.
    pub debug: bool,
}

/// Why the settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSettings {
    /// There is no address.
    #[error(
        "cannot find the API: set OS_ENDPOINT, such as http://127.0.0.1:9517/v1, or use --os-endpoint"
    )]
    NoEndpoint,
    /// There is no token.
    #[error(
        "cannot authenticate: OS_TOKEN is not set; source the file that sets it (target/zun.env or /etc/zun/admin.env), or set OS_AUTH_TYPE=none if the service needs no token"
    )]
    NoToken,
    /// The token cannot be sent in a header.
    #[error("cannot use OS_TOKEN: it contains characters that a token cannot have; set it again")]
    BadToken,
}

/// Reads the environment, combines it with the flags, and checks that nothing is missing.
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
        proxies: Proxies::from_environment(),
        debug,
    })
}
