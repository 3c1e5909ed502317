//! The web console and the player of recordings: the pages and their files, which are part of the program. The web console
//! opens a session as any other client with a ticket does, and the player downloads a recording with a ticket.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT_ENCODING, CONNECTION, HeaderName, HeaderValue, IF_NONE_MATCH};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use zun_common::page::{Answer, Asset, Page, Request};

/// The path of the web console.
pub const PATH: &str = "/console";
/// The path of the player.
pub const PLAYER_PATH: &str = "/recording";

/// What the pages may load and do: nothing from elsewhere. The hash is that of an empty style element.
const POLICY: &str = include_str!("policy.txt");
const MISSING: &str = "this zun-console was built without the web console: run `make web`, and build zun-console again\n";

static CONSOLE: &[Asset] = include!(concat!(env!("OUT_DIR"), "/console.rs"));
static PLAYER: &[Asset] = include!(concat!(env!("OUT_DIR"), "/player.rs"));

/// Serves the pages.
#[derive(Debug)]
pub struct WebConsole([Page; 2]);

impl WebConsole {
    /// Creates it. Sites with these origins may show the web console in a frame.
    pub fn new(frame_ancestors: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut policy = format!("{}; frame-ancestors 'self'", POLICY.trim());
        for origin in frame_ancestors {
            policy.push(' ');
            policy.push_str(origin.as_ref());
        }
        if HeaderValue::from_str(&policy).is_err() {
            "frame-ancestors 'none'; default-src 'none'".clone_into(&mut policy);
        }
        let of_player = format!("{}; frame-ancestors 'none'", POLICY.trim());
        Self([
            Page { path: PATH, files: CONSOLE, policy, missing: MISSING },
            Page { path: PLAYER_PATH, files: PLAYER, policy: of_player, missing: MISSING },
        ])
    }

    /// Answers a request for a page or one of its files. `None` if the request is for something else.
    pub fn answer(&self, head: &Parts) -> Option<Response<Full<Bytes>>> {
        let text = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
        let request = Request {
            reads: head.method == Method::GET || head.method == Method::HEAD,
            path: head.uri.path(),
            accept_encoding: text(ACCEPT_ENCODING),
            if_none_match: text(IF_NONE_MATCH),
        };
        self.0.iter().find_map(|page| page.answer(&request)).map(response)
    }
}

/// hyper leaves the body out of the answer to HEAD.
fn response(answer: Answer) -> Response<Full<Bytes>> {
    let Answer { status, headers, body } = answer;
    let mut response = Response::new(Full::new(Bytes::from_static(body)));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        let value = HeaderValue::try_from(value).ok();
        response.headers_mut().extend(value.map(|value| (HeaderName::from_static(name), value)));
    }
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};

    use super::*;

    fn ask(method: Method, path: &str) -> Option<Response<Full<Bytes>>> {
        let request = hyper::Request::builder().method(method).uri(path);
        let (head, ()) = request.body(()).expect("a request").into_parts();
        WebConsole::new(["https://dashboard.example.org"]).answer(&head)
    }

    fn header<'a>(response: &'a Response<Full<Bytes>>, name: &HeaderName) -> &'a str {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[test]
    fn other_paths_are_not_answered_and_other_methods_are_refused() {
        assert!(ask(Method::GET, "/v1/console").is_none());
        assert!(ask(Method::GET, "/recordings/v1/x").is_none());
        let posted = ask(Method::POST, PATH).expect("an answer");
        assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(header(&posted, &CONNECTION), "close");
    }

    #[test]
    fn the_pages_are_not_kept_and_may_load_nothing_from_elsewhere() {
        let ancestors = [
            (PATH, CONSOLE, "'self' https://dashboard.example.org"),
            (PLAYER_PATH, PLAYER, "'none'"),
        ];
        for (path, files, ancestors) in ancestors {
            let page = ask(Method::GET, path).expect("an answer");
            if files.is_empty() {
                assert_eq!(page.status(), StatusCode::NOT_FOUND);
                continue;
            }
            assert_eq!(page.status(), StatusCode::OK);
            assert_eq!(header(&page, &CACHE_CONTROL), "no-store");
            let policy = header(&page, &CONTENT_SECURITY_POLICY);
            assert!(policy.starts_with("default-src 'none';"), "{policy}");
            assert!(policy.ends_with(&format!("; frame-ancestors {ancestors}")), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
        }
    }
}
