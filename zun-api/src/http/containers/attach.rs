//! `POST /v1/containers/{ident}/attach` for the client `zun`. Refuses `GET`, which OpenStack's clients use.

use actix_web::web::Data;
use serde_json::Value;
use zun_common::grant::Mode;

use crate::app::containers::{Attach, Ident};
use crate::app::{App, AppError, Caller, InvalidField};
use crate::http::extract::{FromFields, NoFields, Parsed};
use crate::http::fields::{Fields, invalid_value};
use crate::http::response::{ApiResult, ok};
use crate::http::rules::{CSR, PROTOCOL};

impl FromFields for Attach {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let csr = fields
            .text("csr", &CSR)?
            .ok_or_else(|| InvalidField::missing("csr", CSR.description))?;
        let protocols = fields
            .texts("protocols", &PROTOCOL)?
            .filter(|protocols| !protocols.is_empty())
            .ok_or_else(|| {
                InvalidField::missing("protocols", "a non-empty list of console protocols")
            })?;
        let mode = match fields.take("mode") {
            None => Mode::default(),
            Some(Value::String(text)) if text == "rw" => Mode::ReadWrite,
            Some(Value::String(text)) if text == "ro" => Mode::ReadOnly,
            Some(other) => Err(invalid_value("mode", &other, "`rw` or `ro`"))?,
        };
        let before_start = fields.boolean("before_start")?.unwrap_or(false);
        Ok(Self { csr, protocols, mode, before_start })
    }
}

/// Grants access to a container's console.
pub(in crate::http) async fn attach(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<Attach>,
) -> ApiResult {
    Ok(ok(&app.attach(&caller, &ident, &input.0).await?))
}

/// Refuses OpenStack Zun's form, which needs a websocket proxy.
pub(in crate::http) async fn attach_websocket(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _input: Parsed<NoFields>,
) -> ApiResult {
    app.find(&caller, &ident).await?;
    Err(AppError::NotSupported(
        "Attaching over a websocket proxy (GET) is not supported. Use POST with a certificate signing request.",
    ))
}
