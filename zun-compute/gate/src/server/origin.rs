//! Which web pages may open a console. A browser names the page's origin; other clients name none.

use hyper::header::{HOST, HeaderMap, ORIGIN};
use zun_common::id::HostName;

use super::request::only;
use crate::settings::PublicSettings;

/// The origins from which clients with tickets may come.
#[derive(Debug, Clone)]
pub(super) struct Origins {
    name: HostName,
    others: Vec<String>,
}

impl Origins {
    pub(super) fn of(public: &PublicSettings) -> Self {
        Self { name: public.name.clone(), others: public.origins.clone() }
    }

    /// Whether the request comes from no page, from one of the gate's own, or from one that the settings name.
    pub(super) fn allow(&self, headers: &HeaderMap) -> bool {
        if !headers.contains_key(ORIGIN) {
            return true;
        }
        let Some(origin) = only(headers, &ORIGIN) else { return false };
        if self.others.iter().any(|other| other == origin) {
            return true;
        }
        let (Some(page), Some(host)) = (origin.strip_prefix("https://"), only(headers, &HOST))
        else {
            return false;
        };
        // The name is compared too, because any name can lead to this address.
        let is_own = |text: &str| {
            let name = text.split_once(':').map_or(text, |(name, _port)| name);
            name.eq_ignore_ascii_case(self.name.as_str())
        };
        // This is what python-zunclient sends if its URL has no port.
        let without_port = page.strip_suffix(":None").unwrap_or(page);
        is_own(host) && is_own(page) && (page == host || without_port == host)
    }
}

/// Whether the request does not come from another site's page in a browser.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let origin = only(headers, &ORIGIN).and_then(|origin| origin.strip_prefix("https://"));
    origin.is_some() && origin == only(headers, &HOST)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn allowed(host: &str, origin: &[&str]) -> bool {
        let origins = Origins {
            name: "console.example".parse().unwrap(),
            others: vec!["https://horizon.example".to_owned()],
        };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        for origin in origin {
            headers.append(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        origins.allow(&headers)
    }

    #[test]
    fn own_pages_named_ones_and_clients_that_are_no_browser_are_allowed() {
        for (host, origin) in [
            ("console.example:2377", vec![]),
            ("console.example:2377", vec!["https://console.example:2377"]),
            ("console.example", vec!["https://console.example"]),
            ("console.example", vec!["https://console.example:None"]),
            ("console.example:2377", vec!["https://horizon.example"]),
        ] {
            assert!(allowed(host, &origin), "{host} {origin:?}");
        }
    }

    #[test]
    fn all_other_origins_are_refused() {
        for (host, origin) in [
            ("console.example:2377", vec!["https://evil.example"]),
            ("console.example:2377", vec!["http://console.example:2377"]),
            ("console.example:2377", vec!["https://console.example:444"]),
            ("console.example:2377", vec!["https://console.example:None"]),
            ("console.example:2377", vec!["https://horizon.example:444"]),
            ("console.example:2377", vec!["null"]),
            ("console.example:2377", vec!["https://console.example.evil:2377"]),
            ("evil.example:2377", vec!["https://evil.example:2377"]),
            ("evil.example", vec!["https://evil.example:None"]),
            ("console.example", vec!["https://console.example", "https://console.example"]),
        ] {
            assert!(!allowed(host, &origin), "{host} {origin:?}");
        }
    }
}
