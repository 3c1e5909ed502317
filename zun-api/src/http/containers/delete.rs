//! `DELETE /v1/containers/{ident}`

use actix_web::HttpResponse;
use actix_web::web::Data;

use super::{ALL_PROJECTS, ignore_all_projects};
use crate::app::containers::{Deletion, Ident};
use crate::app::{App, AppError, Caller, Permission};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::{Field, boolean_field};
use crate::http::fields::Fields;
use crate::http::response::ApiResult;

/// A delete request.
pub(in crate::http) struct Delete {
    how: Deletion,
}

impl FromFields for Delete {
    const FIELDS: &'static [Field] = &[
        ALL_PROJECTS,
        boolean_field("force", "Kill it first").since(7).only(Permission::ForceDelete),
        boolean_field("stop", "Stop it first").since(12),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        ignore_all_projects(fields);
        let how = match (fields.flag("force"), fields.flag("stop")) {
            (true, _) => Deletion::Force,
            (false, true) => Deletion::StopFirst,
            (false, false) => Deletion::OnlyStopped,
        };
        Ok(Self { how })
    }
}

/// Removes a container.
pub(in crate::http) async fn delete(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<Delete>,
) -> ApiResult {
    app.delete(&caller, &ident, input.0.how).await?;
    Ok(HttpResponse::NoContent().finish())
}
