//! The links in responses.

use url::form_urlencoded;
use zun_common::api::v1::version::Link;

use crate::settings::HttpSettings;

/// The start of all links, such as `http://127.0.0.1:9517`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BaseUrl(String);

impl BaseUrl {
    /// Uses the setting, or else the request's `Host`, or else the listen address.
    pub(super) fn new(settings: &HttpSettings, host: Option<&str>) -> Self {
        if let Some(set) = &settings.public_endpoint {
            return Self(set.trim_end_matches('/').to_owned());
        }
        let is_valid = |host: &&str| {
            let is_allowed = |byte: u8| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'.' | b':' | b'-' | b'_' | b'[' | b']')
            };
            (1..=300).contains(&host.len()) && host.bytes().all(is_allowed)
        };
        let scheme = settings.scheme();
        match host.filter(is_valid) {
            Some(host) => Self(format!("{scheme}://{host}")),
            None => Self(format!("{scheme}://{}", settings.listen)),
        }
    }

    /// Appends a path.
    pub(super) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Returns the two links of an item in a collection.
    pub(super) fn links(&self, collection: &str, id: &str) -> Vec<Link> {
        vec![
            link(self.join(&format!("/v1/{collection}/{id}")), "self"),
            link(self.join(&format!("/{collection}/{id}")), "bookmark"),
        ]
    }

    /// Returns the link to the next page: the same query with another marker.
    pub(super) fn next_page(&self, collection: &str, query: &str, page: (usize, &str)) -> String {
        let (limit, marker) = page;
        let mut next = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !matches!(name.as_ref(), "limit" | "marker") {
                next.append_pair(&name, &value);
            }
        }
        next.append_pair("limit", &limit.to_string());
        next.append_pair("marker", marker);
        self.join(&format!("/v1/{collection}?{}", next.finish()))
    }
}

/// Creates a link without a media type.
pub(super) fn link(href: String, rel: &str) -> Link {
    Link { href, rel: rel.to_owned(), media_type: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_start_with_the_setting_or_the_host_header_or_the_listen_address() {
        let plain = HttpSettings::default();
        let tls = HttpSettings { certificate: Some("cert.pem".into()), ..plain.clone() };
        let public = HttpSettings { public_endpoint: Some("https://zun/".into()), ..plain.clone() };
        assert_eq!(BaseUrl::new(&public, Some("x")).0, "https://zun");
        assert_eq!(BaseUrl::new(&plain, Some("[::1]:80")).0, "http://[::1]:80");
        assert_eq!(BaseUrl::new(&tls, Some("[::1]:80")).0, "https://[::1]:80");
        assert_eq!(BaseUrl::new(&plain, Some("a\"b")).0, "http://127.0.0.1:9517");
    }

    #[test]
    fn the_next_page_keeps_the_filters() {
        let base = BaseUrl::new(&HttpSettings::default(), Some("h"));
        assert_eq!(
            base.next_page("containers", "limit=5&name=a%20b&marker=old", (2, "new")),
            "http://h/v1/containers?name=a+b&limit=2&marker=new"
        );
    }
}
