//! `/v1/hosts`.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use zun_common::api::v1::host::HostList;

use super::extract::{FromFields, NoFields, Parsed};
use super::fields::Fields;
use super::paging::{self, MAX_PAGE};
use super::response::{ApiResult, accepted, ok};
use super::rules::SHORT_TEXT;
use super::view::{self, ViewContext};
use crate::app::{App, AppError, Caller, InvalidField};

/// Selects a part of the list.
pub(super) struct HostPage {
    limit: usize,
    marker: Option<String>,
    descending: bool,
}

impl FromFields for HostPage {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        if let Some(key) = fields.text("sort_key", &SHORT_TEXT)?
            && key != "hostname"
        {
            return Err(InvalidField::new("sort_key", &key, "`hostname`").into());
        }
        Ok(Self {
            limit: paging::limit(fields)?.unwrap_or(MAX_PAGE),
            marker: fields.text("marker", &SHORT_TEXT)?,
            descending: paging::descending(fields)?,
        })
    }
}

/// `GET /v1/hosts`
pub(super) async fn list(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    request: HttpRequest,
    input: Parsed<HostPage>,
) -> ApiResult {
    let HostPage { limit, marker, descending } = input.0;
    let mut hosts = app.hosts(&caller).await?;
    if descending {
        hosts.reverse();
    }
    let mut begin = 0;
    if let Some(marker) = marker {
        let found = hosts.iter().position(|(host, _)| host.uuid == marker);
        begin = found.ok_or(AppError::HostNotFound(marker))? + 1;
    }
    let page: Vec<_> = hosts.iter().skip(begin).take(limit).collect();
    let next = page.last().filter(|_| page.len() == limit).map(|last| {
        view_context.base.next_page("hosts", request.query_string(), (limit, &last.0.uuid))
    });
    let hosts = page.into_iter().map(|host| view::host(host, &view_context)).collect();
    Ok(ok(&HostList { hosts, next }))
}

/// `GET /v1/hosts/{id or name}`
pub(super) async fn show(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    ident: Path<String>,
) -> ApiResult {
    let host = app.host(&caller, &ident).await?;
    Ok(ok(&view::host(&host, &view_context)))
}

/// `POST /v1/hosts/{name}/recover`
pub(super) async fn recover(
    app: Data<App>,
    caller: Caller,
    name: Path<String>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    app.recover_host(&caller, &name).await?;
    Ok(accepted())
}

/// `POST /v1/hosts/{name}/replace`
pub(super) async fn replace(
    app: Data<App>,
    caller: Caller,
    name: Path<String>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    app.replace_host(&caller, &name).await?;
    Ok(accepted())
}
