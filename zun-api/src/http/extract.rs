//! Extractors. Handlers run only with valid values.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
};
use actix_web::http::uri::Authority;
use actix_web::web::{BytesMut, Data, Query};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use chrono::Utc;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value};
use zun_common::id::RequestId;
use zun_common::rpc::envelope::CallContext;

use super::field::Field;
use super::fields::Fields;
use super::links::BaseUrl;
use super::microversion::Microversion;
use super::middleware::{RequestContainer, RequestInfo, RequestProject};
use super::routes;
use super::view::ViewContext;
use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller, IdempotencyKey};
use crate::auth::Site;

/// Builds the input of a handler from the query and the body.
pub(super) trait FromFields: Sized + 'static {
    /// Its fields.
    const FIELDS: &'static [Field];

    /// Takes its fields, which satisfy the table. Fields that it does not take are refused afterwards.
    fn read(fields: &mut Fields) -> Result<Self, AppError>;
}

/// The input of a handler without fields.
#[derive(Debug)]
pub(super) struct NoFields;

impl FromFields for NoFields {
    const FIELDS: &'static [Field] = &[];

    fn read(_fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self)
    }
}

/// The input of a handler that refuses every request.
#[derive(Debug)]
pub(super) struct AnyFields;

impl FromFields for AnyFields {
    const FIELDS: &'static [Field] = &[];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        fields.clear();
        Ok(Self)
    }
}

/// A validated input.
#[derive(Debug)]
pub(super) struct Parsed<T>(pub(super) T);

impl<T: FromFields> FromRequest for Parsed<T> {
    type Error = AppError;
    type Future = LocalBoxFuture<'static, Result<Self, AppError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            // Extractors run concurrently, but the input is read only after the caller is known.
            let caller = Caller::extract(&request).await?;
            let version = version(&request);
            let query = Query::<Vec<(String, String)>>::from_query(request.query_string())
                .map_err(|_cause| {
                    AppError::Malformed("The query string is malformed.".to_owned())
                })?;
            let body = match *request.method() {
                Method::POST | Method::PATCH | Method::PUT => object(&request, payload).await?,
                _ => None,
            };
            let defaults = app(&request)?.settings.defaults;
            let fields = Fields::new(query.into_inner(), body).with_defaults(defaults);
            let mut fields = fields.check(T::FIELDS, (version, Some(&caller)))?;
            let input = T::read(&mut fields)?;
            fields.finish()?;
            Ok(Self(input))
        })
    }
}

/// Returns the JSON object in the body, or `None` if there is no body.
pub(super) async fn object(
    request: &HttpRequest,
    payload: Payload,
) -> Result<Option<Map<String, Value>>, AppError> {
    let settings = &app(request)?.settings.http;
    let limit = Duration::from_secs(settings.client_timeout);
    let route = routes::of(request.method(), request.match_pattern().as_deref());
    let largest = route.map_or(0, |route| route.largest_body).max(settings.largest_body);
    let reading = read(request.headers(), payload, largest);
    let body = tokio::time::timeout(limit, reading)
        .await
        .map_err(|_elapsed| AppError::BodyTimeout(settings.client_timeout))??;
    if body.is_empty() {
        return Ok(None);
    }
    require_json(request.headers())?;
    serde_json::from_slice(&body)
        .map(Some)
        .map_err(|cause| AppError::Malformed(format!("The body must be a JSON object: {cause}")))
}

async fn read(
    headers: &HeaderMap,
    mut payload: Payload,
    largest: usize,
) -> Result<BytesMut, AppError> {
    let declared =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > largest) {
        return Err(AppError::BodyTooLarge(largest));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk =
            chunk.map_err(|cause| AppError::Malformed(format!("Cannot read the body: {cause}")))?;
        if body.len() + chunk.len() > largest {
            return Err(AppError::BodyTooLarge(largest));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn require_json(headers: &HeaderMap) -> Result<(), AppError> {
    let declared =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => Ok(()),
        kind if kind.starts_with("application/") && kind.ends_with("+json") => Ok(()),
        _ => Err(AppError::UnsupportedMediaType),
    }
}

impl FromRequest for Caller {
    type Error = AppError;
    type Future = LocalBoxFuture<'static, Result<Self, AppError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { caller(&request).await })
    }
}

async fn caller(request: &HttpRequest) -> Result<Caller, AppError> {
    let token = token(request.headers());
    let app = app(request)?;
    let identity = app.authenticator.identify(token, site(request)).await?;
    let context = {
        let mut extensions = request.extensions_mut();
        let info = extensions.get::<RequestInfo>();
        let context = CallContext {
            request: info.map_or_else(RequestId::random, |info| info.request.clone()),
            project: Some(identity.project.clone()),
            traceparent: info.and_then(|info| info.traceparent.clone()),
        };
        extensions.insert(RequestProject(identity.project.clone()));
        context
    };
    let policy = app.policy.clone();
    let key = idempotency_key(request)?;
    let RequestContainer(container) = request_container(request);
    let caller = Caller { identity, policy, context, key, container };
    if let Some(route) = routes::of(request.method(), request.match_pattern().as_deref()) {
        route.check_version(version(request))?;
        let verbs = route.policy_verbs();
        let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
        caller.require_route(&verbs, route.permission)?;
    }
    Ok(caller)
}

/// Extractors run concurrently, and share it.
fn request_container(request: &HttpRequest) -> RequestContainer {
    let mut extensions = request.extensions_mut();
    if let Some(container) = extensions.get::<RequestContainer>() {
        return container.clone();
    }
    let container = RequestContainer::default();
    extensions.insert(container.clone());
    container
}

/// The microversion of a request.
pub(super) fn version(request: &HttpRequest) -> Microversion {
    let extensions = request.extensions();
    extensions.get::<RequestInfo>().map_or(Microversion::OLDEST, RequestInfo::version)
}

/// Reads the key of a request that may change something.
fn idempotency_key(request: &HttpRequest) -> Result<Option<IdempotencyKey>, AppError> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(None);
    }
    let values = request.headers().get_all(IdempotencyKey::HEADER);
    let values: Vec<&[u8]> = values.map(HeaderValue::as_bytes).collect();
    Ok(IdempotencyKey::read(&values)?)
}

fn site(request: &HttpRequest) -> Site<'_> {
    let text = |name: HeaderName| request.headers().get(name).map(text_of);
    // Requests of HTTP/2 have the authority instead of `Host`.
    let authority = || request.uri().authority().map(Authority::as_str);
    Site { host: text(HOST).or_else(authority), origin: text(ORIGIN) }
}

/// The value of a header. A value that is not valid text counts as a foreign site.
fn text_of(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("?")
}

/// Reads the token from OpenStack's header or from `Authorization`.
fn token(headers: &HeaderMap) -> Option<&str> {
    if let Some(token) = headers.get("x-auth-token") {
        return token.to_str().ok();
    }
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

impl FromRequest for Ident {
    type Error = AppError;
    type Future = Ready<Result<Self, AppError>>;

    /// Accepts any text. A text that cannot be a name matches no container.
    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Ok(Self(request.match_info().query("ident").to_owned())))
    }
}

impl FromRequest for ViewContext {
    type Error = AppError;
    type Future = Ready<Result<Self, AppError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let base = app(request).map(|app| {
            let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
            BaseUrl::new(&app.settings.http, host)
        });
        let version = version(request);
        ready(base.map(|base| Self { base, version, now: Utc::now().naive_utc() }))
    }
}

fn app(request: &HttpRequest) -> Result<&Data<App>, AppError> {
    request.app_data::<Data<App>>().ok_or(AppError::ShuttingDown)
}
