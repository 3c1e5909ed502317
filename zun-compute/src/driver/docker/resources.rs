//! Networks and volumes, and files for new containers.

use std::collections::HashMap;

use async_trait::async_trait;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bollard::query_parameters::{
    InspectNetworkOptions, RemoveVolumeOptions, UploadToContainerOptionsBuilder,
};
use zun_common::id::{ContainerId, ProjectId, ResourceId};
use zun_common::resource::{NamedNetwork, ResourceKind};

use super::deadline::{QUICK, SLOW, within};
use super::{DockerDriver, INTERNAL, LABEL_NAME, LABEL_PROJECT};
use crate::driver::{Attachments, Change, DriverError};

#[async_trait]
impl Attachments for DockerDriver {
    async fn ensure_network(
        &self,
        project: &ProjectId,
        network: &NamedNetwork,
    ) -> Result<(), DriverError> {
        let api = self.api().await?;
        let name = ResourceKind::Network.engine_name(network.id);
        let inspecting = api.docker.inspect_network(&name, None::<InspectNetworkOptions>);
        match within(QUICK, inspecting).await {
            Ok(_known) => return Ok(()),
            Err(failure) if failure.is(404) => {}
            Err(failure) => return Err(failure.about("inspect the network")),
        }
        let mut request = request(name, project, network);
        request.options = self.bridges.as_ref().map(|prefix| bridge_name(prefix, network));
        match within(SLOW, api.docker.create_network(request)).await {
            Ok(_created) => Ok(()),
            // Another container has just created it.
            Err(failure) if failure.is(409) => Ok(()),
            Err(failure) => Err(failure.about("create the network")),
        }
    }

    async fn remove_resource(
        &self,
        kind: ResourceKind,
        id: ResourceId,
    ) -> Result<Change, DriverError> {
        let api = self.api().await?;
        let name = kind.engine_name(id);
        let removed = match kind {
            ResourceKind::Volume => {
                let removing = api.docker.remove_volume(&name, None::<RemoveVolumeOptions>);
                within(SLOW, removing).await
            }
            ResourceKind::Network => within(SLOW, api.docker.remove_network(&name)).await,
        };
        match (removed, kind) {
            (Ok(()), _) => Ok(Change::Done),
            (Err(failure), _) if failure.is(404) => Ok(Change::Already),
            (Err(failure), ResourceKind::Volume) => Err(failure.about("remove the volume")),
            (Err(failure), ResourceKind::Network) => Err(failure.about("remove the network")),
        }
    }

    async fn put_files(
        &self,
        container: ContainerId,
        files: &[(&str, &[u8])],
    ) -> Result<(), DriverError> {
        let api = self.api().await?;
        let archive = archive(files).map_err(|cause| DriverError::Invalid {
            words: format!("cannot put files into the container: {cause}"),
        })?;
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        let name = container.engine_name();
        let body = bollard::body_full(archive.into());
        let uploading = api.docker.upload_to_container(&name, Some(options), body);
        within(SLOW, uploading)
            .await
            .map_err(|failure| failure.about_container("put files into the container", container))
    }
}

fn request(name: String, project: &ProjectId, network: &NamedNetwork) -> NetworkCreateRequest {
    let NamedNetwork { id: _, name: shown, options, aliases: _, address: _ } = network;
    let config = options
        .subnet
        .clone()
        .map(|subnet| IpamConfig { subnet: Some(subnet), ..IpamConfig::default() });
    let labels = [(LABEL_PROJECT, project.to_string()), (LABEL_NAME, shown.clone())];
    NetworkCreateRequest {
        name,
        driver: Some("bridge".to_owned()),
        internal: Some(options.internal),
        ipam: config.map(|config| Ipam { config: Some(vec![config]), ..Ipam::default() }),
        labels: Some(labels.map(|(label, value)| (label.to_owned(), value)).into()),
        ..NetworkCreateRequest::default()
    }
}

/// Docker's option for the name of the bridge, which has at most 15 characters.
fn bridge_name(prefix: &str, network: &NamedNetwork) -> HashMap<String, String> {
    let kind = if network.options.internal { INTERNAL } else { "" };
    let name = format!("{prefix}{kind}{}", network.id).replace('-', "");
    let name: String = name.chars().take(15).collect();
    HashMap::from([("com.docker.network.bridge.name".to_owned(), name)])
}

/// Returns a tar of the files, for the root directory. They belong to root, and everybody can read them.
fn archive(files: &[(&str, &[u8])]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(content.len()).unwrap_or_default());
        header.set_mode(0o644);
        archive.append_data(&mut header, path.trim_start_matches('/'), *content)?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use zun_common::resource::NetworkOptions;

    use super::*;

    #[test]
    fn a_bridge_has_a_name_that_the_kernel_takes() {
        let id = "8f14e45f-ceea-467a-9575-0e2b5c1a7d3b".parse().expect("an id");
        let name = |internal| {
            let options = NetworkOptions { subnet: None, internal };
            let (name, aliases, address) = ("back".to_owned(), Vec::new(), None);
            let network = NamedNetwork { id, name, options, aliases, address };
            bridge_name("zun1a2b3", &network)["com.docker.network.bridge.name"].clone()
        };
        assert_eq!(name(false), "zun1a2b38f14e45");
        assert_eq!(name(true), "zun1a2b3i8f14e4");
    }

    #[test]
    fn a_file_is_packed_under_its_path_without_the_first_slash() {
        let packed = archive(&[("/etc/app/x.conf", b"a=1\n")]).expect("a tar");
        let mut archive = tar::Archive::new(&*packed);
        let mut entries = archive.entries().expect("entries");
        let entry = entries.next().expect("one").expect("a good one");
        assert_eq!(entry.path().expect("a path").to_str(), Some("etc/app/x.conf"));
        assert!(super::archive(&[("/a/../../b", b"")]).is_err());
    }
}
