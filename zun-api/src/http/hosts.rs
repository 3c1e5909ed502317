//! `/v1/hosts`.

use actix_web::web::{Data, Path};
use zun_common::api::v1::host::HostList;

use super::answer::{Answer, ok};
use super::extract::{Asked, Nothing};
use super::view::{self, Viewer};
use crate::app::{App, Caller};

/// `GET /v1/hosts`
pub(super) async fn list(
    app: Data<App>,
    caller: Caller,
    viewer: Viewer,
    _ask: Asked<Nothing>,
) -> Answer {
    let hosts = app.hosts(&caller).await?;
    let hosts = hosts.iter().map(|(host, usage)| view::host(host, usage, &viewer)).collect();
    Ok(ok(&HostList { hosts, next: None }))
}

/// `GET /v1/hosts/{id or name}`
pub(super) async fn show(
    app: Data<App>,
    caller: Caller,
    viewer: Viewer,
    ident: Path<String>,
) -> Answer {
    let (host, usage) = app.host(&caller, &ident).await?;
    Ok(ok(&view::host(&host, &usage, &viewer)))
}
