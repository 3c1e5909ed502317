//! Maps each error to an HTTP status, a code and a message. This is the only such map.
//!
//! The caller sees the messages of 4xx responses, and of 5xx responses that name the failing component. Details of
//! bugs and of database errors stay in the log.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use zun_common::api::v1::error::{ApiProblem, ErrorBody};
use zun_common::bus::CallError;
use zun_common::chain;
use zun_common::id::{HostName, RequestId};
use zun_common::resource::ResourceKind;
use zun_common::rpc::{Code, Problem};

use crate::app::{AppError, NotServed};
use crate::ca::CaError;
use crate::db::DbError;

/// An error as the response shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ErrorResponse {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Seconds after which a retry makes sense.
    pub(super) retry_after: Option<u32>,
}

impl ErrorResponse {
    fn new(status: StatusCode, code: &'static str, words: &impl ToString) -> Self {
        Self { status, code, message: words.to_string(), retry_after: None }
    }

    fn retryable(status: StatusCode, code: &'static str, words: &impl ToString) -> Self {
        Self { retry_after: Some(1), ..Self::new(status, code, words) }
    }

    fn internal() -> Self {
        let words = "Internal error in zun-api. Its log has the details under this request ID.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "container.internal-error", &words)
    }

    /// Creates the response for an error that actix itself returned.
    pub(super) fn from_status(status: StatusCode) -> Self {
        let words = status.canonical_reason().unwrap_or("Refused");
        let code = if status.is_server_error() {
            "container.internal-error"
        } else {
            "container.bad-request"
        };
        Self::new(status, code, &words)
    }

    /// Creates the body.
    pub(super) fn body(&self, request: &RequestId) -> ErrorBody {
        ErrorBody {
            errors: vec![ApiProblem {
                request_id: request.to_string(),
                code: self.code.to_owned(),
                status: self.status.as_u16(),
                title: self.message.clone(),
                detail: self.message.clone(),
                links: Vec::new(),
            }],
        }
    }
}

/// Maps an error.
#[expect(clippy::too_many_lines, reason = "each error has a line, so that none is forgotten")]
pub(super) fn error_response(error: &AppError) -> ErrorResponse {
    use StatusCode as Http;
    let new = |status, code| ErrorResponse::new(status, code, error);
    let retry = |code| ErrorResponse::retryable(Http::SERVICE_UNAVAILABLE, code, error);
    match error {
        AppError::InvalidField(_) | AppError::UnknownField(_) | AppError::Malformed(_) => {
            new(Http::BAD_REQUEST, "container.schema-validation-error")
        }
        AppError::UnknownParameters(_) => new(Http::BAD_REQUEST, "container.unknown-parameters"),
        AppError::NotInteractive => new(Http::BAD_REQUEST, "container.no-interactive-flag"),
        AppError::NoCommonProtocol(_) => new(Http::BAD_REQUEST, "container.invalid-value"),
        AppError::Unauthenticated | AppError::WrongCredentials => {
            new(Http::UNAUTHORIZED, "container.unauthorized")
        }
        AppError::IdentityService(_) => retry("container.identity-service-down"),
        AppError::Forbidden(_) | AppError::ForbiddenVerb(_) | AppError::NoProject => {
            new(Http::FORBIDDEN, "container.policy-not-authorized")
        }
        AppError::ForeignSite { .. } => new(Http::FORBIDDEN, "container.foreign-site"),
        AppError::NotServed(refusal) => not_served(refusal),
        AppError::RouteNotFound
        | AppError::ContainerNotFound(_)
        | AppError::MarkerNotFound(_)
        | AppError::RunNotFound { .. }
        | AppError::ActionNotFound(_)
        | AppError::HostNotFound(_)
        | AppError::StrayNotFound { .. }
        | AppError::QuotaNotFound(_)
        | AppError::QuotaClassNotFound(_)
        | AppError::ServiceNotFound { .. }
        | AppError::ResourceNotFound { .. }
        | AppError::ImageNotFound(_)
        | AppError::GrantNotFound(_)
        | AppError::RecordingNotFound(_)
        | AppError::RegistryNotFound(_) => new(Http::NOT_FOUND, not_found(error)),
        AppError::NotRecorded(_) => new(Http::CONFLICT, "container.not-recorded"),
        AppError::RegistryNameTaken(_) => new(Http::CONFLICT, "container.registry-already-exists"),
        AppError::TooMany { .. } => new(Http::FORBIDDEN, "container.over-quota"),
        AppError::AmbiguousName(_)
        | AppError::AmbiguousId { .. }
        | AppError::AmbiguousRegistry(_)
        | AppError::AmbiguousResource { .. }
        | AppError::ResourceNameTaken { .. }
        | AppError::ResourceInUse { .. }
        | AppError::NameTaken(_)
        | AppError::ServiceInUse { .. }
        | AppError::InsufficientResources(_)
        | AppError::KeyReused { .. } => new(Http::CONFLICT, "container.conflict"),
        AppError::WrongStatus { .. }
        | AppError::NotScheduled { .. }
        | AppError::CannotRename { .. }
        | AppError::CannotRebuild { .. } => {
            new(Http::CONFLICT, "container.invalid-state-exception")
        }
        AppError::HostDown { .. } | AppError::NoHostUp => {
            new(Http::SERVICE_UNAVAILABLE, "container.host-not-up")
        }
        AppError::NotConfigured { .. } | AppError::NotSupported(_) => {
            new(Http::NOT_IMPLEMENTED, "container.not-offered")
        }
        AppError::ConsoleUnavailable { .. } => {
            new(Http::SERVICE_UNAVAILABLE, "container.no-console")
        }
        AppError::Refused { host, problem } => refused(host, problem),
        AppError::Agent { host, cause } => agent(host, cause),
        AppError::Ca(CaError::Request(bad)) => invalid_csr(bad),
        AppError::Db(cause) => database(cause),
        AppError::Ca(_) | AppError::Secret(_) => ErrorResponse::internal(),
        AppError::TooManyWaiters(_)
        | AppError::TooManyStreams
        | AppError::TooManyRequests
        | AppError::ShuttingDown => retry("container.busy"),
        AppError::BodyTooLarge(_) => new(Http::PAYLOAD_TOO_LARGE, "container.body-too-large"),
        AppError::HeadersTooLarge(_) => {
            new(Http::REQUEST_HEADER_FIELDS_TOO_LARGE, "container.head-too-large")
        }
        AppError::BodyTimeout(_) => new(Http::REQUEST_TIMEOUT, "container.timeout"),
        AppError::UnsupportedMediaType => {
            new(Http::UNSUPPORTED_MEDIA_TYPE, "container.unsupported-media-type")
        }
        AppError::UnsupportedVersion(_) => {
            new(Http::NOT_ACCEPTABLE, "zun.microversion-unsupported")
        }
    }
}

fn not_served(refusal: &NotServed) -> ErrorResponse {
    use StatusCode as Http;
    let (status, code) = match refusal {
        NotServed::Method { .. } => (Http::METHOD_NOT_ALLOWED, "container.method-not-allowed"),
        NotServed::Route(_) => (Http::NOT_ACCEPTABLE, "zun.microversion-unsupported"),
        NotServed::Field { .. } => (Http::BAD_REQUEST, "container.invalid-param-in-version"),
        NotServed::LargeArchive => (Http::PAYLOAD_TOO_LARGE, "container.body-too-large"),
    };
    ErrorResponse::new(status, code, refusal)
}

fn invalid_csr(cause: &dyn std::error::Error) -> ErrorResponse {
    let words = format!("Invalid input for field 'csr'. {}", chain(cause));
    ErrorResponse::new(StatusCode::BAD_REQUEST, "container.schema-validation-error", &words)
}

/// The code for something that does not exist.
#[expect(clippy::wildcard_enum_match_arm, reason = "the caller has selected the errors")]
const fn not_found(error: &AppError) -> &'static str {
    match error {
        AppError::ContainerNotFound(_)
        | AppError::MarkerNotFound(_)
        | AppError::StrayNotFound { .. } => "container.container-not-found",
        AppError::RunNotFound { .. } => "container.run-not-found",
        AppError::ActionNotFound(_) => "container.action-not-found",
        AppError::HostNotFound(_) => "container.requested-host-not-found",
        AppError::QuotaNotFound(_) => "container.quota-not-found",
        AppError::QuotaClassNotFound(_) => "container.quota-class-not-found",
        AppError::ServiceNotFound { .. } => "container.zun-service-not-found",
        AppError::ResourceNotFound { kind: ResourceKind::Volume, .. } => {
            "container.volume-not-found"
        }
        AppError::ResourceNotFound { kind: ResourceKind::Network, .. } => {
            "container.network-not-found"
        }
        AppError::ImageNotFound(_) => "container.image-not-found",
        AppError::RecordingNotFound(_) => "container.recording-not-found",
        AppError::GrantNotFound(_) => "container.grant-not-found",
        AppError::RegistryNotFound(_) => "container.registry-not-found",
        _ => "container.not-found",
    }
}

fn database(cause: &DbError) -> ErrorResponse {
    if let DbError::OverQuota(excesses) = cause {
        return ErrorResponse::new(StatusCode::FORBIDDEN, "container.over-quota", excesses);
    }
    if cause.is_transient() {
        let words = "The database is busy or restarting; try again in a second.";
        return ErrorResponse::retryable(StatusCode::SERVICE_UNAVAILABLE, "container.busy", &words);
    }
    ErrorResponse::internal()
}

fn agent(host: &HostName, cause: &CallError) -> ErrorResponse {
    match cause {
        CallError::Refused { problem, .. } => refused(host, problem),
        CallError::NoSuchHost { .. } => ErrorResponse::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "container.host-not-up",
            &format!("Host {host} is not connected to the message bus. Start zun-compute there."),
        ),
        CallError::NoReply { .. } => ErrorResponse::new(
            StatusCode::GATEWAY_TIMEOUT,
            "container.host-silent",
            &format!("Host {host} did not answer in time; it may still carry out the request."),
        ),
        CallError::Bus { .. } => ErrorResponse::retryable(
            StatusCode::SERVICE_UNAVAILABLE,
            "container.bus-down",
            &format!("Cannot reach host {host}: zun-api has no connection to the message bus."),
        ),
        CallError::Malformed { .. } => ErrorResponse::internal(),
    }
}

/// Maps the refusal of an agent.
fn refused(host: &HostName, problem: &Problem) -> ErrorResponse {
    use StatusCode as Http;
    match problem.code {
        Code::BadRequest => {
            ErrorResponse::new(Http::BAD_REQUEST, "container.invalid-value", problem)
        }
        Code::NotFound => {
            ErrorResponse::new(Http::NOT_FOUND, "container.resource-not-found", problem)
        }
        Code::Conflict => ErrorResponse::new(Http::CONFLICT, "container.conflict", problem),
        Code::Busy | Code::Closing => {
            ErrorResponse::retryable(Http::SERVICE_UNAVAILABLE, "container.busy", problem)
        }
        Code::Expired => {
            ErrorResponse::retryable(Http::GATEWAY_TIMEOUT, "container.host-silent", problem)
        }
        Code::Uncertain => {
            ErrorResponse::new(Http::GATEWAY_TIMEOUT, "container.host-silent", problem)
        }
        Code::UnknownMethod | Code::Unsupported => {
            let words = format!(
                "The agent on host {host} does not support this request. Upgrade zun-compute there."
            );
            ErrorResponse::new(Http::NOT_IMPLEMENTED, "container.not-offered", &words)
        }
        Code::TooLarge => {
            ErrorResponse::new(Http::PAYLOAD_TOO_LARGE, "container.body-too-large", problem)
        }
        Code::Forbidden => {
            ErrorResponse::new(Http::FORBIDDEN, "container.policy-not-authorized", problem)
        }
        Code::NoConsole => {
            let words = format!("No console access on host {host}: {problem}");
            ErrorResponse::new(Http::SERVICE_UNAVAILABLE, "container.no-console", &words)
        }
        Code::NotOffered => {
            let words = format!("Host {host} does not offer this: {problem}");
            ErrorResponse::new(Http::NOT_IMPLEMENTED, "container.not-offered", &words)
        }
        Code::Unfinished => {
            ErrorResponse::new(Http::GATEWAY_TIMEOUT, "container.command-timeout", problem)
        }
        Code::Engine => ErrorResponse::new(Http::BAD_GATEWAY, "container.docker-error", problem),
        Code::EngineDown => {
            ErrorResponse::retryable(Http::SERVICE_UNAVAILABLE, "container.engine-down", problem)
        }
        Code::StaleEpoch => {
            let words =
                format!("The agent of host {host} is being replaced; try again in a second.");
            ErrorResponse::retryable(Http::SERVICE_UNAVAILABLE, "container.busy", &words)
        }
        Code::Internal | Code::Unknown => ErrorResponse::internal(),
    }
}

impl ResponseError for AppError {
    fn status_code(&self) -> StatusCode {
        error_response(self).status
    }

    /// Without a body: `middleware.rs` writes it, because it knows the request ID.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::new(self.status_code())
    }
}

#[cfg(test)]
mod tests {
    use zun_common::bus::Route;

    use super::*;

    #[test]
    fn every_agent_refusal_maps_to_a_status_and_a_code() {
        let host: HostName = "h1".parse().unwrap();
        let all = [
            Code::BadRequest,
            Code::NotFound,
            Code::Conflict,
            Code::Busy,
            Code::Closing,
            Code::Expired,
            Code::UnknownMethod,
            Code::Unsupported,
            Code::TooLarge,
            Code::Forbidden,
            Code::NoConsole,
            Code::NotOffered,
            Code::Unfinished,
            Code::Engine,
            Code::EngineDown,
            Code::StaleEpoch,
            Code::Internal,
            Code::Unknown,
        ];
        let table: Vec<String> = all
            .into_iter()
            .map(|code| {
                let shown = refused(&host, &Problem::new(code, "its words"));
                format!("{code:?}: {} {} {}", shown.status.as_u16(), shown.code, shown.message)
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        BadRequest: 400 container.invalid-value its words
        NotFound: 404 container.resource-not-found its words
        Conflict: 409 container.conflict its words
        Busy: 503 container.busy its words
        Closing: 503 container.busy its words
        Expired: 504 container.host-silent its words
        UnknownMethod: 501 container.not-offered The agent on host h1 does not support this request. Upgrade zun-compute there.
        Unsupported: 501 container.not-offered The agent on host h1 does not support this request. Upgrade zun-compute there.
        TooLarge: 413 container.body-too-large its words
        Forbidden: 403 container.policy-not-authorized its words
        NoConsole: 503 container.no-console No console access on host h1: its words
        NotOffered: 501 container.not-offered Host h1 does not offer this: its words
        Unfinished: 504 container.command-timeout its words
        Engine: 502 container.docker-error its words
        EngineDown: 503 container.engine-down its words
        StaleEpoch: 503 container.busy The agent of host h1 is being replaced; try again in a second.
        Internal: 500 container.internal-error Internal error in zun-api. Its log has the details under this request ID.
        Unknown: 500 container.internal-error Internal error in zun-api. Its log has the details under this request ID.
        ");
    }

    fn broken(words: &str) -> diesel::result::Error {
        let kind = diesel::result::DatabaseErrorKind::ClosedConnection;
        diesel::result::Error::DatabaseError(kind, Box::new(words.to_owned()))
    }

    #[test]
    fn an_exhausted_connection_pool_asks_the_client_to_try_again() {
        let shown = error_response(&AppError::Db(DbError::Connection("timed out".into())));
        assert_eq!((shown.status, shown.retry_after), (StatusCode::SERVICE_UNAVAILABLE, Some(1)));
        let shown = error_response(&AppError::Db(DbError::Busy("timed out".into())));
        assert_eq!((shown.status, shown.retry_after), (StatusCode::SERVICE_UNAVAILABLE, Some(1)));
        let shown = error_response(&AppError::Db(broken("server closed the connection").into()));
        assert_eq!((shown.status, shown.retry_after), (StatusCode::SERVICE_UNAVAILABLE, Some(1)));
        let shown = error_response(&AppError::Db(diesel::result::Error::NotFound.into()));
        assert_eq!((shown.status, shown.retry_after), (StatusCode::INTERNAL_SERVER_ERROR, None));
    }

    #[test]
    fn a_missing_reply_is_not_reported_as_a_refusal() {
        let host: HostName = "h1".parse().unwrap();
        let route = Route::Host(host.clone());
        let shown = agent(&host, &CallError::NoReply { method: "container.start", route });
        assert_eq!(shown.status, StatusCode::GATEWAY_TIMEOUT);
        assert!(shown.message.contains("it may still carry out the request"));
    }
}
