//! `/v1/images`: images on hosts.

use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use zun_common::api::v1::image::{FoundImage, Image, ImageList};
use zun_common::rpc::container::PullPolicy;

use super::containers::{IMAGE_DRIVER, PLATFORM, PULL_POLICY, pull_policy};
use super::extract::{FromFields, NoFields, Parsed};
use super::field::{Field, Kind, boolean_field, field, text_field};
use super::fields::Fields;
use super::paging::{self, ItemPage};
use super::response::{ApiResult, done, ok};
use super::routes::{Route, Waits, to};
use super::rules::{HOST_NAME, IMAGE, SHORT_TEXT};
use super::view::{self, ViewContext};
use crate::app::images::{ImageFilter, NewImage};
use crate::app::{App, AppError, Caller, InvalidField, Permission};

/// The routes of images.
pub(super) const ROUTES: &[Route] = &[
    Route::get(
        "/v1/images",
        "List the images that were pulled through this API, or created from containers",
        to!(list),
    )
    .only(Permission::SeeImages)
    .reads::<ImagePage>()
    .returns::<ImageList>(),
    Route::post("/v1/images", "Pull an image onto a host", to!(pull))
        .only(Permission::PullImage)
        .reads::<NewImage>()
        .success(202)
        .returns::<Image>(),
    Route::get("/v1/images/{id}", "Show an image", to!(show))
        .only(Permission::SeeImages)
        .returns::<Image>(),
    Route::delete("/v1/images/{id}", "Remove an image from its host", to!(delete))
        .only(Permission::DeleteImage),
    Route::get("/v1/images/{name}/search", "Search Docker Hub", to!(search))
        .only(Permission::SearchImages)
        .reads::<Search>()
        .returns::<Vec<FoundImage>>()
        .waits(Waits::ForHost),
];

impl FromFields for NewImage {
    const FIELDS: &'static [Field] = &[
        text_field("repo", IMAGE, "The image, with a tag or a digest if it has one").required(),
        text_field("tag", SHORT_TEXT, "The tag or the digest, if `repo` has none"),
        text_field("host", HOST_NAME, "The host; it can be left out if there is only one"),
        PULL_POLICY,
        text_field("platform", PLATFORM, "The platform. Not in OpenStack Zun's API"),
        text_field(
            "registry",
            SHORT_TEXT,
            "Name or UUID of the login to the registry. Not in OpenStack Zun's API",
        ),
        text_field("image_id", SHORT_TEXT, "Ignored: the engine decides"),
        field("size", Kind::Custom(|| json!({})), "Ignored: the engine decides"),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let repo = fields
            .text("repo")
            .ok_or_else(|| AppError::Malformed("'repo' is a required property".to_owned()))?;
        let tag = fields.text("tag").filter(|tag| !tag.is_empty());
        // OpenStack's client sends them.
        fields.take("image_id");
        fields.take("size");
        Ok(Self {
            image: with_tag(repo, tag)?,
            host: fields.parsed("host"),
            policy: pull_policy(fields).unwrap_or(PullPolicy::Always),
            platform: fields.text("platform"),
            registry: fields.text("registry"),
        })
    }
}

/// Appends a tag or a digest to a repository.
fn with_tag(repo: String, tag: Option<String>) -> Result<String, InvalidField> {
    let Some(tag) = tag else { return Ok(repo) };
    let last = repo.rsplit('/').next().unwrap_or(&repo);
    if last.contains([':', '@']) {
        let rule = "left out if `repo` has a tag or a digest";
        return Err(InvalidField::new("tag", &tag, rule));
    }
    let separator = if tag.contains(':') { '@' } else { ':' };
    Ok(format!("{repo}{separator}{tag}"))
}

/// Selects a part of the list.
pub(super) struct ImagePage {
    filter: ImageFilter,
    page: ItemPage,
}

impl FromFields for ImagePage {
    const FIELDS: &'static [Field] = &[
        paging::LIMIT,
        paging::MARKER,
        paging::SORT_DIR,
        paging::SORT_KEY,
        boolean_field("all_projects", "Include the images of all projects")
            .only(Permission::SeeAllProjects),
        text_field("host", HOST_NAME, "Only images on this host").only(Permission::FilterByHost),
        text_field("repo", SHORT_TEXT, "Only images of this repository"),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let filter = ImageFilter {
            all_projects: fields.flag("all_projects"),
            host: fields.parsed("host"),
            repo: fields.text("repo"),
        };
        Ok(Self { filter, page: ItemPage::read(fields) })
    }
}

/// What to search.
pub(super) struct Search {
    is_exact: bool,
}

impl FromFields for Search {
    const FIELDS: &'static [Field] =
        &[boolean_field("exact_match", "Only the image of exactly this name"), IMAGE_DRIVER];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { is_exact: fields.flag("exact_match") })
    }
}

/// `GET /v1/images`
pub(super) async fn list(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    request: HttpRequest,
    input: Parsed<ImagePage>,
) -> ApiResult {
    let ImagePage { filter, page } = input.0;
    let all = app.images(&caller, filter).await?;
    let id = |record: &crate::db::image::Record| record.id.to_string();
    let (shown, last) = page.select(all, id).map_err(AppError::ImageNotFound)?;
    let next = last.map(|last| {
        view_context.base.next_page("images", request.query_string(), (page.limit, &last))
    });
    let images = shown.iter().map(|record| view::image(record, (&caller, &view_context))).collect();
    Ok(ok(&ImageList { images, next }))
}

/// `POST /v1/images`
pub(super) async fn pull(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    input: Parsed<NewImage>,
) -> ApiResult {
    let record = app.into_inner().pull_image(&caller, input.0).await?;
    let location = view_context.base.join(&format!("/v1/images/{}", record.id));
    let shown = view::image(&record, (&caller, &view_context));
    Ok(HttpResponse::Accepted().insert_header((LOCATION, location)).json(shown))
}

/// `GET /v1/images/{uuid}`
pub(super) async fn show(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    id: Path<String>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    let record = app.image(&caller, &id).await?;
    Ok(ok(&view::image(&record, (&caller, &view_context))))
}

/// `DELETE /v1/images/{uuid}`
pub(super) async fn delete(
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    _input: Parsed<NoFields>,
) -> ApiResult {
    app.into_inner().delete_image(&caller, &id).await?;
    Ok(done())
}

/// `GET /v1/images/{name}/search`
pub(super) async fn search(
    app: Data<App>,
    caller: Caller,
    name: Path<String>,
    input: Parsed<Search>,
) -> ApiResult {
    if !(IMAGE.is_valid)(&name) {
        return Err(InvalidField::new("image", &name, IMAGE.description).into());
    }
    Ok(ok(&app.search_images(&caller, (&name, input.0.is_exact)).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_or_a_digest_is_given_once() {
        let joined = |repo: &str, tag: &str| with_tag(repo.to_owned(), Some(tag.to_owned()));
        assert_eq!(joined("r:5000/a", "v1"), Ok("r:5000/a:v1".to_owned()));
        assert_eq!(joined("a", "sha256:ab"), Ok("a@sha256:ab".to_owned()));
        assert!(joined("a:v2", "v1").is_err());
        assert!(joined("a@sha256:ab", "v1").is_err());
    }
}
