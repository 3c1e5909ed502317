//! `GET /v1/containers/{ident}/changes`: what `docker diff` lists. Not in OpenStack Zun's API.

use actix_web::web::Data;
use zun_common::api::v1::files::ContainerChanges;
use zun_common::rpc::files::Changes;

use crate::app::containers::Ident;
use crate::app::{App, Caller};
use crate::http::extract::{NoFields, Parsed};
use crate::http::response::{ApiResult, ok};

/// Lists the files that differ from the image.
pub(in crate::http) async fn changes(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _input: Parsed<NoFields>,
) -> ApiResult {
    let Changes { changes, truncated } = app.changes(&caller, &ident).await?;
    Ok(ok(&ContainerChanges { changes, truncated }))
}
