//! `GET /v1/containers/{ident}/container_actions` and `…/container_actions/{request_id}`

use actix_web::web::{Data, Path};
use zun_common::api::v1::action::{ContainerActionDetail, ContainerActions};

use crate::app::containers::Ident;
use crate::app::{App, Caller};
use crate::http::extract::{NoFields, Parsed};
use crate::http::response::{ApiResult, ok};
use crate::http::view;

/// Lists the operations on a container, newest first.
pub(in crate::http) async fn list_actions(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _input: Parsed<NoFields>,
) -> ApiResult {
    let actions = app.actions(&caller, &ident).await?;
    Ok(ok(&ContainerActions { actions: actions.iter().map(view::action).collect() }))
}

/// Shows the operation that a request asked for.
pub(in crate::http) async fn show_action(
    app: Data<App>,
    caller: Caller,
    path: Path<(String, String)>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    let (ident, request) = path.into_inner();
    let action = app.action(&caller, (&Ident(ident), &request)).await?;
    Ok(ok(&ContainerActionDetail { action: view::action_with_events(&action) }))
}
