//! `POST /v1/containers/{ident}/pause` and `…/unpause`

use actix_web::web::Data;

use crate::app::containers::Ident;
use crate::app::{App, Caller};
use crate::http::extract::{NoFields, Parsed};
use crate::http::response::{ApiResult, accepted};

/// Pauses a container.
pub(in crate::http) async fn pause(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _input: Parsed<NoFields>,
) -> ApiResult {
    app.pause(&caller, &ident).await?;
    Ok(accepted())
}

/// Unpauses a container.
pub(in crate::http) async fn unpause(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _input: Parsed<NoFields>,
) -> ApiResult {
    app.unpause(&caller, &ident).await?;
    Ok(accepted())
}
