//! Which pages may send requests with the strategy `none`.
//!
//! That strategy has no tokens, so this module protects it from cross-site requests (checked by `Origin`) and from DNS
//! rebinding (checked by `Host`).

use actix_web::http::uri::{Authority, Uri};

use super::Refusal;

/// The address of this service, and the page that sends the request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Site<'a> {
    /// The request's `Host`. Browsers always send one.
    pub(crate) host: Option<&'a str>,
    /// The request's `Origin`. Absent if no page sends it, and if the page only reads its own site.
    pub(crate) origin: Option<&'a str>,
}

impl Site<'_> {
    /// Requires that the host is a loopback address or that of `public`, and that the origin is the same or that of
    /// `public`. `public` is the setting `http.public_endpoint`.
    pub(super) fn require_own(self, public: Option<&str>) -> Result<(), Refusal> {
        let public = public.and_then(authority_of_url);
        let is_public = |found: &Authority| public.as_ref() == Some(found);
        let host = self.host.map(str::parse::<Authority>);
        let host = match host {
            Some(Ok(host)) if is_loopback(&host) || is_public(&host) => Some(host),
            Some(_) => return Err(foreign("Host", self.host)),
            None => None,
        };
        let Some(origin) = self.origin else { return Ok(()) };
        match authority_of_url(origin) {
            Some(origin) if host.as_ref() == Some(&origin) || is_public(&origin) => Ok(()),
            Some(_) | None => Err(foreign("Origin", self.origin)),
        }
    }
}

fn foreign(header: &'static str, value: Option<&str>) -> Refusal {
    Refusal::ForeignSite { header, value: value.unwrap_or_default().to_owned() }
}

fn authority_of_url(url: &str) -> Option<Authority> {
    url.parse::<Uri>().ok()?.into_parts().authority
}

fn is_loopback(authority: &Authority) -> bool {
    match url::Host::parse(authority.host()) {
        Ok(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Ok(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Ok(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header for which the request is refused. An empty text is an absent header.
    fn refused(host: &str, origin: &str, public: Option<&str>) -> Option<&'static str> {
        let [host, origin] = [host, origin].map(|text| (!text.is_empty()).then_some(text));
        match (Site { host, origin }).require_own(public) {
            Err(Refusal::ForeignSite { header, .. }) => Some(header),
            Ok(()) | Err(_) => None,
        }
    }

    #[test]
    fn only_pages_of_this_service_at_a_loopback_address_may_send_requests() {
        for (host, origin) in [
            ("", ""),
            ("127.0.0.1:9517", ""),
            ("127.0.0.1:9517", "http://127.0.0.1:9517"),
            ("[::1]:9517", "https://[::1]:9517"),
            ("LOCALHOST", "http://localhost"),
            ("zun.localhost:9517", ""),
        ] {
            assert_eq!(refused(host, origin, None), None, "{host} {origin}");
        }
        for host in
            ["evil.example", "0.0.0.0:9517", "127.0.0.1.evil.example", "a b", "localhost@e.example"]
        {
            assert_eq!(refused(host, "", None), Some("Host"), "{host}");
        }
        for origin in
            ["null", "https://evil.example", "http://localhost:3000", "http://127.0.0.1:9517.e"]
        {
            assert_eq!(refused("127.0.0.1:9517", origin, None), Some("Origin"), "{origin}");
        }
        assert_eq!(refused("", "http://127.0.0.1:9517", None), Some("Origin"));
    }

    #[test]
    fn the_address_of_a_proxy_is_the_public_endpoint() {
        let public = Some("https://zun.example.org/");
        assert_eq!(refused("zun.example.org", "https://zun.example.org", public), None);
        assert_eq!(refused("127.0.0.1:9517", "https://zun.example.org", public), None);
        assert_eq!(refused("zun.example.org", "https://evil.example", public), Some("Origin"));
        assert_eq!(refused("evil.example", "", public), Some("Host"));
    }
}
