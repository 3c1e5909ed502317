//! Logs in to Keystone, and finds the service in its catalog.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use zun_common::secret::Secret;

use super::cache::Cache;
use super::credentials::Method;
use super::{Credentials, LoginError, Values};
use crate::api::TlsFiles;

const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A token of Keystone, and where the service is.
#[derive(Debug, Clone, Deserialize)]
pub struct Session {
    /// The token.
    pub token: Secret<String>,
    /// When the token expires.
    pub expires_at: DateTime<Utc>,
    /// The address of the service in the catalog, if it is there.
    pub endpoint: Option<String>,
}

/// Gets tokens of Keystone.
#[derive(Debug)]
pub struct Login {
    http: reqwest::Client,
    tokens: Url,
    credentials: Credentials,
    interface: String,
    region: Option<String>,
    cache: Option<Cache>,
    current: Mutex<Option<Session>>,
}

impl Login {
    /// Creates it from the values of a cloud. Connects to nothing yet.
    pub(crate) fn new(
        method: Method,
        values: &Values,
        files: &TlsFiles,
    ) -> Result<Self, LoginError> {
        let url = values.get("auth_url").ok_or(LoginError::Missing("OS_AUTH_URL"))?;
        let tokens = tokens_url(url)?;
        let credentials = Credentials::read(method, values)?;
        let interface = values.get("interface").or(values.get("endpoint_type")).unwrap_or("public");
        // Older variables have `publicURL`.
        let interface = interface.trim_end_matches("URL").to_owned();
        let region = values.get("region_name").map(str::to_owned);
        let key = format!("{tokens} {interface} {region:?} {}", credentials.identity);
        // An exchanged token has no identity of its own.
        let body = || credentials.body.clone();
        let cache = (method != Method::Token).then(|| Cache::new(&key, body())).flatten();
        let http = crate::api::http_client(&tokens, files)?
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(LoginError::Setup)?;
        let current = Mutex::new(None);
        Ok(Self { http, tokens, credentials, interface, region, cache, current })
    }

    /// Returns a token: that of the last call, the cached one, or a new one.
    pub async fn session(&self) -> Result<Session, LoginError> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.as_ref() {
            return Ok(session.clone());
        }
        let session = match self.cache.as_ref().and_then(Cache::read) {
            Some(session) => session,
            None => self.log_in().await?,
        };
        Ok(current.insert(session).clone())
    }

    /// Returns a token other than the rejected one. Concurrent callers get the same one.
    pub(crate) async fn renew(&self, rejected: &Secret<String>) -> Result<Session, LoginError> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.as_ref().filter(|session| session.token != *rejected) {
            return Ok(session.clone());
        }
        if let Some(cache) = &self.cache {
            cache.clear();
        }
        let session = self.log_in().await?;
        Ok(current.insert(session).clone())
    }

    /// The error for a catalog without the service.
    pub(crate) fn no_endpoint(&self) -> LoginError {
        let region = self.region.as_ref().map(|region| format!(" in region {region}"));
        LoginError::NoEndpoint {
            interface: self.interface.clone(),
            region: region.unwrap_or_default(),
        }
    }

    async fn log_in(&self) -> Result<Session, LoginError> {
        let request = self.http.post(self.tokens.clone()).json(self.credentials.body.expose());
        let response = request.send().await.map_err(|cause| LoginError::Unreachable {
            address: self.tokens.as_str().trim_end_matches("/auth/tokens").to_owned(),
            cause: cause.without_url(),
        })?;
        if response.status() != StatusCode::CREATED {
            return Err(self.refused(response).await);
        }
        let token = response.headers().get("x-subject-token");
        let token = token.and_then(|token| token.to_str().ok()).map(str::to_owned);
        let token = Secret::new(token.ok_or(LoginError::BadAnswer(None))?);
        let body: Body = response
            .json()
            .await
            .map_err(|cause| LoginError::BadAnswer(Some(cause.without_url())))?;
        let endpoint = body.token.endpoint(&self.interface, self.region.as_deref());
        let session = Session { token, expires_at: body.token.expires_at, endpoint };
        if let Some(cache) = &self.cache {
            cache.write(&session);
        }
        Ok(session)
    }

    async fn refused(&self, response: Response) -> LoginError {
        let status = response.status();
        let body: Value = response.json().await.unwrap_or_default();
        let message = body.pointer("/error/message").and_then(Value::as_str);
        let message = message.unwrap_or("no reason given").to_owned();
        if status == StatusCode::UNAUTHORIZED {
            return LoginError::Rejected { what: self.credentials.owner.clone(), message };
        }
        LoginError::Status { status: status.as_u16(), message }
    }
}

/// Returns the URL for tokens. The version may be missing in `OS_AUTH_URL`.
fn tokens_url(text: &str) -> Result<Url, LoginError> {
    let bad = || LoginError::BadUrl(text.to_owned());
    let mut url = Url::parse(text).map_err(|_not_a_url| bad())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(bad());
    }
    let versioned = url.path().trim_end_matches('/').ends_with("/v3");
    let mut segments = url.path_segments_mut().map_err(|()| bad())?;
    segments.pop_if_empty();
    if !versioned {
        segments.push("v3");
    }
    segments.extend(["auth", "tokens"]);
    drop(segments);
    Ok(url)
}

#[derive(Deserialize)]
struct Body {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    expires_at: DateTime<Utc>,
    #[serde(default)]
    catalog: Vec<Service>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    interface: String,
    region: Option<String>,
    url: String,
}

impl Token {
    fn endpoint(&self, interface: &str, region: Option<&str>) -> Option<String> {
        let services = self.catalog.iter().filter(|service| service.kind == "container");
        let mut endpoints = services.flat_map(|service| &service.endpoints);
        let fits = |endpoint: &&Endpoint| {
            endpoint.interface == interface
                && region.is_none_or(|region| endpoint.region.as_deref() == Some(region))
        };
        endpoints.find(fits).map(|endpoint| endpoint.url.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_version_may_be_missing_in_the_address() {
        for text in ["http://k:5000", "http://k:5000/", "http://k:5000/v3", "http://k:5000/v3/"] {
            assert_eq!(tokens_url(text).unwrap().as_str(), "http://k:5000/v3/auth/tokens");
        }
        let url = tokens_url("https://k/identity").unwrap();
        assert_eq!(url.as_str(), "https://k/identity/v3/auth/tokens");
        for bad in ["k:5000", "ftp://k/v3", ""] {
            assert!(matches!(tokens_url(bad), Err(LoginError::BadUrl(_))), "{bad}");
        }
    }

    #[test]
    fn the_endpoint_fits_the_interface_and_the_region() {
        let token: Token =
            serde_json::from_value(json!({"expires_at": "2030-01-01T00:00:00Z", "catalog": [
            {"type": "compute", "endpoints": [{"interface": "public", "region": "A", "url": "x"}]},
            {"type": "container", "endpoints": [
                {"interface": "internal", "region": "A", "url": "ia"},
                {"interface": "public", "region": "A", "url": "pa"},
                {"interface": "public", "region": "B", "url": "pb"}]}]}))
            .unwrap();
        let found = |interface, region| token.endpoint(interface, region);
        assert_eq!(found("public", None).as_deref(), Some("pa"));
        assert_eq!(found("public", Some("B")).as_deref(), Some("pb"));
        assert_eq!(found("internal", Some("A")).as_deref(), Some("ia"));
        assert_eq!(found("internal", Some("B")), None);
    }
}
