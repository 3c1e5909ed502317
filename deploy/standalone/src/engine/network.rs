//! Chooses a private /24 network for the bridge that no route of the machine overlaps. All functions are pure.

use std::fmt;
use std::net::Ipv4Addr;

/// An IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    base: u32,
    bits: u8,
}

impl Network {
    /// Parses text such as `10.0.0.0/8`. A bare address is a /32 network.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, bits.parse().ok().filter(|bits| *bits <= 32)?),
            None => (text, 32),
        };
        let address: Ipv4Addr = address.parse().ok()?;
        Some(Self { base: u32::from(address) & mask(bits), bits })
    }

    /// The /24 network with these first three bytes.
    const fn from_prefix(bytes: [u8; 3]) -> Self {
        let [first, second, third] = bytes;
        Self { base: u32::from_be_bytes([first, second, third, 0]), bits: 24 }
    }

    /// The bridge's own address with the prefix length, as `ip address add` expects it.
    pub(super) fn gateway(self) -> String {
        format!("{}/{}", Ipv4Addr::from(self.base + 1), self.bits)
    }

    const fn overlaps(self, other: Self) -> bool {
        let bits = if self.bits < other.bits { self.bits } else { other.bits };
        (self.base ^ other.base) & mask(bits) == 0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", Ipv4Addr::from(self.base), self.bits)
    }
}

const fn mask(bits: u8) -> u32 {
    if bits == 0 { 0 } else { u32::MAX << (32 - bits) }
}

/// Parses the networks in the output of `ip -4 route show table all`, except the default routes.
pub(super) fn taken(routes: &str) -> Vec<Network> {
    routes
        .lines()
        .filter_map(|line| line.split_whitespace().find_map(Network::parse))
        .filter(|network| network.bits > 1)
        .collect()
}

/// Chooses a free network for the bridge with this number, so that two bridges never share a network.
pub(super) fn choose(number: u8, taken: &[Network]) -> Option<Network> {
    [[10, 213, number], [172, 30, number], [192, 168, 255 - number]]
        .map(Network::from_prefix)
        .into_iter()
        .find(|candidate| !taken.iter().any(|other| other.overlaps(*candidate)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "default via 192.0.2.1 dev eth0 \n\
        172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 linkdown \n\
        local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1\n\
        broadcast 10.213.1.255 dev zun1 table local proto kernel scope link\n";

    #[test]
    fn routes_are_parsed_without_the_default_route() {
        let taken: Vec<String> = taken(ROUTES).iter().map(Network::to_string).collect();
        assert_eq!(taken, ["192.0.2.1/32", "172.17.0.0/16", "127.0.0.0/8", "10.213.1.255/32"]);
    }

    #[test]
    fn a_network_that_a_route_overlaps_is_skipped() {
        let taken = taken(ROUTES);
        assert_eq!(choose(0, &taken).expect("free").to_string(), "10.213.0.0/24");
        assert_eq!(choose(1, &taken).expect("free").to_string(), "172.30.1.0/24");
        let wide = [Network::parse("10.0.0.0/8").expect("a network")];
        assert_eq!(choose(0, &wide).expect("free").gateway(), "172.30.0.1/24");
    }

    #[test]
    fn no_network_is_chosen_if_all_are_taken() {
        let all = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(Network::parse);
        let all: Vec<Network> = all.into_iter().flatten().collect();
        assert_eq!(choose(3, &all), None);
    }
}
