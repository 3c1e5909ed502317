//! `POST /v1/containers/{ident}/rebuild`

use actix_web::web::Data;

use super::create::IMAGE_DRIVER;
use crate::app::containers::{Ident, Rebuild};
use crate::app::{App, AppError, Caller};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::{Field, text_field};
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, accepted};
use crate::http::rules::IMAGE;

impl FromFields for Rebuild {
    const FIELDS: &'static [Field] = &[
        text_field("image", IMAGE, "The image; the container's own if absent").in_query(),
        IMAGE_DRIVER.in_query(),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { image: fields.text("image") })
    }
}

/// Replaces a container with a new one from an image.
pub(in crate::http) async fn rebuild(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<Rebuild>,
) -> ApiResult {
    app.rebuild(&caller, &ident, input.0).await?;
    Ok(accepted())
}
