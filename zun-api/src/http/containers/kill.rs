//! `POST /v1/containers/{ident}/kill`

use actix_web::web::Data;

use super::{SIGNAL, signal};
use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::Field;
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, accepted};

/// A kill request.
pub(in crate::http) struct Kill {
    signal: String,
}

impl FromFields for Kill {
    const FIELDS: &'static [Field] = &[SIGNAL];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { signal: signal(fields)? })
    }
}

/// Sends a signal to a container.
pub(in crate::http) async fn kill(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<Kill>,
) -> ApiResult {
    app.kill(&caller, &ident, input.0.signal).await?;
    Ok(accepted())
}
