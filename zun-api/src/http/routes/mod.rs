//! The routes of the API. Each resource has a table of its routes; the tables together drive the dispatch, the check of
//! the microversion, the permissions, the document at `/v1`, and the OpenAPI document.

mod route;

use std::collections::BTreeSet;

use actix_web::guard::{self, Guard};
use actix_web::http::Method;
use actix_web::http::header::ALLOW;
use actix_web::web::{self, ServiceConfig, resource};
use actix_web::{FromRequest, HttpRequest, HttpResponse};

pub(super) use route::{Reply, Route, Verb, Waits, to};

use super::response::ApiResult;
use super::{
    capsules, containers, events, health, hosts, images, openapi, placement, quotas, recordings,
    registries, resources, root, services, sessions,
};
use crate::app::{AppError, Caller, NotServed};

/// The tables of all resources.
const TABLES: &[&[Route]] = &[
    root::ROUTES,
    health::ROUTES,
    openapi::ROUTES,
    containers::ROUTES,
    events::ROUTES,
    placement::ROUTES,
    hosts::ROUTES,
    images::ROUTES,
    registries::ROUTES,
    resources::ROUTES,
    services::ROUTES,
    sessions::ROUTES,
    recordings::ROUTES,
    quotas::ROUTES,
    capsules::ROUTES,
];

/// All routes, in the order of the tables.
pub(super) fn all() -> impl Iterator<Item = &'static Route> {
    TABLES.iter().copied().flatten()
}

/// The route of a request with this path pattern.
pub(super) fn of(method: &Method, pattern: Option<&str>) -> Option<&'static Route> {
    let pattern = pattern?;
    all().find(|route| route.path == pattern && route.verb.serves(method))
}

/// The value of the header `Allow` for a path pattern.
pub(super) fn allowed(pattern: &str) -> String {
    let verbs = all().filter(|route| route.path == pattern).map(|route| route.verb);
    let mut methods: Vec<&str> = verbs.flat_map(|verb| verb.methods().iter().copied()).collect();
    methods.push("OPTIONS");
    methods.join(", ")
}

/// Registers all routes.
pub(super) fn register(config: &mut ServiceConfig) {
    let mut registered = BTreeSet::new();
    for Route { path, .. } in all() {
        if !registered.insert(*path) {
            continue;
        }
        let mut resource = resource(*path);
        for route in all().filter(|route| route.path == *path) {
            resource = resource.route((route.handler)().guard(Serves(route.verb)));
        }
        config.service(resource.default_service(web::route().to(other_method)));
    }
    config.default_service(web::route().to(not_found));
}

/// Matches the methods that a route serves.
struct Serves(Verb);

impl Guard for Serves {
    fn check(&self, context: &guard::GuardContext<'_>) -> bool {
        self.0.serves(&context.head().method)
    }
}

/// A method that the path does not have. Within `/v1`, the caller must be authenticated first.
async fn other_method(request: HttpRequest) -> ApiResult {
    require_caller(&request).await?;
    let allow = allowed(&request.match_pattern().unwrap_or_default());
    if *request.method() == Method::OPTIONS {
        return Ok(HttpResponse::NoContent().insert_header((ALLOW, allow)).finish());
    }
    let method = request.method().as_str().chars().take(20).collect();
    Err(NotServed::Method { method, allow }.into())
}

/// An unknown path.
async fn not_found(request: HttpRequest) -> ApiResult {
    require_caller(&request).await?;
    Err(AppError::RouteNotFound)
}

async fn require_caller(request: &HttpRequest) -> Result<(), AppError> {
    if request.path().starts_with("/v1/") && request.path() != "/v1/" {
        Caller::extract(request).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
