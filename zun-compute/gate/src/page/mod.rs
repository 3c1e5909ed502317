//! The web console: the page and its files, which are part of the program. The page opens a session as any other client
//! with a ticket does.

use std::fmt::Write as _;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

/// The path of the page.
pub const PATH: &str = "/console";
/// The paths of its files begin with this.
const ASSETS: &str = "/console/";
/// The file that is the page.
const DOCUMENT: &str = "index.html";

/// What the page may load and do: nothing from elsewhere. The hash is that of an empty style element.
const POLICY: &str = include_str!("policy.txt");

/// One file.
struct Asset {
    path: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

static FILES: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Serves the page.
#[derive(Debug)]
pub struct WebConsole {
    policy: HeaderValue,
}

impl WebConsole {
    /// For a page that other sites may show in a frame, if their origins are these.
    pub fn new(frame_ancestors: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut policy = format!("{}; frame-ancestors 'self'", POLICY.trim());
        for origin in frame_ancestors {
            // Writing to a string cannot fail.
            _ = write!(policy, " {}", origin.as_ref());
        }
        let own = HeaderValue::from_static("frame-ancestors 'none'; default-src 'none'");
        Self { policy: HeaderValue::from_str(&policy).unwrap_or(own) }
    }

    /// Answers a request for the page or one of its files. `None` if the request is for something else.
    pub fn answer(&self, head: &Parts) -> Option<Response<Full<Bytes>>> {
        let path = head.uri.path();
        let is_document = path == PATH;
        let name = if is_document { DOCUMENT } else { path.strip_prefix(ASSETS)? };
        if head.method != Method::GET && head.method != Method::HEAD {
            return Some(refusal(StatusCode::METHOD_NOT_ALLOWED, "use GET\n"));
        }
        let file = FILES.iter().find(|file| file.path == name);
        let file = file.filter(|file| is_document || file.path != DOCUMENT);
        Some(match file {
            Some(file) => self.file(file, head),
            None if FILES.is_empty() => refusal(
                StatusCode::NOT_FOUND,
                "this zun-console was built without the web console: run `make web`, and build zun-console again\n",
            ),
            None => refusal(StatusCode::NOT_FOUND, "there is no such file\n"),
        })
    }

    fn file(&self, file: &Asset, head: &Parts) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &'static str| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        set(CONTENT_TYPE, content_type(file.path));
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(REFERRER_POLICY, "no-referrer");
        set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
        set(VARY, "Accept-Encoding");
        set(CONNECTION, "close");
        if file.path == DOCUMENT {
            set(CACHE_CONTROL, "no-store");
        } else {
            // The name of each of them contains its hash.
            set(CACHE_CONTROL, "public, max-age=31536000, immutable");
            let tag = HeaderValue::from_str(&format!("\"{}\"", file.path));
            let is_known = tag.as_ref().ok() == head.headers.get(IF_NONE_MATCH);
            headers.extend(tag.ok().map(|tag| (ETAG, tag)));
            if is_known {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return response;
            }
        }
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        let body = if accepts_gzip(head) {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            file.gzip
        } else {
            file.plain
        };
        // hyper leaves the body out of the answer to HEAD.
        *response.body_mut() = Full::new(Bytes::from_static(body));
        response
    }
}

fn accepts_gzip(head: &Parts) -> bool {
    let accepted = head.headers.get_all(ACCEPT_ENCODING).into_iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| coding.trim() == "gzip")
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        Some((_, "txt")) => "text/plain; charset=utf-8",
        Some(_) | None => "application/octet-stream",
    }
}

fn refusal(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn ask(
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
    ) -> Option<Response<Full<Bytes>>> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        WebConsole::new(["https://dashboard.example.org"]).answer(&head)
    }

    fn header<'a>(response: &'a Response<Full<Bytes>>, name: &HeaderName) -> &'a str {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[test]
    fn other_paths_are_not_answered_and_other_methods_are_refused() {
        assert!(ask(Method::GET, "/v1/console", &[]).is_none());
        assert!(ask(Method::GET, "/", &[]).is_none());
        let posted = ask(Method::POST, PATH, &[]).expect("an answer");
        assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
        for missing in ["/console/", "/console/index.html", "/console/../main.rs"] {
            let answer = ask(Method::GET, missing, &[]).expect("an answer");
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{missing}");
        }
    }

    #[test]
    fn the_page_is_not_kept_and_may_load_nothing_from_elsewhere() {
        let page = ask(Method::GET, PATH, &[]).expect("an answer");
        if FILES.is_empty() {
            assert_eq!(page.status(), StatusCode::NOT_FOUND);
            return;
        }
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(header(&page, &CACHE_CONTROL), "no-store");
        let policy = header(&page, &CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(
            policy.ends_with("; frame-ancestors 'self' https://dashboard.example.org"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn its_files_are_kept_for_ever_and_sent_with_gzip_to_those_who_take_it() {
        for file in FILES.iter().filter(|file| file.path != DOCUMENT) {
            let path = format!("{ASSETS}{}", file.path);
            let plain = ask(Method::GET, &path, &[]).expect("an answer");
            assert_eq!(header(&plain, &CONTENT_ENCODING), "");
            let zipped =
                ask(Method::GET, &path, &[(ACCEPT_ENCODING, "br, gzip")]).expect("an answer");
            assert_eq!(header(&zipped, &CONTENT_ENCODING), "gzip");
            assert!(header(&zipped, &CACHE_CONTROL).ends_with("immutable"));
            let tag = header(&zipped, &ETAG).to_owned();
            let again = ask(Method::GET, &path, &[(IF_NONE_MATCH, &tag)]).expect("an answer");
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        }
    }
}
