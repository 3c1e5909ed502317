//! `GET /v1/containers`

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde_json::json;

use crate::app::containers::ListQuery;
use crate::app::{App, AppError, Caller, InvalidField, Permission};
use crate::db::DbError;
use crate::db::container::{Filter, Page, SortKey};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::{
    Field, Kind, boolean_field, field, invalid_value, text_field, whole_field,
};
use crate::http::fields::Fields;
use crate::http::paging::{self, MAX_PAGE};
use crate::http::response::{ApiResult, ok_json};
use crate::http::rules::{self, SHORT_TEXT};
use crate::http::view::{self, ViewContext};

impl FromFields for ListQuery {
    const FIELDS: &'static [Field] = &[
        boolean_field("all_projects", "List the containers of all projects")
            .only(Permission::SeeAllProjects),
        text_field("name", SHORT_TEXT, "Only containers with this name"),
        text_field("image", SHORT_TEXT, "Only containers of this image"),
        text_field("status", rules::STATUS, "Only containers in this status"),
        text_field("task_state", rules::TASK_STATE, "Only containers in this task state"),
        text_field("host", rules::HOST_NAME, "Only containers on this host")
            .only(Permission::FilterByHost),
        text_field("project_id", SHORT_TEXT, "Only containers of this project"),
        text_field("user_id", SHORT_TEXT, "Only containers that this user created"),
        whole_field(
            "memory",
            (0, u32::MAX as u64, " of MiB"),
            "Only containers with this memory in MiB",
        ),
        boolean_field("auto_remove", "Only containers that have, or do not have, `auto_remove`"),
        paging::LIMIT,
        text_field(
            "marker",
            rules::CONTAINER_ID,
            "The UUID of the last container of the previous page",
        ),
        paging::SORT_DIR,
        field(
            "sort_key",
            Kind::Custom(|| json!({"enum": SortKey::NAMES.map(|(name, _)| name)})),
            "What to sort by",
        ),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self {
            all_projects: fields.flag("all_projects"),
            filter: filter(fields),
            page: page(fields)?,
        })
    }
}

fn filter(fields: &mut Fields) -> Filter {
    Filter {
        name: fields.text("name"),
        image: fields.text("image"),
        status: fields.parsed("status"),
        task_state: fields.parsed("task_state"),
        host: fields.parsed("host"),
        project: fields.text("project_id"),
        user: fields.text("user_id"),
        memory: fields.whole("memory"),
        auto_remove: fields.boolean("auto_remove"),
    }
}

fn page(fields: &mut Fields) -> Result<Page, InvalidField> {
    Ok(Page {
        limit: paging::limit(fields).unwrap_or(MAX_PAGE),
        descending: paging::descending(fields),
        key: key(fields)?,
        marker: fields.parsed("marker"),
    })
}

fn key(fields: &mut Fields) -> Result<SortKey, InvalidField> {
    let Some(value) = fields.take("sort_key") else { return Ok(SortKey::default()) };
    let known = SortKey::NAMES.into_iter().find(|(known, _)| value == *known);
    known.map(|(_, key)| key).ok_or_else(|| {
        let names = SortKey::NAMES.map(|(known, _)| known).join(", ");
        invalid_value("sort_key", &value, &format!("one of {names}"))
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
    let part = app.list(&caller, input.0).await?;
    let next = part.next.as_deref().map(|marker| {
        view_context.base.next_page("containers", request.query_string(), (limit, marker))
    });
    let body = view::containers(&part, next.as_deref(), &caller, &view_context);
    Ok(ok_json(body.map_err(DbError::from)?))
}
