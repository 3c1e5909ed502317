//! `GET /v1/containers/{ident}/container_actions` and `…/container_actions/{request_id}`

use actix_web::web::{Data, Path};
use serde_json::json;

use crate::app::containers::Ident;
use crate::app::{App, Caller};
use crate::http::extract::{NoFields, Parsed};
use crate::http::response::{ApiResult, ok};
use crate::http::view::{self, ViewContext};

/// Lists the operations on a container, newest first.
pub(in crate::http) async fn list_actions(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    ident: Ident,
    _input: Parsed<NoFields>,
) -> ApiResult {
    let actions = app.actions(&caller, &ident).await?;
    let shown = |action| view::action(action, (&caller, &view_context));
    let actions: Vec<_> = actions.iter().map(shown).collect();
    Ok(ok(&json!({ "containerActions": actions })))
}

/// Shows the operation that a request asked for.
pub(in crate::http) async fn show_action(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    path: Path<(String, String)>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    let (ident, request) = path.into_inner();
    let action = app.action(&caller, (&Ident(ident), &request)).await?;
    let shown = view::action_with_events(&action, (&caller, &view_context));
    Ok(ok(&json!({ "containerAction": shown })))
}
