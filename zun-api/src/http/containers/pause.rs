//! `POST /v1/containers/{ident}/pause` and `…/unpause`

use actix_web::web::Data;

use crate::app::containers::Ident;
use crate::app::{App, Caller};
use crate::http::answer::{Answer, accepted};
use crate::http::extract::{Asked, Nothing};

/// Freezes a container.
pub(in crate::http) async fn pause(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _ask: Asked<Nothing>,
) -> Answer {
    app.pause(&caller, &ident).await?;
    Ok(accepted())
}

/// Thaws a container.
pub(in crate::http) async fn unpause(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _ask: Asked<Nothing>,
) -> Answer {
    app.unpause(&caller, &ident).await?;
    Ok(accepted())
}
