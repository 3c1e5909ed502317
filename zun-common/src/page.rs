//! A web page embedded in a program. Decides the answer to each request; the program converts it to its HTTP library's
//! type.

/// The file that is the page.
const DOCUMENT: &str = "index.html";
const TEXT: &str = "text/plain; charset=utf-8";

/// A file of a page. All but the page itself have their hash in the name.
#[derive(Debug)]
pub struct Asset {
    /// Its path below the page's.
    pub path: &'static str,
    /// Its content.
    pub plain: &'static [u8],
    /// The same with gzip.
    pub gzip: &'static [u8],
}

/// A page.
#[derive(Debug)]
pub struct Page {
    /// The path of the page, such as `/console`. Its files are below it.
    pub path: &'static str,
    /// The page and its files; none if the program was built without them.
    pub files: &'static [Asset],
    /// What the page may load and do: its `Content-Security-Policy`.
    pub policy: String,
    /// The answer if the program was built without the page.
    pub missing: &'static str,
}

/// A request that may be for a page.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Whether it is a `GET` or `HEAD`.
    pub reads: bool,
    /// Its path.
    pub path: &'a str,
    /// Its header `Accept-Encoding`.
    pub accept_encoding: Option<&'a str>,
    /// Its header `If-None-Match`.
    pub if_none_match: Option<&'a str>,
}

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Headers with their values.
    pub headers: Vec<(&'static str, String)>,
    /// The body, which the answer to `HEAD` leaves out.
    pub body: &'static [u8],
}

impl Page {
    /// Answers a request for the page or one of its files. `None` if the request is for something else.
    pub fn answer(&self, request: &Request<'_>) -> Option<Answer> {
        let below = request.path.strip_prefix(self.path)?;
        let is_document = below.is_empty();
        let name = if is_document { DOCUMENT } else { below.strip_prefix('/')? };
        if !request.reads {
            return Some(refusal(405, "use GET\n"));
        }
        let file = self.files.iter().find(|file| file.path == name);
        Some(match file.filter(|file| is_document || file.path != DOCUMENT) {
            Some(file) => self.file(file, request),
            None if self.files.is_empty() => refusal(404, self.missing),
            None => refusal(404, "there is no such file\n"),
        })
    }

    fn file(&self, file: &Asset, request: &Request<'_>) -> Answer {
        let mut headers = vec![
            ("content-type", content_type(file.path).to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
            ("referrer-policy", "no-referrer".to_owned()),
            ("cross-origin-opener-policy", "same-origin".to_owned()),
            ("cross-origin-resource-policy", "same-origin".to_owned()),
            ("vary", "Accept-Encoding".to_owned()),
        ];
        if file.path == DOCUMENT {
            headers.push(("cache-control", "no-store".to_owned()));
        } else {
            // The name contains the hash of the content.
            let tag = format!("\"{}\"", file.path);
            let is_known = request.if_none_match == Some(&tag);
            headers.push(("cache-control", "public, max-age=31536000, immutable".to_owned()));
            headers.push(("etag", tag));
            if is_known {
                return Answer { status: 304, headers, body: &[] };
            }
        }
        headers.push(("content-security-policy", self.policy.clone()));
        let mut body = file.plain;
        if accepts_gzip(request.accept_encoding.unwrap_or_default()) {
            headers.push(("content-encoding", "gzip".to_owned()));
            body = file.gzip;
        }
        Answer { status: 200, headers, body }
    }
}

fn accepts_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| coding.trim() == "gzip")
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        Some((_, "txt")) => TEXT,
        Some(_) | None => "application/octet-stream",
    }
}

fn refusal(status: u16, text: &'static str) -> Answer {
    let headers = vec![("content-type", TEXT.to_owned()), ("cache-control", "no-store".to_owned())];
    Answer { status, headers, body: text.as_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &[Asset] = &[
        Asset { path: "assets/main-0.js", plain: b"plain", gzip: b"zipped" },
        Asset { path: DOCUMENT, plain: b"<html>", gzip: b"" },
    ];
    const POLICY: &str = "default-src 'none'";

    fn page(files: &'static [Asset]) -> Page {
        Page { path: "/page", files, policy: POLICY.to_owned(), missing: "build it first\n" }
    }

    fn get(path: &str) -> Request<'_> {
        Request { reads: true, path, accept_encoding: None, if_none_match: None }
    }

    fn header<'a>(answer: &'a Answer, wanted: &str) -> Option<&'a str> {
        answer.headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str())
    }

    #[test]
    fn other_paths_are_not_answered_and_other_methods_are_refused() {
        assert_eq!(page(FILES).answer(&get("/")), None);
        assert_eq!(page(FILES).answer(&get("/pages")), None);
        let posted = page(FILES).answer(&Request { reads: false, ..get("/page") });
        assert_eq!(posted.map(|answer| answer.status), Some(405));
        for missing in ["/page/", "/page/index.html", "/page/../main.rs", "/page/main-0.js"] {
            let answer = page(FILES).answer(&get(missing)).expect("an answer");
            assert_eq!(answer.status, 404, "{missing}");
        }
    }

    #[test]
    fn a_program_without_the_page_says_so() {
        let answer = page(&[]).answer(&get("/page")).expect("an answer");
        assert_eq!((answer.status, answer.body), (404, &b"build it first\n"[..]));
    }

    #[test]
    fn the_page_is_not_kept_and_has_the_policy() {
        let answer = page(FILES).answer(&get("/page")).expect("an answer");
        assert_eq!((answer.status, answer.body), (200, &b"<html>"[..]));
        assert_eq!(header(&answer, "cache-control"), Some("no-store"));
        assert_eq!(header(&answer, "content-security-policy"), Some(POLICY));
    }

    #[test]
    fn its_files_are_kept_for_ever_and_sent_with_gzip_to_those_who_accept_it() {
        let path = "/page/assets/main-0.js";
        let plain = page(FILES).answer(&get(path)).expect("an answer");
        assert_eq!((header(&plain, "content-encoding"), plain.body), (None, &b"plain"[..]));
        assert!(header(&plain, "cache-control").is_some_and(|value| value.ends_with("immutable")));
        let asked = Request { accept_encoding: Some("br, gzip"), ..get(path) };
        let zipped = page(FILES).answer(&asked).expect("an answer");
        let coding = header(&zipped, "content-encoding");
        assert_eq!((coding, zipped.body), (Some("gzip"), &b"zipped"[..]));
        let asked = Request { if_none_match: header(&zipped, "etag"), ..get(path) };
        let again = page(FILES).answer(&asked).expect("an answer");
        assert_eq!((again.status, again.body), (304, &b""[..]));
    }
}
