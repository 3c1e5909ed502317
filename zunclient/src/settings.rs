//! The address of the API and the caller's credentials, from flags, the environment and `clouds.yaml`. Secrets never come
//! from flags, because every user of the machine can read command lines.

use std::path::PathBuf;
use std::sync::Arc;

use zun_common::secret::Secret;

use crate::api::TlsFiles;
use crate::auth::{Auth, CloudError, Login, LoginError, Method, Values};
use crate::console::Proxies;

/// How requests are authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum AuthType {
    /// With the token in `OS_TOKEN`.
    AdminToken,
    /// Without a token.
    None,
    /// With a user name and a password for Keystone.
    #[value(alias = "v3password")]
    Password,
    /// With the token of Keystone in `OS_TOKEN`.
    #[value(alias = "v3token")]
    Token,
    /// With an application credential of Keystone.
    #[value(name = "v3applicationcredential")]
    ApplicationCredential,
}

/// What the command line says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flags<'a> {
    /// The address of the API.
    pub endpoint: Option<&'a str>,
    /// How requests are authenticated.
    pub auth: Option<AuthType>,
    /// A cloud of `clouds.yaml`.
    pub cloud: Option<&'a str>,
    /// Whether each request is printed.
    pub debug: bool,
}

/// The settings of a client.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address of the API, such as `http://127.0.0.1:9517/v1`.
    pub endpoint: String,
    /// How requests are authenticated.
    pub auth: Auth,
    /// The files for TLS to the API and to Keystone.
    pub tls: TlsFiles,
    /// The proxies for connections to hosts.
    pub proxies: Proxies,
    /// Whether each request is printed to stderr.
    pub debug: bool,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
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
    /// `clouds.yaml` has an unknown type of authentication.
    #[error(
        "cannot use auth_type `{0}` of the cloud: it must be password, token, v3applicationcredential, admin_token or none"
    )]
    BadAuthType(String),
    /// The cloud cannot be read.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// Keystone gave no token.
    #[error(transparent)]
    Login(#[from] LoginError),
}

/// Reads the environment or the cloud, combines it with the flags, and checks that nothing is missing. Asks Keystone for
/// the address of the API if it is not set.
pub async fn settings(flags: Flags<'_>) -> Result<Settings, BadSettings> {
    let environment = Values::from_environment();
    let values = match flags.cloud.filter(|cloud| !cloud.is_empty()) {
        Some(cloud) => Values::of_cloud(cloud, &environment)?,
        None => environment,
    };
    let file = |name: &str| values.get(name).map(PathBuf::from);
    let tls = TlsFiles { ca: file("cacert"), certificate: file("cert"), key: file("key") };
    let auth = match auth_type(flags, &values)? {
        AuthType::None => Auth::None,
        AuthType::AdminToken => Auth::Token(token(&values)?),
        keystone @ (AuthType::Password | AuthType::Token | AuthType::ApplicationCredential) => {
            let login = Login::new(method(keystone), &values, &tls)?;
            Auth::Keystone(Arc::new(login))
        }
    };
    let given = flags.endpoint.filter(|endpoint| !endpoint.is_empty());
    let given = given.or_else(|| values.get("container_endpoint_override"));
    let endpoint = match (given.or_else(|| values.get("endpoint")), &auth) {
        (Some(endpoint), _) => endpoint.to_owned(),
        (None, Auth::Keystone(login)) => {
            let session = Box::pin(login.session()).await?;
            session.endpoint.ok_or_else(|| login.no_endpoint())?
        }
        (None, Auth::None | Auth::Token(_)) => return Err(BadSettings::NoEndpoint),
    };
    let proxies = Proxies::from_environment();
    Ok(Settings { endpoint, auth, tls, proxies, debug: flags.debug })
}

/// Returns the type of authentication. If none is given, it follows from the values: like OpenStack's clients, zun uses
/// `password` if there is an address of Keystone.
fn auth_type(flags: Flags<'_>, values: &Values) -> Result<AuthType, BadSettings> {
    if let Some(given) = flags.auth.filter(|_| flags.cloud.is_none()) {
        return Ok(given);
    }
    if let Some(text) = values.get("auth_type") {
        return <AuthType as clap::ValueEnum>::from_str(text, true)
            .map_err(|_unknown| BadSettings::BadAuthType(text.to_owned()));
    }
    let has = |name| values.get(name).is_some();
    Ok(match (has("auth_url"), has("token")) {
        (true, _) if has("application_credential_secret") => AuthType::ApplicationCredential,
        (true, true) if !has("password") => AuthType::Token,
        (true, _) => AuthType::Password,
        (false, true) => AuthType::AdminToken,
        (false, false) => AuthType::None,
    })
}

const fn method(auth: AuthType) -> Method {
    match auth {
        AuthType::Token => Method::Token,
        AuthType::ApplicationCredential => Method::ApplicationCredential,
        AuthType::Password | AuthType::AdminToken | AuthType::None => Method::Password,
    }
}

fn token(values: &Values) -> Result<Secret<String>, BadSettings> {
    let token = values.get("token").ok_or(BadSettings::NoToken)?;
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(BadSettings::BadToken);
    }
    Ok(Secret::new(token.to_owned()))
}
