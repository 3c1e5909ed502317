//! `/v1/capsules`: not supported.

use super::extract::{AnyFields, Parsed};
use super::response::ApiResult;
use super::routes::{Route, to};
use crate::app::{AppError, Caller};

/// The routes of capsules.
pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/capsules", "Create a capsule", to!(refuse)).not_offered(),
    Route::get("/v1/capsules", "List capsules", to!(refuse)).not_offered(),
    Route::get("/v1/capsules/{capsule}", "Show a capsule", to!(refuse)).not_offered(),
    Route::delete("/v1/capsules/{capsule}", "Remove a capsule", to!(refuse)).not_offered(),
];

async fn refuse(_caller: Caller, _input: Parsed<AnyFields>) -> ApiResult {
    Err(AppError::NotSupported(
        "Capsules are not supported: containers cannot share a network namespace or volumes of Cinder.",
    ))
}
