//! Removes strays.

use zun_common::id::ContainerId;
use zun_common::rpc::host::RemoveStray;
use zun_common::rpc::{Call, Code, Done, Problem};

use super::within_deadline;
use crate::driver::DriverError;
use crate::host::Host;

/// Removes a container that is a stray and has the label of the cluster, and the old container of its rebuild.
pub(super) async fn remove(host: &Host, call: RemoveStray) -> Result<Done, Problem> {
    let RemoveStray { cluster, container } = call;
    let seen = match host.inspect(container).await {
        Err(DriverError::NoContainer(_)) => host.inspect_old(container).await,
        seen => seen,
    };
    let info = match seen {
        Ok(info) => info,
        Err(DriverError::NoContainer(_)) => {
            host.strays.removed(container);
            return Ok(Done {});
        }
        Err(error) => return Err(error.problem()),
    };
    let is_ours = host.cluster().as_ref() == Some(&cluster) && info.cluster == Some(cluster);
    if !is_ours || !host.strays.contains(container) {
        return Err(not_a_stray(container));
    }
    tracing::warn!(container.id = %container, "removing the stray container {container}");
    let removing = host.driver.remove(container, true);
    within_deadline(RemoveStray::DEADLINE, "remove the container", removing).await?;
    let removing = host.driver.remove_old(container);
    within_deadline(RemoveStray::DEADLINE, "remove the old container", removing).await?;
    host.strays.removed(container);
    Ok(Done {})
}

fn not_a_stray(container: ContainerId) -> Problem {
    let words = format!(
        "Container {container} is not a stray of this cluster on its host. To remove it, use docker on the host."
    );
    Problem::new(Code::Conflict, words)
}
