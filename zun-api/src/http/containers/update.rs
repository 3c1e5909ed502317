//! `PATCH /v1/containers/{ident}`: a new name or new limits.

use actix_web::web::Data;
use zun_common::units::{Cpus, Mebibytes};

use super::create::{cpu, memory};
use crate::app::containers::{Ident, Update};
use crate::app::{App, AppError, Caller};
use crate::http::extract::{FromFields, Parsed};
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, ok};
use crate::http::rules;
use crate::http::view::{self, ViewContext};

impl FromFields for Update {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let wanted = Self {
            name: fields.text("name", &rules::NAME)?,
            cpus: cpu(fields)?.map(Cpus::from),
            memory: memory(fields)?.map(Mebibytes),
        };
        let off = |value: &serde_json::Value| value.as_bool() == Some(false);
        fields.refuse_unsupported(
            "auto_heal",
            off,
            "left out or false: it is not supported yet",
        )?;
        Ok(wanted)
    }
}

/// Changes a container.
pub(in crate::http) async fn update(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    ident: Ident,
    input: Parsed<Update>,
) -> ApiResult {
    let record = app.update(&caller, &ident, input.0).await?;
    Ok(ok(&view::container(&record, &caller, &view_context.refreshed())))
}
