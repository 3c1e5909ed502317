//! Proxies from the environment: `HTTPS_PROXY` and `ALL_PROXY`, and `NO_PROXY` for the exceptions.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;

/// The proxy for each host. Loopback addresses never use a proxy.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Option<Arc<Matcher>>);

/// An HTTP proxy that opens tunnels with CONNECT.
#[derive(Clone)]
pub(super) struct Tunnel {
    /// A host name or an IP address. An IPv6 address has no brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`, if the URL has credentials.
    pub(super) authorization: Option<HeaderValue>,
}

/// A proxy URL whose scheme is not supported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnsupportedScheme(pub(super) String);

impl Proxies {
    /// Reads the proxies from the environment.
    pub fn from_environment() -> Self {
        Self(Some(Arc::new(Matcher::from_env())))
    }

    /// Returns `proxy` for every host except those in `but`, which has the syntax of `NO_PROXY`.
    pub fn through(proxy: &str, but: &str) -> Self {
        Self(Some(Arc::new(Matcher::builder().https(proxy).no(but).build())))
    }

    /// Returns the proxy for a host, or `None` for a direct connection.
    pub(super) fn route_to(
        &self,
        host: &str,
        authority: &str,
    ) -> Result<Option<Tunnel>, UnsupportedScheme> {
        let local = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let matcher = self.0.as_ref().filter(|_| !local);
        let target: Option<Uri> = format!("https://{authority}/").parse().ok();
        let Some((matcher, target)) = matcher.zip(target) else { return Ok(None) };
        let Some(proxy) = matcher.intercept(&target) else { return Ok(None) };
        let uri = proxy.uri();
        match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(host)) => Ok(Some(Tunnel {
                host: host.trim_matches(['[', ']']).to_owned(),
                port: uri.port_u16().unwrap_or(80),
                authorization: proxy.basic_auth().cloned(),
            })),
            (scheme, _) => Err(UnsupportedScheme(scheme.unwrap_or_default().to_owned())),
        }
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the proxy {}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_use_the_proxy_unless_no_proxy_lists_them_or_they_are_loopback() {
        let proxies =
            Proxies::through("http://user:word@proxy.example:3128", "near.example,10.0.0.0/8");
        let tunnel =
            |host: &str| proxies.route_to(host, &format!("{host}:2376")).expect("a known kind");
        let found = tunnel("far.example").expect("a proxy");
        assert_eq!((found.host.as_str(), found.port), ("proxy.example", 3128));
        assert!(found.authorization.as_ref().is_some_and(HeaderValue::is_sensitive));
        assert_eq!(format!("{found:?}"), "the proxy proxy.example:3128");
        for host in ["near.example", "a.near.example", "10.1.2.3", "127.0.0.1", "localhost"] {
            assert!(tunnel(host).is_none(), "{host}");
        }
        assert!(proxies.route_to("::1", "[::1]:2376").expect("known").is_none());
        assert!(
            Proxies::default()
                .route_to("far.example", "far.example:2376")
                .expect("known")
                .is_none()
        );
    }

    #[test]
    fn an_unsupported_proxy_scheme_is_named() {
        let proxies = Proxies::through("socks5://proxy.example:1080", "");
        let refusal =
            proxies.route_to("far.example", "far.example:2376").expect_err("another kind");
        assert_eq!(refusal, UnsupportedScheme("socks5".to_owned()));
    }
}
