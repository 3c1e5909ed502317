//! The volumes and the network that a new container uses. Each exists on at most one host, so it determines the host of
//! the container. The transaction that creates the container assigns them to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use zun_common::id::{ContainerId, HostName, ProjectId, ResourceId, UserId};
use zun_common::resource::{
    Mount, MountSource, NamedNetwork, NetworkMode, NetworkOptions, ResourceKind,
};

use super::NewContainer;
use crate::app::{AppError, InvalidField, resources};
use crate::db::container::Scope;
use crate::db::resource::{self, Fresh, Record};
use crate::db::{Conn, DbError};
use crate::scheduler::HostView;

/// A mount as it is requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountRequest {
    pub(crate) source: SourceRequest,
    pub(crate) target: String,
    pub(crate) read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceRequest {
    /// A volume of the project, by name or ID. A new name creates a volume.
    Volume(String),
    Anonymous,
    File(Vec<u8>),
    Host(String),
}

/// A network as it is requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NetworkRequest {
    None,
    Host,
    /// A network of the project, by name or ID.
    Named {
        ident: String,
        aliases: Vec<String>,
        address: Option<IpAddr>,
    },
}

/// The existing volumes and networks that a container uses.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    /// The volumes, by their name or ID in the request. `None` is one to create.
    volumes: Vec<(String, Option<Record>)>,
    network: Option<Record>,
}

impl Attachments {
    /// Finds what is requested.
    pub(super) fn find(
        conn: &mut Conn,
        project: &ProjectId,
        requested: &NewContainer,
    ) -> Result<Result<Self, AppError>, DbError> {
        let scope = Scope::Project(project.clone());
        let mut found = Self::default();
        let NewContainer { mounts, network, .. } = requested;
        let publishes = requested.publishes();
        for mount in mounts {
            let SourceRequest::Volume(ident) = &mount.source else { continue };
            if found.volumes.iter().any(|(known, _)| known == ident) {
                continue;
            }
            let record = resource::by_ident(conn, (&scope, ResourceKind::Volume), ident)?.pop();
            if record.is_none() && ident.parse::<ResourceId>().is_ok() {
                return Ok(Err(resources::missing(ResourceKind::Volume, ident)));
            }
            if record.is_none() && resource::is_full(conn, project, ResourceKind::Volume)? {
                return Ok(Err(resources::full(ResourceKind::Volume)));
            }
            found.volumes.push((ident.clone(), record));
        }
        let (ident, address) = match network {
            Some(NetworkRequest::Named { ident, address, .. }) => (ident, address),
            Some(NetworkRequest::None) if publishes => return Ok(Err(no_ports("none"))),
            Some(NetworkRequest::Host) if publishes => return Ok(Err(no_ports("host"))),
            Some(NetworkRequest::None | NetworkRequest::Host) | None => return Ok(Ok(found)),
        };
        let record = resource::by_ident(conn, (&scope, ResourceKind::Network), ident)?.pop();
        let Some(record) = record else {
            return Ok(Err(resources::missing(ResourceKind::Network, ident)));
        };
        if let (Some(address), None) = (address, &record.options.subnet) {
            let rule = "left out if the network was created without a subnet";
            return Ok(Err(InvalidField::new("v4-fixed-ip", &address.to_string(), rule).into()));
        }
        if publishes && record.options.internal {
            return Ok(Err(no_ports(ident)));
        }
        found.network = Some(record);
        Ok(Ok(found))
    }

    /// Marks the hosts that do not have them, counts the networks of each host if the container brings another
    /// one, and marks the hosts that have its addresses already.
    pub(super) fn judge(&self, conn: &mut Conn, views: &mut [HostView]) -> Result<(), DbError> {
        let brings_network =
            |record: &Record| record.host.is_none() && record.options.subnet.is_none();
        let counts = if self.network.as_ref().is_some_and(brings_network) {
            Some(resource::networks_by_host(conn)?)
        } else {
            None
        };
        let subnet = self.network.as_ref().filter(|record| record.host.is_none());
        let overlapping = match subnet.and_then(|record| record.options.subnet.as_deref()) {
            Some(subnet) => resource::hosts_with_subnet(conn, subnet)?,
            None => BTreeSet::new(),
        };
        for view in views {
            view.has_subnet = overlapping.contains(view.name.as_str());
            let of_host = |counts: &BTreeMap<String, u32>| counts.get(view.name.as_str()).copied();
            view.networks = counts.as_ref().map_or(0, |counts| of_host(counts).unwrap_or(0) + 1);
            let is_elsewhere =
                |record: &Record| record.host.as_ref().is_some_and(|host| *host != view.name);
            view.lacks = if self.volumes.iter().filter_map(|(_, it)| it.as_ref()).any(is_elsewhere)
            {
                Some(ResourceKind::Volume)
            } else if self.network.as_ref().is_some_and(is_elsewhere) {
                Some(ResourceKind::Network)
            } else {
                None
            };
        }
        Ok(())
    }

    /// Assigns them to a container on this host. Creates the volumes that do not exist.
    pub(super) fn take(
        &mut self,
        conn: &mut Conn,
        (host, container): (&HostName, ContainerId),
        (project, user): (&ProjectId, &UserId),
    ) -> Result<(), DbError> {
        let mut ids: Vec<ResourceId> = self.network.iter().map(|record| record.id).collect();
        for (name, record) in &mut self.volumes {
            let record = match record {
                Some(known) => known,
                None => record.insert(resource::insert(
                    conn,
                    Fresh {
                        kind: ResourceKind::Volume,
                        project: project.clone(),
                        user: user.clone(),
                        name: name.clone(),
                        options: NetworkOptions::default(),
                    },
                )?),
            };
            ids.push(record.id);
        }
        resource::take(conn, (host, container), &ids)
    }

    /// The mounts that the host gets. Without a host, volumes that do not exist are left out.
    pub(super) fn mounts(&self, requested: &[MountRequest]) -> Vec<Mount> {
        let mount = |request: &MountRequest| {
            let source = match &request.source {
                SourceRequest::Volume(ident) => {
                    let known = self.volumes.iter().find(|(known, _)| known == ident);
                    let record = known?.1.as_ref()?;
                    MountSource::Volume { id: record.id, name: record.name.clone() }
                }
                SourceRequest::Anonymous => MountSource::Anonymous,
                SourceRequest::File(content) => MountSource::File { content: content.clone() },
                SourceRequest::Host(path) => MountSource::Host { path: path.clone() },
            };
            let (target, read_only) = (request.target.clone(), request.read_only);
            Some(Mount { source, target, read_only })
        };
        requested.iter().filter_map(mount).collect()
    }

    /// The network that the host gets.
    pub(super) fn network(&self, requested: Option<&NetworkRequest>) -> Option<NetworkMode> {
        match requested? {
            NetworkRequest::None => Some(NetworkMode::None),
            NetworkRequest::Host => Some(NetworkMode::Host),
            NetworkRequest::Named { ident: _, aliases, address } => {
                let record = self.network.as_ref()?;
                Some(NetworkMode::Named(NamedNetwork {
                    id: record.id,
                    name: record.name.clone(),
                    options: record.options.clone(),
                    aliases: aliases.clone(),
                    address: *address,
                }))
            }
        }
    }
}

/// Published ports are not reachable in this network.
fn no_ports(network: &str) -> AppError {
    let rule = "a network from which ports can be published, or `exposed_ports` left out";
    InvalidField::new("nets.network", network, rule).into()
}
