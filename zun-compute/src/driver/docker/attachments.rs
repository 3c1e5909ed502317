//! Converts mounts and the network of a container to Docker's types.

use std::collections::HashMap;

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Mount as DockerMount, MountType, MountVolumeOptions,
    NetworkingConfig,
};
use zun_common::id::ProjectId;
use zun_common::resource::{Mount, MountSource, NamedNetwork, NetworkMode, ResourceKind};

use super::{LABEL_NAME, LABEL_PROJECT};

/// The mounts. Docker creates volumes that do not exist. Files are put into the container later.
pub(super) fn mounts(project: &ProjectId, mounts: &[Mount]) -> Option<Vec<DockerMount>> {
    let mounts = mounts.iter().filter_map(|mount| {
        let Mount { source, target, read_only } = mount;
        let (typ, source, volume_options) = match source {
            MountSource::File { content: _ } => return None,
            MountSource::Anonymous => (MountType::VOLUME, None, None),
            MountSource::Host { path } => (MountType::BIND, Some(path.clone()), None),
            MountSource::Volume { id, name } => {
                let labels = [(LABEL_PROJECT, project.to_string()), (LABEL_NAME, name.clone())];
                let labels = labels.map(|(label, value)| (label.to_owned(), value)).into();
                let options =
                    MountVolumeOptions { labels: Some(labels), ..MountVolumeOptions::default() };
                let name = ResourceKind::Volume.engine_name(*id);
                (MountType::VOLUME, Some(name), Some(options))
            }
        };
        Some(DockerMount {
            typ: Some(typ),
            source,
            target: Some(target.clone()),
            read_only: Some(*read_only),
            volume_options,
            ..DockerMount::default()
        })
    });
    Some(mounts.collect()).filter(|mounts: &Vec<DockerMount>| !mounts.is_empty())
}

/// The network by its name in Docker.
pub(super) fn network_mode(network: &NetworkMode) -> String {
    match network {
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::Named(network) => ResourceKind::Network.engine_name(network.id),
    }
}

/// The container's place in a network of its project. Others find it there by its name.
pub(super) fn endpoint(name: &str, network: Option<&NetworkMode>) -> Option<NetworkingConfig> {
    let Some(NetworkMode::Named(network)) = network else { return None };
    let NamedNetwork { id, name: _, options: _, aliases, address } = network;
    let ipam = address.map(|address| EndpointIpamConfig {
        ipv4_address: Some(address.to_string()),
        ..EndpointIpamConfig::default()
    });
    let names = std::iter::once(name.to_owned()).chain(aliases.iter().cloned());
    let settings = EndpointSettings {
        aliases: Some(names.collect()),
        ipam_config: ipam,
        ..EndpointSettings::default()
    };
    let place = (ResourceKind::Network.engine_name(*id), settings);
    Some(NetworkingConfig { endpoints_config: Some(HashMap::from([place])) })
}
