//! The HTTP client of the API. It keeps its connection and limits the time of every request. An error contains the
//! request ID if the service sent one.

use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use reqwest::{ClientBuilder, Method, Request, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use zun_common::api::v1::error::ErrorBody;
use zun_common::api::v1::version::Root;

use super::typed_names::TypedNames;
use super::{ApiError, BadTlsFile, TlsFiles};
use crate::auth::{Auth, Login};
use crate::settings::Settings;

/// The newest microversion that this client knows.
pub(super) const MICROVERSION: &str = "1.40";

pub(super) const REQUEST_ID: &str = "x-openstack-request-id";
const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const VERSION: HeaderName = HeaderName::from_static("openstack-api-version");
/// For most requests.
pub(super) const SHORT_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For requests that wait for a host.
pub(super) const LONG_TIMEOUT: Duration = Duration::from_secs(90);

/// A client of one service.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    auth: Auth,
    log: Option<fn(&str)>,
    /// What the user called containers.
    pub(super) names: TypedNames,
}

impl Client {
    /// Creates a client; connects to nothing yet. With `settings.debug`, it calls `log` with a line about each request.
    pub fn new(settings: &Settings, log: fn(&str)) -> Result<Self, ApiError> {
        let bad = || ApiError::BadEndpoint(settings.endpoint.clone());
        let mut base = Url::parse(&settings.endpoint).map_err(|_not_a_url| bad())?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(bad());
        }
        // The API has no other version, so an address without one means it.
        if base.path() == "/" {
            base.set_path("/v1");
        }
        let builder = http_client(&base, &settings.tls)?;
        let http = builder
            .default_headers(headers())
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(ApiError::Setup)?;
        let (auth, log) = (settings.auth.clone(), settings.debug.then_some(log));
        Ok(Self { http, base, auth, log, names: TypedNames::default() })
    }

    /// Returns the address of the API.
    pub fn endpoint(&self) -> &Url {
        &self.base
    }

    /// Gets the version document.
    pub async fn versions(&self) -> Result<Root, ApiError> {
        let mut root = self.base.clone();
        let path = root.path().trim_end_matches('/').trim_end_matches("/v1").to_owned();
        root.set_path(&format!("{path}/"));
        let request = self.http.get(root);
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Builds a request below the address of the API. No part of the path may be empty, `.` or `..`.
    pub(super) fn request(
        &self,
        method: Method,
        path: &[&str],
    ) -> Result<RequestBuilder, ApiError> {
        let mut url = self.base.clone();
        if let Some(bad) = path.iter().find(|part| matches!(**part, "" | "." | "..")) {
            return Err(ApiError::BadName((*bad).to_owned()));
        }
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(path),
            Err(()) => return Err(ApiError::BadEndpoint(self.base.to_string())),
        };
        Ok(self.http.request(method, url))
    }

    /// Sends a request and returns a successful answer; any other status is an error.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        deadline: Duration,
    ) -> Result<Response, ApiError> {
        let request = request.timeout(deadline).build().map_err(ApiError::Setup)?;
        let answer = self.exchange(request).await?;
        if answer.status().is_success() { Ok(answer) } else { Err(self.refused(answer).await) }
    }

    /// Sends a request with the caller's token, and returns any answer.
    pub(super) async fn exchange(&self, mut request: Request) -> Result<Response, ApiError> {
        match &self.auth {
            Auth::None => self.transmit(request).await,
            Auth::Token(token) => {
                authenticate(&mut request, token.expose());
                self.transmit(request).await
            }
            // Boxed, because it is large, and most callers do not use it.
            Auth::Keystone(login) => Box::pin(self.exchange_with(login, request)).await,
        }
    }

    /// Sends a request with a token of Keystone. If the service rejects it, sends the request again with a new one.
    async fn exchange_with(
        &self,
        login: &Login,
        mut request: Request,
    ) -> Result<Response, ApiError> {
        let token = login.session().await?.token;
        let again = request.try_clone();
        authenticate(&mut request, token.expose());
        let answer = self.transmit(request).await?;
        let Some(mut again) = again.filter(|_| answer.status() == StatusCode::UNAUTHORIZED) else {
            return Ok(answer);
        };
        authenticate(&mut again, login.renew(&token).await?.token.expose());
        self.transmit(again).await
    }

    async fn transmit(&self, request: Request) -> Result<Response, ApiError> {
        let line = self.log.map(|_| format!("{} {}", request.method(), request.url()));
        let begun = Instant::now();
        let outcome = self.http.execute(request).await;
        if let (Some(log), Some(line)) = (self.log, line) {
            let took = begun.elapsed().as_millis();
            match &outcome {
                Ok(answer) => {
                    let request = request_of(answer).unwrap_or_default();
                    log(&format!("{line} -> {} in {took} ms {request}", answer.status()));
                }
                Err(cause) => log(&format!("{line} -> {cause} in {took} ms")),
            }
        }
        outcome.map_err(|cause| self.failed(cause))
    }

    /// Reads the error in an answer. Says where rejected credentials come from, and names containers as the user did.
    pub(super) async fn refused(&self, answer: Response) -> ApiError {
        let address = answer.url().clone();
        let mut error = error_in(answer).await;
        if let ApiError::Refused { message, .. } = &mut error {
            *message = self.names.put_in(message, &address);
        }
        if let ApiError::Refused { status: 401, message, .. } = &mut error {
            let advice = match &self.auth {
                Auth::None => {
                    "zun sent no token: load the settings of the service, such as `. target/zun.env` or `. /etc/zun/admin.env`, or set OS_TOKEN"
                }
                Auth::Token(_) => {
                    "zun sent the token from OS_TOKEN or clouds.yaml: load the settings of the service again, such as `. target/zun.env` or `. /etc/zun/admin.env`"
                }
                Auth::Keystone(_) => {
                    "zun sent a token from the Keystone at OS_AUTH_URL: check that the service uses the same Keystone"
                }
            };
            *message = format!("{}; {advice}", message.trim_end_matches('.'));
        }
        error
    }

    /// Sends a request and ignores the body of the answer.
    pub(super) async fn done(&self, request: RequestBuilder) -> Result<(), ApiError> {
        self.send(request, LONG_TIMEOUT).await.map(drop)
    }

    pub(super) fn failed(&self, cause: reqwest::Error) -> ApiError {
        let address = self.base.to_string();
        let cause = cause.without_url();
        if self.base.scheme() == "http" && is_not_http(&cause) {
            ApiError::NotHttp { address, cause }
        } else if cause.is_connect() || is_without_certificate(&cause) {
            ApiError::Unreachable { address, cause }
        } else {
            ApiError::NoAnswer { address, cause }
        }
    }
}

/// Whether what came back is not HTTP: a listener with TLS answers a plain request with a TLS alert.
fn is_not_http(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Whether the service ended the connection because it requires a client certificate. In TLS 1.3, this happens after the
/// client's handshake.
pub(super) fn is_without_certificate(error: &reqwest::Error) -> bool {
    zun_common::chain(error).contains("CertificateRequired")
}

/// Reads an answer as JSON.
pub(super) async fn json<T: DeserializeOwned>(answer: Response) -> Result<T, ApiError> {
    let request = request_of(&answer);
    match answer.json().await {
        Ok(value) => Ok(value),
        Err(cause) => Err(ApiError::BadAnswer { cause: Box::new(cause.without_url()), request }),
    }
}

/// Returns the request ID, as in the log of the service.
pub(super) fn request_of(answer: &Response) -> Option<String> {
    let header = answer.headers().get(REQUEST_ID)?;
    Some(header.to_str().ok()?.to_owned())
}

fn headers() -> HeaderMap {
    let version = HeaderValue::try_from(format!("container {MICROVERSION}"));
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(VERSION, version.expect("a header has these characters"));
    headers
}

/// Adds the token. A token that no header can have is not sent, so the service rejects the request.
fn authenticate(request: &mut Request, token: &str) {
    if let Ok(mut value) = HeaderValue::try_from(token) {
        value.set_sensitive(true);
        request.headers_mut().insert(TOKEN, value);
    }
}

/// Returns a builder of a client for a service at this address: without redirects, on loopback without a proxy, and with
/// the files for TLS.
pub(crate) fn http_client(base: &Url, files: &TlsFiles) -> Result<ClientBuilder, BadTlsFile> {
    // Another provider can only be there if the program that embeds this library set it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("zun/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    if base.scheme() == "http" {
        // Loading the system's certificates fails on a machine that has none.
        return Ok(builder.tls_certs_only([]));
    }
    files.apply(builder)
}

fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Reads the error in an answer.
async fn error_in(answer: Response) -> ApiError {
    let status = answer.status();
    let request = request_of(&answer);
    let body = answer.bytes().await.unwrap_or_default();
    let error_body: Option<ErrorBody> = serde_json::from_slice(&body).ok();
    let first = error_body.and_then(|body| body.errors.into_iter().next());
    let (message, body_request) = match first {
        Some(problem) if status.is_server_error() && !problem.detail.is_empty() => {
            (problem.detail, problem.request_id)
        }
        Some(problem) => (problem.title, problem.request_id),
        None => (format!("the service answered {status}"), String::new()),
    };
    let request = request.or_else(|| Some(body_request).filter(|id| !id.is_empty()));
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    ApiError::Refused { status: status.as_u16(), message, request }
}
