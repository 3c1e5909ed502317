//! `/v1/services`.

use actix_web::web::Data;
use zun_common::api::v1::host::ServiceList;

use super::extract::{NoFields, Parsed};
use super::response::{ApiResult, ok};
use super::view;
use crate::app::{App, Caller};

/// `GET /v1/services`
pub(super) async fn list(app: Data<App>, caller: Caller, _input: Parsed<NoFields>) -> ApiResult {
    let hosts = app.services(&caller).await?;
    let services = hosts.iter().map(|(host, liveness)| view::service(host, *liveness)).collect();
    Ok(ok(&ServiceList { services }))
}
