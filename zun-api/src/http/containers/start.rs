//! `POST /v1/containers/{ident}/start`

use actix_web::web::Data;

use crate::app::containers::Ident;
use crate::app::{App, Caller};
use crate::http::answer::{Answer, accepted};
use crate::http::extract::{Asked, Nothing};

/// Runs a container.
pub(in crate::http) async fn start(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _ask: Asked<Nothing>,
) -> Answer {
    app.start(&caller, &ident).await?;
    Ok(accepted())
}
