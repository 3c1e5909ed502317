//! Chooses the ports of a host for a new container. The transaction of the creation claims them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use rand::RngExt as _;
use zun_common::id::HostName;
use zun_common::ports::{HostPorts, PortRequest, PublishedPort, may_publish};

use crate::db::host::Record;
use crate::db::port::{self, Claim};
use crate::db::{Conn, DbError, host};
use crate::scheduler::{FilterReason, HostView};

/// Marks the hosts that cannot publish these ports.
pub(super) fn judge(
    conn: &mut Conn,
    (wanted, range): (&[PortRequest], &RangeInclusive<u16>),
    views: &mut [HostView],
) -> Result<(), DbError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let taken = named_taken(conn, wanted)?;
    let counts = port::counts(conn, range)?;
    let own = own_addresses(conn)?;
    let free = i64::from(range.end() - range.start()) + 1;
    let unnamed = wanted.iter().filter(|port| port.host_ports.is_none()).count();
    let unnamed = i64::try_from(unnamed).unwrap_or(i64::MAX);
    for view in views {
        let address = own.get(view.name.as_str()).copied().unwrap_or(LOOPBACK);
        let used = counts.get(view.name.as_str()).copied().unwrap_or(0);
        view.ports = if wanted.iter().any(|port| !is_offered(port, address)) {
            Some(FilterReason::PortAddress(address))
        } else if let Err(reason) = choose_named(wanted, (&view.name, address), &taken) {
            Some(reason)
        } else {
            (free - used < unnamed).then_some(FilterReason::FreePorts)
        };
    }
    Ok(())
}

/// Chooses the ports on this host. [`DbError::NoCapacity`] if too few are free.
pub(super) fn choose(
    conn: &mut Conn,
    (wanted, range): (&[PortRequest], &RangeInclusive<u16>),
    name: &HostName,
) -> Result<Vec<PublishedPort>, DbError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let own = host::by_name(conn, name)?.map_or(LOOPBACK, |record| publish_address(&record));
    let needs_free = wanted.iter().any(|port| port.host_ports.is_none());
    let mut taken = named_taken(conn, wanted)?;
    let mut chosen =
        choose_named(wanted, (name, own), &taken).map_err(|_reason| DbError::NoCapacity)?;
    if needs_free {
        taken.extend(port::in_range(conn, name, range)?);
    }
    for port in wanted.iter().filter(|port| port.host_ports.is_none()) {
        let is_free = |candidate: &PublishedPort| is_free(candidate, name, (&taken, &chosen));
        let candidates = from_a_random_start(range).map(|number| published(port, own, number));
        let free = candidates.into_iter().find(is_free).ok_or(DbError::NoCapacity)?;
        chosen.push(free);
    }
    chosen.sort_unstable();
    Ok(chosen)
}

/// The claims, on all hosts, of ports that are named.
fn named_taken(conn: &mut Conn, wanted: &[PortRequest]) -> Result<Vec<Claim>, DbError> {
    let (mut numbers, mut taken) = (Vec::new(), Vec::new());
    for ports in wanted.iter().filter_map(|port| port.host_ports) {
        match ports.single() {
            Some(number) => numbers.push(number),
            None => taken.extend(port::of_range(conn, &(ports.first..=ports.last))?),
        }
    }
    taken.extend(port::of_ports(conn, &numbers)?);
    Ok(taken)
}

/// Chooses the ports that are named, of each range the first that is free. A range that ends earlier comes first, so
/// that ranges which overlap all get a port if that is possible.
fn choose_named(
    wanted: &[PortRequest],
    (host, own): (&HostName, IpAddr),
    taken: &[Claim],
) -> Result<Vec<PublishedPort>, FilterReason> {
    let mut named: Vec<(HostPorts, &PortRequest)> =
        wanted.iter().filter_map(|port| Some((port.host_ports?, port))).collect();
    named.sort_by_key(|(ports, _)| (ports.single().is_none(), ports.last, ports.first));
    let mut chosen = Vec::with_capacity(wanted.len());
    for (ports, port) in named {
        let mut candidates = (ports.first..=ports.last).map(|number| published(port, own, number));
        let free = candidates.find(|candidate| is_free(candidate, host, (taken, &chosen)));
        chosen.push(free.ok_or_else(|| match ports.single() {
            Some(number) => FilterReason::Port(published(port, own, number)),
            None => FilterReason::PortRange(ports, port.protocol),
        })?);
    }
    Ok(chosen)
}

/// Whether neither another container nor another port of this one has the port.
fn is_free(
    candidate: &PublishedPort,
    host: &HostName,
    (taken, chosen): (&[Claim], &[PublishedPort]),
) -> bool {
    !taken.iter().any(|claim| claim.host == host.as_str() && claim.conflicts(candidate))
        && !chosen.iter().any(|other| claim_of(host, other).conflicts(candidate))
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// All ports of the range. Concurrent requests rarely choose the same one.
fn from_a_random_start(range: &RangeInclusive<u16>) -> impl Iterator<Item = u16> {
    let (first, last) = (*range.start(), *range.end());
    let start = rand::rng().random_range(first..=last);
    (start..=last).chain(first..start)
}

fn own_addresses(conn: &mut Conn) -> Result<BTreeMap<String, IpAddr>, DbError> {
    let hosts = host::all(conn)?.into_iter();
    Ok(hosts.map(|record| (record.name.to_string(), publish_address(&record))).collect())
}

fn publish_address(record: &Record) -> IpAddr {
    let inventory = record.inventory.as_ref();
    inventory.and_then(|inventory| inventory.publish_address).unwrap_or(LOOPBACK)
}

fn is_offered(port: &PortRequest, own: IpAddr) -> bool {
    port.host_address.is_none_or(|wanted| may_publish(own, wanted))
}

fn published(port: &PortRequest, own: IpAddr, host_port: u16) -> PublishedPort {
    PublishedPort {
        port: port.port,
        protocol: port.protocol,
        host_address: port.host_address.unwrap_or(own),
        host_port,
    }
}

fn claim_of(host: &HostName, port: &PublishedPort) -> Claim {
    Claim {
        host: host.to_string(),
        protocol: port.protocol.as_str().to_owned(),
        port: port.host_port,
        address: port.host_address,
    }
}
