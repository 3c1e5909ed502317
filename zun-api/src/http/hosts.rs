//! `/v1/hosts`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use zun_common::api::v1::host::{Host, HostList};

use super::extract::{FromFields, NoFields, Parsed};
use super::field::{Field, Kind, field, text_field};
use super::fields::Fields;
use super::paging::{self, MAX_PAGE};
use super::response::{ApiResult, accepted, ok};
use super::routes::{Route, to};
use super::rules::SHORT_TEXT;
use super::view::{self, ViewContext};
use crate::app::{App, AppError, Caller, Permission};

/// The routes of the hosts.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/hosts", "List the hosts", to!(list))
        .since(4)
        .only(Permission::SeeHosts)
        .reads::<HostPage>()
        .returns::<HostList>(),
    Route::get("/v1/hosts/{ident}", "Show a host", to!(show))
        .since(4)
        .only(Permission::SeeHosts)
        .returns::<Host>(),
    Route::post(
        "/v1/hosts/{name}/recover",
        "Let a host carry out operations again after the database was restored",
        to!(recover),
    )
    .only(Permission::RecoverHost)
    .success(202),
    Route::post(
        "/v1/hosts/{name}/replace",
        "Confirm that a host's machine or Docker data was replaced",
        to!(replace),
    )
    .only(Permission::ReplaceHost)
    .success(202),
    Route::delete(
        "/v1/hosts/{name}/strays/{id}",
        "Remove a container of this cluster that the database does not know",
        to!(remove_stray),
    )
    .only(Permission::CleanHost)
    .returns_nothing(),
];

/// Selects a part of the list.
pub(super) struct HostPage {
    limit: usize,
    marker: Option<String>,
    descending: bool,
}

impl FromFields for HostPage {
    const FIELDS: &'static [Field] = &[
        paging::LIMIT,
        text_field("marker", SHORT_TEXT, "The UUID of the last host of the previous page"),
        paging::SORT_DIR,
        field("sort_key", Kind::Word(&["hostname"]), "What to sort by"),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        fields.word("sort_key");
        Ok(Self {
            limit: paging::limit(fields).unwrap_or(MAX_PAGE),
            marker: fields.text("marker"),
            descending: paging::descending(fields),
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
    let shown = |host| view::host(host, (&caller, &view_context));
    let hosts: Vec<_> = page.into_iter().map(shown).collect();
    Ok(ok(&json!({ "hosts": hosts, "next": next })))
}

/// `GET /v1/hosts/{id or name}`
pub(super) async fn show(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    ident: Path<String>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    let host = app.host(&caller, &ident).await?;
    Ok(ok(&view::host(&host, (&caller, &view_context))))
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

/// `DELETE /v1/hosts/{name}/strays/{id}`
pub(super) async fn remove_stray(
    app: Data<App>,
    caller: Caller,
    path: Path<(String, String)>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    let (name, id) = path.into_inner();
    app.remove_stray(&caller, (&name, &id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
