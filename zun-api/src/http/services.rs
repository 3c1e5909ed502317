//! `/v1/services`.

use actix_web::web::Data;
use zun_common::api::v1::host::ServiceList;

use super::answer::{Answer, ok};
use super::extract::{Asked, Nothing};
use super::view::{self, Viewer};
use crate::app::{App, Caller};

/// `GET /v1/services`
pub(super) async fn list(
    app: Data<App>,
    caller: Caller,
    viewer: Viewer,
    _ask: Asked<Nothing>,
) -> Answer {
    let hosts = app.services(&caller).await?;
    let services = hosts.iter().map(|host| view::service(host, &viewer)).collect();
    Ok(ok(&ServiceList { services }))
}
