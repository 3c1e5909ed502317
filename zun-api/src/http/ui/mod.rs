//! The dashboard: a page that is part of the program, and uses the API as any other client does.

mod sign_in;

use actix_web::http::header::{ACCEPT_ENCODING, HeaderName, IF_NONE_MATCH};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};
use zun_common::page::{Answer, Asset, Page, Request};

use super::response::ApiResult;
use crate::app::{App, AppError};

/// The path of the page.
const PATH: &str = "/ui";
/// The path at which it exchanges a password for a token of Keystone.
const SIGN_IN: &str = "/ui/sign_in";

/// What the page may load and do: nothing from other servers, except consoles, which it shows in frames. The hosts of
/// consoles are only known when a ticket is issued.
const POLICY: &str = include_str!("policy.txt");

static FILES: &[Asset] = include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// Registers the page. It is not part of the API, so no document lists it.
pub(super) fn register(config: &mut ServiceConfig) {
    let sign_in = resource(SIGN_IN).route(web::post().to(sign_in::sign_in));
    config.service(sign_in.default_service(web::route().to(page)));
    config.service(resource([PATH, "/ui/{file:.*}"]).default_service(web::route().to(page)));
}

/// Whether the path is one of the page and its files. Browsers show these files as they are.
pub(super) fn serves(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns an error if the dashboard is switched off.
fn require(app: &App) -> Result<(), AppError> {
    if app.settings.http.ui { Ok(()) } else { Err(AppError::RouteNotFound) }
}

/// Returns the page or one of its files.
async fn page(app: Data<App>, request: HttpRequest) -> ApiResult {
    require(&app)?;
    let page = Page {
        path: PATH,
        files: FILES,
        policy: POLICY.trim().to_owned(),
        missing: "this zun-api was built without the dashboard: run `make web`, and build zun-api again\n",
    };
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let answer = page.answer(&Request {
        reads: matches!(*request.method(), Method::GET | Method::HEAD),
        path: request.path(),
        accept_encoding: text(ACCEPT_ENCODING),
        if_none_match: text(IF_NONE_MATCH),
    });
    answer.map(response).ok_or(AppError::RouteNotFound)
}

/// actix leaves the body out of the answer to HEAD.
fn response(answer: Answer) -> HttpResponse {
    let Answer { status, headers, body } = answer;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for header in headers {
        response.insert_header(header);
    }
    response.body(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pages_own_paths_are_served_as_they_are() {
        for own in ["/ui", "/ui/assets/main-0.js", "/ui/"] {
            assert!(serves(own), "{own}");
        }
        for other in ["/", "/uid", "/v1/ui"] {
            assert!(!serves(other), "{other}");
        }
    }

    #[test]
    fn the_policy_permits_no_code_from_elsewhere_and_no_other_site_around_it() {
        assert!(POLICY.starts_with("default-src 'none';"), "{POLICY}");
        assert!(POLICY.contains("script-src 'self';"), "{POLICY}");
        assert!(POLICY.contains("frame-ancestors 'none';"), "{POLICY}");
        assert!(!POLICY.contains("unsafe"), "{POLICY}");
    }
}
