//! `POST /v1/containers/{ident}/logs` and `…/archive`: where our own client dials for output and files.
//! Beside Zun's API.

use actix_web::web::Data;
use serde_json::Value;
use zun_common::grant::{self, Mode};

use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller, Invalid};
use crate::http::answer::{Answer, ok};
use crate::http::extract::{Ask, Asked};
use crate::http::fields::{Fields, wrong};
use crate::http::rules::CSR;

fn csr(fields: &mut Fields) -> Result<String, Invalid> {
    let csr = fields.text("csr", &CSR)?;
    csr.ok_or_else(|| Invalid::new("csr", "", format!("given: {}", CSR.words)))
}

/// With which key.
pub(in crate::http) struct LogsByDial {
    csr: String,
}

impl Ask for LogsByDial {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { csr: csr(fields)? })
    }
}

/// Grants the output.
pub(in crate::http) async fn logs_by_dial(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    ask: Asked<LogsByDial>,
) -> Answer {
    Ok(ok(&app.data(&caller, &ident, &ask.0.csr, grant::DataKind::Logs).await?))
}

/// With which key, and in which direction.
pub(in crate::http) struct ArchiveByDial {
    csr: String,
    mode: Mode,
}

impl Ask for ArchiveByDial {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let csr = csr(fields)?;
        let mode = match fields.take("mode") {
            Some(Value::String(text)) if text == "ro" => Mode::ReadOnly,
            Some(Value::String(text)) if text == "rw" => Mode::ReadWrite,
            other => {
                let rule = "`ro` to copy out, or `rw` to copy in";
                Err(wrong("mode", &other.unwrap_or_default(), rule))?
            }
        };
        Ok(Self { csr, mode })
    }
}

/// Grants the files.
pub(in crate::http) async fn archive_by_dial(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    ask: Asked<ArchiveByDial>,
) -> Answer {
    let ArchiveByDial { csr, mode } = ask.0;
    Ok(ok(&app.data(&caller, &ident, &csr, grant::DataKind::Archive(mode)).await?))
}
