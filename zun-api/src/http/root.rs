//! The version documents, and the responses for unknown routes.

use serde_json::{Value, json};
use zun_common::api::v1::version::{Root, Version};

use super::links::{BaseUrl, link};
use super::microversion::Microversion;
use super::response::{ApiResult, ok};
use super::view::ViewContext;
use crate::app::{AppError, Caller};

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
    Ok(ok(&json!({
        "id": "v1",
        "media_types": [{"base": "application/json", "type": "application/vnd.openstack.zun.v1+json"}],
        "links": [link(base.join("/v1/"), "self"), described],
        "containers": collection(base, "containers"),
        "hosts": collection(base, "hosts"),
        "services": collection(base, "services"),
    })))
}

fn collection(base: &BaseUrl, name: &str) -> Value {
    json!([
        link(base.join(&format!("/v1/{name}/")), "self"),
        link(base.join(&format!("/{name}/")), "bookmark"),
    ])
}

/// An unknown route outside `/v1`.
pub(super) async fn not_found() -> ApiResult {
    Err(AppError::RouteNotFound)
}

/// An unknown route within `/v1`. Like OpenStack Zun, returns the same for an unsupported method.
pub(super) async fn not_found_in_v1(_caller: Caller) -> ApiResult {
    Err(AppError::RouteNotFound)
}
