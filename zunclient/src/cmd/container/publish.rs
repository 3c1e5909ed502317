//! Parses `-p` and `--expose`, in Docker's form.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use zun_common::api::v1::container::PortBinding;
use zun_common::ports::ContainerPort;

use crate::cmd::Failure;

const FORM: &str = "use [IP:][HOST:]CONTAINER[/udp], where HOST and CONTAINER are ports, or ranges of the same length; of \
                    a range of HOST for one port of CONTAINER, the first free one is used";

/// Returns the field `exposed_ports` of a request.
pub(super) fn exposed_ports(
    given: &[String],
) -> Result<BTreeMap<String, Vec<PortBinding>>, Failure> {
    let mut all: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
    for text in given {
        let ports = parse(text)
            .ok_or_else(|| Failure::new(format!("cannot use --publish `{text}`: {FORM}")))?;
        for (port, binding) in ports {
            all.entry(port).or_default().push(binding);
        }
    }
    Ok(all)
}

/// Returns the ports of `--expose`.
pub(super) fn expose(given: &[String]) -> Result<Vec<ContainerPort>, Failure> {
    let mut all = BTreeSet::new();
    for text in given {
        let form = "use PORT[-PORT][/udp], where PORT is from 1 to 65535";
        let ports = exposed(text);
        all.extend(
            ports.ok_or_else(|| Failure::new(format!("cannot use --expose `{text}`: {form}")))?,
        );
    }
    Ok(all.into_iter().collect())
}

fn exposed(text: &str) -> Option<impl Iterator<Item = ContainerPort>> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.parse().ok()?;
    let ports = range(ports).filter(|range| *range.start() > 0)?;
    Some(ports.map(move |port| ContainerPort { port, protocol }))
}

fn parse(text: &str) -> Option<Vec<(String, PortBinding)>> {
    let (place, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (rest, inside) = place.rsplit_once(':').unwrap_or(("", place));
    let (address, outside) = match rest.rsplit_once(':') {
        Some((address, outside)) => (address, outside),
        // `IP::CONTAINER` has two colons, so a single part is a port.
        None => ("", rest),
    };
    if address.is_empty() && rest.contains(':') {
        return None;
    }
    let host_address: Option<IpAddr> = match address {
        "" => None,
        text => {
            let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
            Some(bare.parse().ok()?)
        }
    };
    let inside = range(inside).filter(|range| *range.start() > 0)?;
    let outside = match outside {
        "" => None,
        text => Some(range(text)?),
    };
    if let Some(outside) = &outside
        && outside.len() != inside.len()
    {
        if inside.len() != 1 || *outside.start() == 0 {
            return None;
        }
        let last_host_port = Some(*outside.end());
        let binding =
            PortBinding { host_address, host_port: Some(*outside.start()), last_host_port };
        return is_protocol(protocol)
            .then(|| vec![(format!("{}/{protocol}", inside.start()), binding)]);
    }
    let mut outside = outside.into_iter().flatten();
    let one = |port: u16| {
        let binding = PortBinding { host_address, host_port: outside.next(), last_host_port: None };
        (format!("{port}/{protocol}"), binding)
    };
    is_protocol(protocol).then(|| inside.map(one).collect())
}

fn is_protocol(text: &str) -> bool {
    matches!(text, "tcp" | "udp")
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(text: &str) -> Vec<(String, Option<String>, Option<u16>)> {
        let ports = parse(text).unwrap_or_else(|| panic!("{text} is not parsed"));
        let plain = |(port, binding): (String, PortBinding)| {
            (port, binding.host_address.map(|it| it.to_string()), binding.host_port)
        };
        ports.into_iter().map(plain).collect()
    }

    #[test]
    fn every_form_of_docker_is_parsed() {
        let one = |port: &str, address: Option<&str>, outside| {
            vec![(port.to_owned(), address.map(str::to_owned), outside)]
        };
        assert_eq!(ports("80"), one("80/tcp", None, None));
        assert_eq!(ports("53/udp"), one("53/udp", None, None));
        assert_eq!(ports("8080:80"), one("80/tcp", None, Some(8080)));
        assert_eq!(ports("127.0.0.1:8080:80"), one("80/tcp", Some("127.0.0.1"), Some(8080)));
        assert_eq!(ports("127.0.0.1::80"), one("80/tcp", Some("127.0.0.1"), None));
        assert_eq!(ports("[::1]:8080:80/udp"), one("80/udp", Some("::1"), Some(8080)));
        assert_eq!(ports("8000-8001:80-81").len(), 2);
        assert_eq!(ports("8000-8001:80-81")[1], ("81/tcp".to_owned(), None, Some(8001)));
    }

    #[test]
    fn a_range_of_the_host_for_one_port_is_sent_as_a_range() {
        let binding = |text| parse(text).expect("a port").pop().expect("one");
        let (port, range) = binding("127.0.0.1:18090-18092:80/udp");
        assert_eq!(port, "80/udp");
        assert_eq!((range.host_port, range.last_host_port), (Some(18090), Some(18092)));
        assert_eq!(range.host_address, Some(std::net::Ipv4Addr::LOCALHOST.into()));
        assert_eq!(binding("8000-8001:80-81").1.last_host_port, None);
        assert_eq!(binding("8000-8000:80").1.last_host_port, None);
    }

    #[test]
    fn exposed_ports_are_single_or_ranges() {
        let ports = |text: &str| {
            exposed(text).map(|ports| ports.map(|port| port.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(ports("80"), Some(vec!["80/tcp".to_owned()]));
        assert_eq!(ports("53-54/udp"), Some(vec!["53/udp".to_owned(), "54/udp".to_owned()]));
        for bad in ["", "0", "8080:80", "81-80", "80/sctp", "70000"] {
            assert_eq!(ports(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_wrong_form_is_refused() {
        for bad in [
            "",
            "x",
            "0",
            "80/sctp",
            "8000-8002:80-81",
            "8000-8001:80/sctp",
            "0-2:80",
            "81-80",
            "1:2:3:4",
            "nowhere:1:2",
            "70000",
            "::80",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
