//! How successes look.

use actix_web::HttpResponse;
use serde::Serialize;

use crate::app::AppError;

/// What a handler gives back.
pub(super) type ApiResult = Result<HttpResponse, AppError>;

/// 200 with a body.
pub(super) fn ok(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(body)
}

/// 200 with `null`, as Zun answers a question that has no answer.
pub(super) fn done() -> HttpResponse {
    HttpResponse::Ok().json(())
}

/// 202 with `null`, as Zun answers a command.
pub(super) fn accepted() -> HttpResponse {
    HttpResponse::Accepted().json(())
}
