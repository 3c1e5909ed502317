//! Ports of hosts that containers have claimed. A claim lasts until the removal of the container is confirmed, so a
//! stopped container keeps its ports.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use diesel::prelude::*;
use zun_common::id::{ContainerId, HostName};
use zun_common::ports::{PublishedPort, overlap};

use super::column::{parse, unreadable};
use super::schema::port_claims::{self, dsl};
use super::{Backend, Conn, DbError};

/// A claimed port of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) host: String,
    pub(crate) protocol: String,
    pub(crate) port: u16,
    pub(crate) address: IpAddr,
}

impl Claim {
    /// Whether it leaves no place for the port on its host.
    pub(crate) fn conflicts(&self, wanted: &PublishedPort) -> bool {
        self.protocol == wanted.protocol.as_str()
            && self.port == wanted.host_port
            && overlap(self.address, wanted.host_address)
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = port_claims, check_for_backend(Backend))]
struct Row {
    host: String,
    protocol: String,
    host_port: i32,
    host_address: String,
}

impl Row {
    fn parse(self) -> Result<Claim, DbError> {
        let row = format!("{} {}", self.host, self.host_port);
        let port =
            u16::try_from(self.host_port).map_err(|cause| unreadable("host_port", &row, cause))?;
        let address = parse("host_address", &row, &self.host_address)?;
        Ok(Claim { host: self.host, protocol: self.protocol, port, address })
    }
}

#[derive(Insertable)]
#[diesel(table_name = port_claims)]
struct NewRow {
    host: String,
    protocol: &'static str,
    host_port: i32,
    host_address: String,
    container: String,
}

/// The claims of these ports on all hosts.
pub(crate) fn of_ports(conn: &mut Conn, ports: &[u16]) -> Result<Vec<Claim>, DbError> {
    if ports.is_empty() {
        return Ok(Vec::new());
    }
    let ports = ports.iter().map(|port| i32::from(*port)).collect::<Vec<_>>();
    let rows = dsl::port_claims.filter(dsl::host_port.eq_any(ports)).select(Row::as_select());
    rows.load(conn)?.into_iter().map(Row::parse).collect()
}

/// The claims in a range of ports on all hosts.
pub(crate) fn of_range(
    conn: &mut Conn,
    range: &RangeInclusive<u16>,
) -> Result<Vec<Claim>, DbError> {
    let rows = dsl::port_claims
        .filter(dsl::host_port.between(i32::from(*range.start()), i32::from(*range.end())))
        .select(Row::as_select());
    rows.load(conn)?.into_iter().map(Row::parse).collect()
}

/// The claims of a host in a range of ports.
pub(crate) fn in_range(
    conn: &mut Conn,
    host: &HostName,
    range: &RangeInclusive<u16>,
) -> Result<Vec<Claim>, DbError> {
    let rows = dsl::port_claims
        .filter(dsl::host.eq(host.as_str()))
        .filter(dsl::host_port.between(i32::from(*range.start()), i32::from(*range.end())))
        .select(Row::as_select());
    rows.load(conn)?.into_iter().map(Row::parse).collect()
}

/// The number of claims in a range of ports, by host.
pub(crate) fn counts(
    conn: &mut Conn,
    range: &RangeInclusive<u16>,
) -> Result<BTreeMap<String, i64>, DbError> {
    let counted: Vec<(String, i64)> = dsl::port_claims
        .filter(dsl::host_port.between(i32::from(*range.start()), i32::from(*range.end())))
        .group_by(dsl::host)
        .select((dsl::host, diesel::dsl::count_star()))
        .load(conn)?;
    Ok(counted.into_iter().collect())
}

/// Claims ports of a host. [`DbError::NoCapacity`] if another container has one. Must run in a transaction that has
/// changed the host's row, so that no other one claims ports of the host meanwhile.
pub(crate) fn claim(
    conn: &mut Conn,
    host: &HostName,
    (container, ports): (ContainerId, &[PublishedPort]),
) -> Result<(), DbError> {
    if ports.is_empty() {
        return Ok(());
    }
    let numbers = ports.iter().map(|port| port.host_port).collect::<Vec<_>>();
    let taken = of_ports(conn, &numbers)?;
    let is_taken = |port: &PublishedPort| {
        taken.iter().any(|claim| claim.host == host.as_str() && claim.conflicts(port))
    };
    if ports.iter().any(is_taken) {
        return Err(DbError::NoCapacity);
    }
    let rows = ports.iter().map(|port| NewRow {
        host: host.to_string(),
        protocol: port.protocol.as_str(),
        host_port: i32::from(port.host_port),
        host_address: port.host_address.to_string(),
        container: container.to_string(),
    });
    for row in rows {
        diesel::insert_into(dsl::port_claims).values(row).execute(conn)?;
    }
    Ok(())
}

/// Releases the ports of a container.
pub(crate) fn release(conn: &mut Conn, container: ContainerId) -> Result<(), DbError> {
    diesel::delete(dsl::port_claims.filter(dsl::container.eq(container.to_string())))
        .execute(conn)?;
    Ok(())
}
