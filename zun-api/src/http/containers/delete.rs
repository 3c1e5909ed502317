//! `DELETE /v1/containers/{ident}`

use actix_web::HttpResponse;
use actix_web::web::Data;

use super::ignore_all_projects;
use crate::app::containers::{Deletion, Ident};
use crate::app::{App, AppError, Caller};
use crate::http::extract::{FromFields, Parsed};
use crate::http::fields::Fields;
use crate::http::response::ApiResult;

/// A delete request.
pub(in crate::http) struct Delete {
    how: Deletion,
}

impl FromFields for Delete {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        ignore_all_projects(fields)?;
        let force = fields.boolean("force")?.unwrap_or(false);
        let stop = fields.boolean("stop")?.unwrap_or(false);
        let how = match (force, stop) {
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
