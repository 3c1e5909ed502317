//! The proxies of the environment: `HTTPS_PROXY`, `ALL_PROXY`, and `NO_PROXY` for where there is none.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;

/// Which proxy leads to which host. Loopback is reached without.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Option<Arc<Matcher>>);

/// A proxy that opens tunnels.
#[derive(Clone)]
pub(super) struct Tunnel {
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// What it asks for.
    pub(super) authorization: Option<HeaderValue>,
}

/// A proxy of a kind that is not known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnsupportedScheme(pub(super) String);

impl Proxies {
    /// Those of the environment.
    pub fn from_environment() -> Self {
        Self(Some(Arc::new(Matcher::from_env())))
    }

    /// This proxy for every host but those of the list, both in the words of the environment.
    pub fn through(proxy: &str, but: &str) -> Self {
        Self(Some(Arc::new(Matcher::builder().https(proxy).no(but).build())))
    }

    /// The proxy on the way to a host.
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
    fn a_host_is_reached_through_its_proxy_unless_it_is_excepted_or_here() {
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
    fn a_proxy_of_another_kind_is_named() {
        let proxies = Proxies::through("socks5://proxy.example:1080", "");
        let refusal =
            proxies.route_to("far.example", "far.example:2376").expect_err("another kind");
        assert_eq!(refusal, UnsupportedScheme("socks5".to_owned()));
    }
}
