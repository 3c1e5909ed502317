//! `GET /v1/containers`

use actix_web::HttpRequest;
use actix_web::web::Data;
use zun_common::api::v1::container::ContainerList;

use crate::app::containers::ListQuery;
use crate::app::{App, AppError, Caller, InvalidField};
use crate::db::container::{Filter, Page, SortKey};
use crate::http::extract::{FromFields, Parsed};
use crate::http::fields::Fields;
use crate::http::paging::{self, MAX_PAGE};
use crate::http::response::{ApiResult, ok};
use crate::http::rules::{HOST_NAME_RULE, SHORT_TEXT};
use crate::http::view::{self, ViewContext};

impl FromFields for ListQuery {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self {
            all_projects: fields.boolean("all_projects")?.unwrap_or(false),
            filter: filter(fields)?,
            page: page(fields)?,
        })
    }
}

fn filter(fields: &mut Fields) -> Result<Filter, InvalidField> {
    let memory = fields.whole("memory", 0..=u64::from(u32::MAX))?;
    Ok(Filter {
        name: fields.text("name", &SHORT_TEXT)?,
        image: fields.text("image", &SHORT_TEXT)?,
        status: fields.parsed("status", "a status such as `Running`")?,
        task_state: fields.parsed("task_state", "a task state such as `container_creating`")?,
        host: fields.parsed("host", HOST_NAME_RULE)?,
        project: fields.text("project_id", &SHORT_TEXT)?,
        user: fields.text("user_id", &SHORT_TEXT)?,
        memory: memory.and_then(|memory| i64::try_from(memory).ok()),
        auto_remove: fields.boolean("auto_remove")?,
    })
}

fn page(fields: &mut Fields) -> Result<Page, AppError> {
    Ok(Page {
        limit: paging::limit(fields)?.unwrap_or(MAX_PAGE),
        descending: paging::descending(fields)?,
        key: key(fields)?,
        marker: fields.parsed("marker", "a container's uuid")?,
    })
}

fn key(fields: &mut Fields) -> Result<SortKey, InvalidField> {
    let Some(name) = fields.text("sort_key", &SHORT_TEXT)? else { return Ok(SortKey::default()) };
    let known = SortKey::NAMES.into_iter().find(|(known, _)| *known == name);
    known.map(|(_, key)| key).ok_or_else(|| {
        let names = SortKey::NAMES.map(|(known, _)| known).join(", ");
        InvalidField::new("sort_key", &name, format!("one of {names}"))
    })
}

/// Lists containers.
pub(in crate::http) async fn list(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    request: HttpRequest,
    input: Parsed<ListQuery>,
) -> ApiResult {
    let limit = input.0.page.limit;
    let records = app.list(&caller, input.0).await?;
    let next =
        records.last().filter(|_| records.len() == limit).map(|last| last.id.to_string()).map(
            |last| {
                view_context.base.next_page("containers", request.query_string(), (limit, &last))
            },
        );
    let containers = records
        .iter()
        .map(|record| view::container_in_list(record, &caller, &view_context))
        .collect();
    Ok(ok(&ContainerList { containers, next }))
}
