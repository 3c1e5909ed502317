//! Successful responses.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use serde::Serialize;

use crate::app::AppError;

/// The result of a handler.
pub(super) type ApiResult = Result<HttpResponse, AppError>;

/// 200 with a body.
pub(super) fn ok(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(body)
}

/// 200 with a body that is JSON already.
pub(super) fn ok_json(body: String) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(body)
}

/// 200 with `null`, OpenStack Zun's response to a call without a result.
pub(super) fn done() -> HttpResponse {
    HttpResponse::Ok().json(())
}

/// 202 with `null`, OpenStack Zun's response to a command.
pub(super) fn accepted() -> HttpResponse {
    HttpResponse::Accepted().json(())
}
