//! `POST /v1/containers/{ident}/commit`

use actix_web::HttpResponse;
use actix_web::web::Data;
use zun_common::api::v1::files::CommittedImage;

use crate::app::containers::{Commit, Ident};
use crate::app::{App, AppError, Caller};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::{Field, text_field};
use crate::http::fields::Fields;
use crate::http::response::ApiResult;
use crate::http::rules::{REPOSITORY, TAG};

impl FromFields for Commit {
    const FIELDS: &'static [Field] = &[
        text_field("repository", REPOSITORY, "The name of the image, after the project's prefix")
            .required()
            .in_query(),
        text_field("tag", TAG, "The tag; `latest` if absent").in_query(),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let repository = fields.text("repository").ok_or_else(|| fields.missing("repository"))?;
        Ok(Self { repository, tag: fields.text("tag").unwrap_or_else(|| "latest".to_owned()) })
    }
}

/// Creates an image from a container on its host.
pub(in crate::http) async fn commit(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<Commit>,
) -> ApiResult {
    let made = app.commit(&caller, &ident, input.0).await?;
    Ok(HttpResponse::Accepted().json(CommittedImage { uuid: made.id, image: made.name }))
}
