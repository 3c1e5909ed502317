//! `PATCH /v1/containers/{ident}`: a new name or new limits.

use actix_web::HttpResponse;
use actix_web::web::Data;
use zun_common::units::{Cpus, Mebibytes};

use super::create::{AUTO_HEAL, CPU, MEMORY};
use crate::app::containers::{Ident, Update};
use crate::app::{App, AppError, Caller};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::{Field, text_field};
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, ok};
use crate::http::rules;
use crate::http::view::{self, ViewContext};

impl FromFields for Update {
    const FIELDS: &'static [Field] =
        &[text_field("name", rules::NAME, "The new name").since(14), CPU, MEMORY, AUTO_HEAL];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self {
            name: fields.text("name"),
            cpus: fields.decimal("cpu").map(Cpus::from),
            memory: fields.whole("memory").map(Mebibytes),
        })
    }
}

/// A rename request.
pub(in crate::http) struct Rename {
    name: String,
}

impl FromFields for Rename {
    const FIELDS: &'static [Field] =
        &[text_field("name", rules::NAME, "The new name").required().in_query()];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let name = fields.text("name").ok_or_else(|| fields.missing("name"))?;
        Ok(Self { name })
    }
}

/// Renames a container, before `PATCH` did.
pub(in crate::http) async fn rename(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    ident: Ident,
    input: Parsed<Rename>,
) -> ApiResult {
    let change = Update { name: Some(input.0.name), ..Update::default() };
    let record = Box::pin(app.update(&caller, &ident, change)).await?;
    Ok(ok(&view::container(&record, &caller, &view_context.refreshed())))
}

/// Changes a container, like `PATCH`.
pub(in crate::http) async fn resize_container(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    ident: Ident,
    input: Parsed<Update>,
) -> ApiResult {
    let record = Box::pin(app.update(&caller, &ident, input.0)).await?;
    let shown = view::container(&record, &caller, &view_context.refreshed());
    Ok(HttpResponse::Accepted().json(shown))
}

/// Changes a container.
pub(in crate::http) async fn update(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    ident: Ident,
    input: Parsed<Update>,
) -> ApiResult {
    let record = Box::pin(app.update(&caller, &ident, input.0)).await?;
    Ok(ok(&view::container(&record, &caller, &view_context.refreshed())))
}
