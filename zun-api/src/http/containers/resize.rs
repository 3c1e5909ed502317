//! `POST /v1/containers/{ident}/resize`

use actix_web::web::Data;
use zun_common::units::TerminalSize;

use super::{COLUMNS, ROWS, size};
use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::Field;
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, done};

/// A resize request.
pub(in crate::http) struct Resize {
    size: TerminalSize,
}

impl FromFields for Resize {
    const FIELDS: &'static [Field] = &[ROWS, COLUMNS];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { size: size(fields)? })
    }
}

/// Sets the size of a container's terminal.
pub(in crate::http) async fn resize(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<Resize>,
) -> ApiResult {
    app.resize(&caller, &ident, input.0.size).await?;
    Ok(done())
}
