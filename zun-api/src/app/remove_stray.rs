//! Removes strays: containers with the label of this cluster that the database does not know.

use zun_common::id::ContainerId;
use zun_common::rpc::Done;
use zun_common::rpc::host::RemoveStray;

use super::{App, AppError, Caller, Permission};
use crate::db::cluster;

impl App {
    /// Removes a stray from its host, even if it is running. The host checks the label.
    pub(crate) async fn remove_stray(
        &self,
        caller: &Caller,
        (name, id): (&str, &str),
    ) -> Result<(), AppError> {
        caller.require(Permission::CleanHost)?;
        let (host, _liveness) = self.host(caller, name).await?;
        let shown: String = id.chars().take(80).collect();
        let missing = || AppError::StrayNotFound { host: host.name.clone(), id: shown.clone() };
        let container: ContainerId = id.parse().map_err(|_invalid| missing())?;
        if !host.strays.iter().any(|stray| stray.container == container) {
            return Err(missing());
        }
        let live = self.live_host(&host.name).await?;
        let cluster = self.db.read(cluster::id).await?;
        let call = RemoveStray { cluster, container };
        let Done {} = self.call_agent(caller, &live, &call).await?;
        tracing::warn!(
            target: "audit",
            { host.name = %host.name, container.id = %container, request.id = %caller.context.request },
            "removed the stray container {container} from host {}", host.name
        );
        Ok(())
    }
}
