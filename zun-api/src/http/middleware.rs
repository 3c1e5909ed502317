//! Wraps every request: request ID, microversion, limits, error body, log line and metrics.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ALLOW, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{Data, Query};
use actix_web::{Error, HttpMessage, HttpResponse};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zun_common::chain;
use zun_common::id::{ContainerId, ProjectId, RequestId};

use super::error::{ErrorResponse, error_response};
use super::microversion::{self, Microversion};
use super::routes::{self, Waits};
use super::ui;
use crate::app::{App, AppError};
use crate::metrics::RequestLabels;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// Routes with POST that change nothing.
const ASKING: [&str; 2] = ["/v1/placement", "/v1/containers/{ident}/wait"];

/// Limits the number of concurrent requests.
pub(super) struct RequestLimit {
    permits: Arc<Semaphore>,
}

impl RequestLimit {
    pub(super) fn new(permits: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))) }
    }
}

/// The properties of a request that the middleware records when it arrives.
#[derive(Debug, Clone)]
pub(super) struct RequestInfo {
    pub(super) request: RequestId,
    pub(super) traceparent: Option<String>,
    version: Result<Microversion, String>,
    method: Method,
    path: String,
    /// Whether it waits for a change, and so does not count against the limit of open requests.
    waits: bool,
    /// Whether its duration depends on a change that it waits for.
    is_slow: bool,
    began: Instant,
}

/// The project of the caller, for the log line.
#[derive(Debug, Clone)]
pub(super) struct RequestProject(pub(super) ProjectId);

/// The container that the request concerns, once it is found, for the log line.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestContainer(pub(super) Arc<OnceLock<ContainerId>>);

/// Checks the limits, calls the handler, and completes its response: headers, error body, metrics and log line.
pub(super) async fn handle<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let info = RequestInfo::of(&request);
    let app = request.app_data::<Data<App>>().cloned();
    request.extensions_mut().insert(info.clone());
    let _open = app.as_ref().map(|app| OpenRequest::new(&app.metrics.open));
    let response = match admit(&request, &info) {
        Err(refusal) => request.error_response(refusal),
        Ok(_permit) => next.call(request).await?.map_into_boxed_body(),
    };
    let refusal = refusal(&response);
    let outcome = refusal.as_ref().map_or("done", |refusal| refusal.code);
    let response = finish(response, refusal, &info);
    if let Some(app) = app {
        count(&app, &response, &info);
    }
    log(&response, &info, outcome);
    Ok(response)
}

impl RequestInfo {
    fn of(request: &ServiceRequest) -> Self {
        let header = |name: &str| request.headers().get(name)?.to_str().ok();
        let is_traceparent =
            |text: &str| text.len() == 55 && text.bytes().all(|byte| byte.is_ascii_graphic());
        Self {
            request: header(REQUEST_ID.as_str())
                .and_then(|id| id.parse().ok())
                .unwrap_or_else(RequestId::random),
            traceparent: header("traceparent")
                .filter(|text| is_traceparent(text))
                .map(str::to_owned),
            version: microversion::parse(header(microversion::REQUEST_HEADER)),
            method: request.method().clone(),
            path: request.path().to_owned(),
            waits: waits(request),
            is_slow: waits(request) || waits_for_host(request),
            began: Instant::now(),
        }
    }

    /// The microversion that the request is for.
    pub(super) fn version(&self) -> Microversion {
        self.version.as_ref().copied().unwrap_or(Microversion::OLDEST)
    }

    /// Whether the response has the microversion headers.
    fn is_versioned(&self) -> bool {
        self.path == "/v1" || self.path.starts_with("/v1/")
    }

    /// Whether the request is served even if the limit is reached. This applies to monitoring requests, and to
    /// waiting requests, which [`App::wait_for`], [`App::wait_for_run`], [`App::attach`] and [`App::events`] limit.
    fn bypasses_limit(&self) -> bool {
        self.waits || matches!(self.path.as_str(), "/healthz" | "/metrics")
    }
}

/// Whether the request waits for a status, a run or the creation of a container. Of the parameters, only those of their
/// route count.
fn waits(request: &ServiceRequest) -> bool {
    let route = routes::of(request.method(), request.match_pattern().as_deref());
    let parameters = || Query::<Vec<(String, String)>>::from_query(request.query_string());
    match route.map(|route| route.waits) {
        None | Some(Waits::Never | Waits::ForHost) => false,
        Some(Waits::Always) => true,
        Some(Waits::With(wanted)) => {
            parameters().is_ok_and(|all| all.iter().any(|(name, _)| name == wanted))
        }
    }
}

fn waits_for_host(request: &ServiceRequest) -> bool {
    let route = routes::of(request.method(), request.match_pattern().as_deref());
    route.is_some_and(|route| matches!(route.waits, Waits::ForHost))
}

fn admit(
    request: &ServiceRequest,
    info: &RequestInfo,
) -> Result<Option<OwnedSemaphorePermit>, AppError> {
    let largest =
        request.app_data::<Data<App>>().map_or(usize::MAX, |app| app.settings.http.largest_head);
    if head_size(request) > largest {
        return Err(AppError::HeadersTooLarge(largest));
    }
    if info.is_versioned()
        && let Err(words) = &info.version
    {
        return Err(AppError::UnsupportedVersion(words.clone()));
    }
    if info.bypasses_limit() {
        return Ok(None);
    }
    let Some(limit) = request.app_data::<Data<RequestLimit>>() else { return Ok(None) };
    let permit = Arc::clone(&limit.permits).try_acquire_owned();
    permit.map(Some).map_err(|_full_or_closed| AppError::TooManyRequests)
}

fn head_size(request: &ServiceRequest) -> usize {
    let fields = request.headers().iter();
    let fields: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    request.path().len() + request.query_string().len() + fields
}

fn finish(
    response: ServiceResponse,
    refusal: Option<ErrorResponse>,
    info: &RequestInfo,
) -> ServiceResponse {
    let mut response = match refusal {
        Some(shown) => {
            let mut body = HttpResponse::build(shown.status).json(shown.body(&info.request));
            if let Some(seconds) = shown.retry_after {
                body.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            if shown.status == StatusCode::METHOD_NOT_ALLOWED
                && let Some(pattern) = response.request().match_pattern()
                && let Ok(methods) = HeaderValue::from_str(&routes::allowed(&pattern))
            {
                body.headers_mut().insert(ALLOW, methods);
            }
            if shown.status == StatusCode::UNAUTHORIZED
                && let Some(app) = response.request().app_data::<Data<App>>()
                && let Ok(challenge) = HeaderValue::from_str(app.authenticator.challenge())
            {
                body.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            response.into_response(body)
        }
        None => response,
    };
    set_headers(response.headers_mut(), info);
    response
}

/// Returns the error response, if the response is an error. Logs server errors here, where their causes are
/// known.
fn refusal(response: &ServiceResponse) -> Option<ErrorResponse> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let Some(error) = response.response().error() else {
        if ui::serves(response.request().path()) {
            return None;
        }
        return Some(ErrorResponse::from_status(status));
    };
    let Some(error) = error.as_error::<AppError>() else {
        return Some(ErrorResponse::from_status(status));
    };
    if status.is_server_error() {
        let request = response.request();
        let id = request.extensions().get::<RequestInfo>().map(|info| info.request.to_string());
        tracing::warn!(
            request.id = id, error = %chain(error), "{} {} failed", request.method(), request.path()
        );
    }
    Some(error_response(error))
}

fn set_headers(headers: &mut HeaderMap, info: &RequestInfo) {
    if let Ok(id) = HeaderValue::from_str(info.request.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    if !info.is_versioned() {
        return;
    }
    for (name, version) in [
        (microversion::RESPONSE_HEADER, info.version()),
        (microversion::MIN_HEADER, Microversion::OLDEST),
        (microversion::MAX_HEADER, Microversion::NEWEST),
    ] {
        if let Ok(value) = HeaderValue::from_str(&format!("container {version}")) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers.append(VARY, HeaderValue::from_static("OpenStack-API-Version"));
}

fn count(app: &App, response: &ServiceResponse, info: &RequestInfo) {
    let route = response.request().match_pattern();
    let method = match info.method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::PUT => "PUT",
        _ => "other",
    };
    let kind = RequestLabels {
        method,
        route: route.unwrap_or_else(|| "none".to_owned()),
        code: u32::from(response.status().as_u16()),
    };
    app.metrics.count_request(&kind, info.began.elapsed(), info.is_slow);
}

/// Logs one line for each request, except successful monitoring requests: at level info if it may change something,
/// otherwise at level debug. Omits the query, which may contain tenants' commands.
fn log(response: &ServiceResponse, info: &RequestInfo, outcome: &str) {
    if info.bypasses_limit() && !info.waits && response.status() == StatusCode::OK {
        return;
    }
    let extensions = response.request().extensions();
    let project =
        extensions.get::<RequestProject>().map(|RequestProject(project)| project.as_str());
    let container = extensions.get::<RequestContainer>().and_then(|RequestContainer(id)| id.get());
    let container = container.map(tracing::field::display);
    let route = response.request().match_pattern();
    let duration_ms = u64::try_from(info.began.elapsed().as_millis()).unwrap_or(u64::MAX);
    /// A macro, because the level of an event is constant.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                request.id = %info.request, project.id = project, container.id = container, route, outcome, duration_ms,
                "{} {} {}", info.method, info.path, response.status().as_u16()
            )
        };
    }
    let asks_only = route.as_deref().is_some_and(|route| ASKING.contains(&route));
    if info.method.is_safe() || asks_only { line!(debug) } else { line!(info) }
}

/// Counts a request as open until it is dropped, even if its client disconnects.
struct OpenRequest(Gauge);

impl OpenRequest {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.dec();
    }
}
