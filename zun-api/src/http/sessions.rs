//! `/v1/sessions` and `/v1/grants`. Not in OpenStack Zun's API.

use actix_web::web::{Data, Path};
use zun_common::api::v1::session::{GrantList, RevokedGrant, SessionList};

use super::extract::{NoFields, Parsed};
use super::response::{ApiResult, ok};
use super::routes::{Route, to};
use crate::app::{App, AppError, Caller};

/// The routes of sessions and grants.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/sessions", "List the sessions at console gates", to!(sessions))
        .for_all()
        .returns::<SessionList>(),
    Route::get(
        "/v1/grants",
        "List grants and tickets with sessions, and tickets that can be used",
        to!(grants),
    )
    .for_all()
    .returns::<GrantList>(),
    Route::delete(
        "/v1/grants/{grant}",
        "Revoke a grant or ticket, and end its sessions",
        to!(revoke),
    )
    .returns::<RevokedGrant>(),
];

/// Lists the sessions of the project.
pub(super) async fn sessions(
    app: Data<App>,
    caller: Caller,
    _input: Parsed<NoFields>,
) -> ApiResult {
    Ok(ok(&app.sessions(&caller).await?))
}

/// Lists the grants of the project.
pub(super) async fn grants(app: Data<App>, caller: Caller, _input: Parsed<NoFields>) -> ApiResult {
    Ok(ok(&app.grants(&caller).await?))
}

/// Revokes a grant.
pub(super) async fn revoke(
    app: Data<App>,
    caller: Caller,
    grant: Path<String>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    let shown = || AppError::GrantNotFound(grant.chars().take(80).collect());
    let id = grant.parse().map_err(|_invalid| shown())?;
    Ok(ok(&app.revoke(&caller, id).await?))
}
