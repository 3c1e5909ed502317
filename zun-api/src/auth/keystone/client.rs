//! Requests to Keystone: the token of the service user, and the validation of callers' tokens.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::HeaderValue;
use reqwest::{Certificate, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::Url;
use zun_common::secret::Secret;

use super::Owner;
use super::cache::Answer;
use crate::auth::{AuthError, Identity};
use crate::settings::KeystoneSettings;

const AUTH_TOKEN: &str = "x-auth-token";
const SUBJECT_TOKEN: &str = "x-subject-token";
/// The service token is renewed when it expires sooner than this.
const RENEWAL: TimeDelta = TimeDelta::minutes(1);
/// Maximum size of an answer, in bytes. A token without a catalog needs a few hundred.
const LARGEST: usize = 256 << 10;

/// Why a token could not be validated. None of these errors is the token's fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeystoneError {
    /// Keystone cannot be reached, or does not answer in time.
    #[error("cannot reach Keystone")]
    Unreachable(#[source] reqwest::Error),
    /// Keystone does not accept the service user's name, password, project or domain.
    #[error("Keystone rejects the service user; check [auth.keystone] and the password file")]
    ServiceUser,
    /// The service user may not validate tokens.
    #[error("Keystone does not let the service user validate tokens; give it the role `service`")]
    ServiceRole,
    /// Another status.
    #[error("Keystone answered with status {0}")]
    Status(u16),
    /// The answer is not one of Identity API v3.
    #[error("Keystone's answer is not valid")]
    Malformed(#[source] serde_json::Error),
    /// The answer is too long.
    #[error("Keystone's answer is longer than {LARGEST} bytes")]
    TooLarge,
    /// The answer has no token.
    #[error("Keystone's answer has no valid header X-Subject-Token")]
    NoToken,
}

/// A client of Keystone.
pub(super) struct Client {
    http: reqwest::Client,
    tokens: Url,
    login: Secret<Value>,
    service_token: Mutex<Option<ServiceToken>>,
}

#[derive(Clone)]
struct ServiceToken {
    value: HeaderValue,
    expires_at: DateTime<Utc>,
}

/// A user, a password, and the project to sign in to.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) user_domain: String,
    pub(crate) password: Secret<String>,
    pub(crate) project: String,
    pub(crate) project_domain: String,
}

/// What a user gets for a password.
#[derive(Debug)]
pub(crate) struct SignedIn {
    pub(crate) token: Secret<String>,
    pub(crate) expires_at: DateTime<Utc>,
}

impl Client {
    /// Creates a client. Connects to nothing yet.
    pub(super) fn new(
        mut url: Url,
        settings: &KeystoneSettings,
        password: &str,
    ) -> Result<Self, AuthError> {
        let invalid = url.to_string();
        url.path_segments_mut()
            .map_err(|()| AuthError::KeystoneUrl(invalid))?
            .pop_if_empty()
            .extend(["auth", "tokens"]);
        // Another provider is installed only if the program that embeds this library set it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let timeout = Duration::from_secs(settings.timeout.max(1));
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("zun-api/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .connect_timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if url.scheme() == "http" {
            // Loading the system's certificates fails on a machine that has none.
            builder = builder.tls_certs_only([]);
        } else if let Some(path) = &settings.ca_file {
            builder = builder.tls_certs_only(certificates(path)?);
        }
        let http = builder.build().map_err(AuthError::KeystoneClient)?;
        let login = Secret::new(login(settings, password));
        Ok(Self { http, tokens: url, login, service_token: Mutex::new(None) })
    }

    /// Asks Keystone about a token.
    pub(super) async fn validate(&self, token: &str) -> Result<Answer, KeystoneError> {
        let Ok(subject) = sensitive(token) else { return Ok(Answer::Invalid) };
        let service = self.service_token(None).await?;
        let response = self.ask(&subject, &service).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return answer(response).await;
        }
        // The service token was revoked.
        let service = self.service_token(Some(&service)).await?;
        answer(self.ask(&subject, &service).await?).await
    }

    async fn ask(
        &self,
        subject: &HeaderValue,
        service: &HeaderValue,
    ) -> Result<Response, KeystoneError> {
        let request = self.http.get(self.tokens.clone()).query(&[("nocatalog", "")]);
        let request = request.header(AUTH_TOKEN, service).header(SUBJECT_TOKEN, subject);
        request.send().await.map_err(unreachable)
    }

    /// Returns the service token, and requests a new one if there is none, it expires soon, or it is the rejected one.
    /// Concurrent callers request one.
    async fn service_token(
        &self,
        rejected: Option<&HeaderValue>,
    ) -> Result<HeaderValue, KeystoneError> {
        let mut current = self.service_token.lock().await;
        if let Some(token) = current.as_ref()
            && Some(&token.value) != rejected
            && token.expires_at > Utc::now() + RENEWAL
        {
            return Ok(token.value.clone());
        }
        let token = self.log_in().await?;
        Ok(current.insert(token).value.clone())
    }

    async fn log_in(&self) -> Result<ServiceToken, KeystoneError> {
        self.request_token(self.login.expose()).await?.ok_or(KeystoneError::ServiceUser)
    }

    /// Exchanges a user's password for a token. `None` if Keystone does not accept it.
    pub(super) async fn sign_in(
        &self,
        credentials: &Credentials,
    ) -> Result<Option<SignedIn>, KeystoneError> {
        let Credentials { user, user_domain, password, project, project_domain } = credentials;
        let login =
            password_login((user, user_domain), password.expose(), (project, project_domain));
        let Some(ServiceToken { value, expires_at }) = self.request_token(&login).await? else {
            return Ok(None);
        };
        let token = value.to_str().map_err(|_not_text| KeystoneError::NoToken)?.to_owned();
        Ok(Some(SignedIn { token: Secret::new(token), expires_at }))
    }

    /// Requests a token. `None` if Keystone does not accept the password.
    async fn request_token(&self, login: &Value) -> Result<Option<ServiceToken>, KeystoneError> {
        let request = self.http.post(self.tokens.clone()).query(&[("nocatalog", "")]);
        let response = request.json(login).send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::CREATED => {}
            StatusCode::UNAUTHORIZED => return Ok(None),
            other => return Err(KeystoneError::Status(other.as_u16())),
        }
        let mut value =
            response.headers().get(SUBJECT_TOKEN).cloned().ok_or(KeystoneError::NoToken)?;
        value.set_sensitive(true);
        Ok(Some(ServiceToken { value, expires_at: document(response).await?.expires_at }))
    }
}

fn sensitive(token: &str) -> Result<HeaderValue, reqwest::header::InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(token)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The URL is in the settings, and an error is logged.
fn unreachable(cause: reqwest::Error) -> KeystoneError {
    KeystoneError::Unreachable(cause.without_url())
}

fn login(settings: &KeystoneSettings, password: &str) -> Value {
    let user = (settings.user.as_str(), settings.user_domain.as_str());
    password_login(user, password, (&settings.project, &settings.project_domain))
}

/// A request for a token. The user and the project have a name and a domain each.
fn password_login(user: (&str, &str), password: &str, project: (&str, &str)) -> Value {
    json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": user.0,
            "domain": {"name": user.1},
            "password": password,
        }}},
        "scope": {"project": {"name": project.0, "domain": {"name": project.1}}},
    }})
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, AuthError> {
    let unreadable = |cause| AuthError::KeystoneCa { path: path.to_owned(), cause };
    let pem = std::fs::read(path).map_err(unreadable)?;
    Certificate::from_pem_bundle(&pem).map_err(AuthError::KeystoneClient)
}

async fn answer(response: Response) -> Result<Answer, KeystoneError> {
    match response.status() {
        StatusCode::OK => document(response).await.map(Answer::from),
        StatusCode::NOT_FOUND => Ok(Answer::Invalid),
        StatusCode::UNAUTHORIZED => Err(KeystoneError::ServiceUser),
        StatusCode::FORBIDDEN => Err(KeystoneError::ServiceRole),
        other => Err(KeystoneError::Status(other.as_u16())),
    }
}

async fn document(mut response: Response) -> Result<TokenDocument, KeystoneError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > LARGEST {
            return Err(KeystoneError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    let body: Body = serde_json::from_slice(&body).map_err(KeystoneError::Malformed)?;
    Ok(body.token)
}

/// What zun-api reads of a token.
#[derive(Debug, Deserialize)]
struct Body {
    token: TokenDocument,
}

#[derive(Debug, Deserialize)]
struct TokenDocument {
    expires_at: DateTime<Utc>,
    user: Named,
    project: Option<Named>,
    #[serde(default)]
    roles: Vec<Role>,
}

#[derive(Debug, Deserialize)]
struct Named {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Role {
    name: String,
}

impl From<TokenDocument> for Answer {
    fn from(document: TokenDocument) -> Self {
        let TokenDocument { expires_at, user, project, roles } = document;
        let Some(project) = project else {
            return Self::Valid { owner: Owner::NoProject, expires_at };
        };
        // IDs of Keystone are always valid here. An invalid one cannot own anything.
        let (Ok(user), Ok(project)) = (user.id.parse(), project.id.parse()) else {
            return Self::Invalid;
        };
        let roles = roles.into_iter().map(|role| role.name).collect();
        Self::Valid { owner: Owner::User(Identity { user, project, roles }), expires_at }
    }
}
