//! `POST /v1/containers/{ident}/reboot`

use actix_web::web::Data;

use super::GRACE;
use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::Field;
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, accepted};

/// A reboot request.
pub(in crate::http) struct Reboot {
    grace: Option<u32>,
}

impl FromFields for Reboot {
    const FIELDS: &'static [Field] = &[GRACE];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { grace: fields.whole("timeout") })
    }
}

/// Stops a container and starts it again.
pub(in crate::http) async fn reboot(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<Reboot>,
) -> ApiResult {
    app.reboot(&caller, &ident, input.0.grace).await?;
    Ok(accepted())
}
