//! Networks and volumes of the in-memory engine. It only remembers that they exist.

use async_trait::async_trait;
use zun_common::id::{ContainerId, ProjectId, ResourceId};
use zun_common::resource::{NamedNetwork, ResourceKind};

use super::FakeDriver;
use super::faults::Operation;
use crate::driver::{Attachments, Change, DriverError};

#[async_trait]
impl Attachments for FakeDriver {
    async fn ensure_network(
        &self,
        _project: &ProjectId,
        network: &NamedNetwork,
    ) -> Result<(), DriverError> {
        self.shared.state().resources.insert((ResourceKind::Network, network.id));
        Ok(())
    }

    async fn remove_resource(
        &self,
        kind: ResourceKind,
        id: ResourceId,
    ) -> Result<Change, DriverError> {
        let work = async {
            let is_known = self.shared.state().resources.remove(&(kind, id));
            Ok(if is_known { Change::Done } else { Change::Already })
        };
        self.shared.faults.perform(Operation::RemoveResource, None, work).await
    }

    async fn put_files(
        &self,
        container: ContainerId,
        _files: &[(&str, &[u8])],
    ) -> Result<(), DriverError> {
        let is_known = self.shared.state().containers.contains_key(&container);
        if is_known { Ok(()) } else { Err(DriverError::NoContainer(container)) }
    }
}
