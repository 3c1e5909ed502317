//! `POST /v1/containers/{ident}/stop`

use actix_web::web::Data;

use super::GRACE;
use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::Field;
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, accepted};

/// A stop request.
pub(in crate::http) struct Stop {
    grace: Option<u32>,
}

impl FromFields for Stop {
    const FIELDS: &'static [Field] = &[GRACE];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { grace: fields.whole("timeout") })
    }
}

/// Stops a container.
pub(in crate::http) async fn stop(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<Stop>,
) -> ApiResult {
    app.stop(&caller, &ident, input.0.grace).await?;
    Ok(accepted())
}
