//! The header `OpenStack-API-Version: container 1.N` of requests and responses.

use std::fmt;

/// The header of requests.
pub(super) const REQUEST_HEADER: &str = "openstack-api-version";
/// The header of responses: the version used.
pub(super) const RESPONSE_HEADER: &str = "openstack-api-version";
/// The header of responses: the oldest supported version.
pub(super) const MIN_HEADER: &str = "openstack-api-minimum-version";
/// The header of responses: the newest supported version.
pub(super) const MAX_HEADER: &str = "openstack-api-maximum-version";

/// A microversion, `1.N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Microversion(u16);

impl Microversion {
    pub(super) const OLDEST: Self = Self(1);
    pub(super) const NEWEST: Self = Self(40);

    /// The version `1.MINOR`.
    pub(super) const fn new(minor: u16) -> Self {
        Self(minor)
    }
}

impl fmt::Display for Microversion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "1.{}", self.0)
    }
}

/// Parses the requested version. The error is a message for the caller.
pub(super) fn parse(header: Option<&str>) -> Result<Microversion, String> {
    let Some(header) = header else { return Ok(Microversion::OLDEST) };
    let mut words = header.split_ascii_whitespace();
    let (Some("container"), Some(version), None) = (words.next(), words.next(), words.next())
    else {
        return Err("Invalid OpenStack-API-Version header: it must be `container 1.N` or `container latest`.".to_owned());
    };
    if version == "latest" {
        return Ok(Microversion::NEWEST);
    }
    let numbers = version.split_once('.');
    let parsed = numbers
        .and_then(|(major, minor)| Some((major.parse::<u16>().ok()?, minor.parse::<u16>().ok()?)));
    match parsed {
        Some((1, minor))
            if (Microversion::OLDEST..=Microversion::NEWEST).contains(&Microversion(minor)) =>
        {
            Ok(Microversion(minor))
        }
        Some(_) => Err(format!(
            "Version {} was requested but the minimum is {} and the maximum is {}.",
            version.chars().take(20).collect::<String>(),
            Microversion::OLDEST,
            Microversion::NEWEST
        )),
        None => Err("Invalid OpenStack-API-Version header: it must be `container 1.N` or `container latest`.".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_supported_versions_are_accepted() {
        assert_eq!(parse(None), Ok(Microversion(1)));
        assert_eq!(parse(Some("container 1.36")), Ok(Microversion(36)));
        assert_eq!(parse(Some("container latest")), Ok(Microversion(40)));
        for bad in [
            "1.1",
            "compute 1.1",
            "container 1.0",
            "container 1.41",
            "container 2.1",
            "container 1.latest",
            "container",
            "container 1.1 x",
            "",
        ] {
            assert!(parse(Some(bad)).is_err(), "{bad}");
        }
    }
}
