//! `POST /v1/containers/{ident}/logs` and `…/archive`: direct access to output and files for the
//! client `zun`. Not in OpenStack Zun's API.

use actix_web::web::Data;
use serde_json::{Value, json};
use zun_common::grant::{self, Mode};

use super::{CSR, csr};
use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller, InvalidField};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::{Field, Kind, field, invalid_value};
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, ok};

const MODE: &str = "`ro` to copy out, or `rw` to copy in";

/// A request for access to output.
pub(in crate::http) struct GrantLogs {
    csr: String,
}

impl FromFields for GrantLogs {
    const FIELDS: &'static [Field] = &[CSR.required()];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { csr: csr(fields)? })
    }
}

/// Grants access to a container's output.
pub(in crate::http) async fn grant_logs(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<GrantLogs>,
) -> ApiResult {
    Ok(ok(&app.data(&caller, &ident, &input.0.csr, grant::DataKind::Logs).await?))
}

/// A request for access to files.
pub(in crate::http) struct GrantArchive {
    csr: String,
    mode: Mode,
}

impl FromFields for GrantArchive {
    const FIELDS: &'static [Field] = &[
        CSR.required(),
        field("mode", Kind::Custom(|| json!({"enum": ["ro", "rw"]})), MODE).required(),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let csr = csr(fields)?;
        let mode = match fields.take("mode") {
            Some(Value::String(text)) if text == "ro" => Mode::ReadOnly,
            Some(Value::String(text)) if text == "rw" => Mode::ReadWrite,
            None => Err(InvalidField::missing("mode", MODE))?,
            Some(other) => Err(invalid_value("mode", &other, MODE))?,
        };
        Ok(Self { csr, mode })
    }
}

/// Grants access to a container's files.
pub(in crate::http) async fn grant_archive(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<GrantArchive>,
) -> ApiResult {
    let GrantArchive { csr, mode } = input.0;
    Ok(ok(&app.data(&caller, &ident, &csr, grant::DataKind::Archive(mode)).await?))
}
