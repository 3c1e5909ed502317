//! The address of a call that a grant allows. The request target is never normalized, because the host compares it byte
//! by byte.

use std::fmt;

use crate::console::ConsoleError;

/// The host, port and request target of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A host name or an IP address. An IPv6 address has no brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The raw request target.
    pub target: String,
}

impl Address {
    /// Parses `https://HOST:PORT/TARGET` or `wss://…`.
    pub fn parse(url: &str) -> Result<Self, ConsoleError> {
        parse(url).ok_or_else(|| ConsoleError::BadAddress(url.chars().take(200).collect()))
    }

    /// Returns this address with `suffix` appended to the target.
    #[must_use]
    pub fn with(&self, suffix: &str) -> Self {
        Self { target: format!("{}{suffix}", self.target), ..self.clone() }
    }

    /// Returns `HOST:PORT`, with an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.authority())
    }
}

fn parse(url: &str) -> Option<Address> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("wss://"))?;
    let (authority, target) = rest.split_once('/')?;
    let target_is_clean = target.bytes().all(|byte| byte.is_ascii_graphic());
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed.split_once(']')?;
            (host, port.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map_or(Some(443), |port| port.parse().ok())?;
    let usable = target_is_clean && !host.is_empty() && !host.contains(['@', '[', ']']);
    usable.then(|| Address { host: host.to_owned(), port, target: format!("/{target}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_kept_byte_by_byte() {
        let address = Address::parse("wss://h.example:2376/v1.41/x/../ws?detachKeys=%FF,%FE&a=%2f")
            .expect("an address");
        assert_eq!(address.target, "/v1.41/x/../ws?detachKeys=%FF,%FE&a=%2f");
        assert_eq!(address.authority(), "h.example:2376");
    }

    #[test]
    fn an_ipv6_address_is_written_in_brackets() {
        let address = Address::parse("https://[2001:db8::1]:2376/v1.41/y").expect("an address");
        assert_eq!((address.host.as_str(), address.port), ("2001:db8::1", 2376));
        assert_eq!(address.authority(), "[2001:db8::1]:2376");
    }

    #[test]
    fn invalid_and_unencrypted_urls_are_rejected() {
        for bad in [
            "http://h:1/x",
            "ws://h:1/x",
            "https://h:1",
            "https://h:x/x",
            "https://:1/x",
            "https://u@h:1/x",
            "https://h:1/a b",
            "https://h:1/a\r\nX: y",
            "h:1/x",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
