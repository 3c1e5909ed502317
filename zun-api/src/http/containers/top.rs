//! `GET /v1/containers/{ident}/top`, in OpenStack Zun's format.

use actix_web::web::Data;
use zun_common::api::v1::container::ContainerTop;
use zun_common::rpc::container::Top;

use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::{Field, text_field};
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, ok};
use crate::http::rules::PS_ARGUMENTS;

/// A top request.
pub(in crate::http) struct TopRequest {
    ps_args: Option<String>,
}

impl FromFields for TopRequest {
    const FIELDS: &'static [Field] =
        &[text_field("ps_args", PS_ARGUMENTS, "Arguments for `ps`; the engine's if absent")];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let ps_args = fields.text("ps_args");
        Ok(Self { ps_args: ps_args.filter(|text| !text.trim().is_empty()) })
    }
}

/// Returns the processes in a container.
pub(in crate::http) async fn top(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<TopRequest>,
) -> ApiResult {
    let Top { titles, processes } = app.top(&caller, &ident, input.0.ps_args).await?;
    Ok(ok(&ContainerTop { titles, processes }))
}
