//! `/v1/services`.

use actix_web::web::Data;
use zun_common::api::v1::host::ServiceList;

use super::extract::{NoFields, Parsed};
use super::response::{ApiResult, ok};
use super::routes::{Route, to};
use super::view;
use crate::app::{App, Caller, Permission};

/// The routes of the agents.
pub(super) const ROUTES: &[Route] =
    &[Route::get("/v1/services", "List the agents of the hosts", to!(list))
        .only(Permission::SeeServices)
        .returns::<ServiceList>()];

/// `GET /v1/services`
pub(super) async fn list(app: Data<App>, caller: Caller, _input: Parsed<NoFields>) -> ApiResult {
    let hosts = app.services(&caller).await?;
    let services = hosts.iter().map(|(host, liveness)| view::service(host, *liveness)).collect();
    Ok(ok(&ServiceList { services }))
}
