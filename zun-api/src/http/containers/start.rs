//! `POST /v1/containers/{ident}/start`

use actix_web::web::Data;

use crate::app::containers::Ident;
use crate::app::{App, Caller};
use crate::http::extract::{NoFields, Parsed};
use crate::http::response::{ApiResult, accepted};

/// Starts a container.
pub(in crate::http) async fn start(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _input: Parsed<NoFields>,
) -> ApiResult {
    app.start(&caller, &ident).await?;
    Ok(accepted())
}
