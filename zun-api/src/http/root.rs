//! The version documents, and the responses for unknown routes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use zun_common::api::v1::version::{Root, Version};

use super::links::{BaseUrl, link};
use super::microversion::Microversion;
use super::response::{ApiResult, ok};
use super::routes::{self, Route, Verb, to};
use super::view::ViewContext;

/// The routes of the version documents.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/", "List the versions of the API", to!(versions)).for_all().returns::<Root>(),
    Route::get("/v1", "Show the resources of version 1", to!(v1)).for_all().returns::<Value>(),
];

/// `GET /`: the supported API versions. Requires no authentication.
pub(super) async fn versions(view_context: ViewContext) -> ApiResult {
    let version = Version {
        id: "v1".to_owned(),
        links: vec![link(view_context.base.join("/v1/"), "self")],
        status: "CURRENT".to_owned(),
        max_version: Microversion::NEWEST.to_string(),
        min_version: Microversion::OLDEST.to_string(),
    };
    Ok(ok(&Root {
        name: "OpenStack Zun API".to_owned(),
        description: "Zun runs containers on many hosts.".to_owned(),
        versions: vec![version.clone()],
        default_version: version,
    }))
}

/// `GET /v1`.
pub(super) async fn v1(view_context: ViewContext) -> ApiResult {
    let base = &view_context.base;
    let mut described = link(base.join("/"), "describedby");
    described.media_type = Some("text/html".to_owned());
    let mut document = json!({
        "id": "v1",
        "media_types": [{"base": "application/json", "type": "application/vnd.openstack.zun.v1+json"}],
        "links": [link(base.join("/v1/"), "self"), described],
    });
    if let Some(document) = document.as_object_mut() {
        let names: BTreeSet<&str> = resources().collect();
        document.extend(names.into_iter().map(|name| (name.to_owned(), collection(base, name))));
    }
    Ok(ok(&document))
}

/// The resources that can be read, by the table of routes: `/v1/NAME`, or, as in OpenStack Zun, only single objects
/// below it.
fn resources() -> impl Iterator<Item = &'static str> {
    let read = routes::all().filter(|route| route.verb == Verb::Get);
    let below = read.filter_map(|route| route.path.strip_prefix("/v1/"));
    below.filter_map(|path| path.split('/').next())
}

fn collection(base: &BaseUrl, name: &str) -> Value {
    json!([
        link(base.join(&format!("/v1/{name}/")), "self"),
        link(base.join(&format!("/{name}/")), "bookmark"),
    ])
}
