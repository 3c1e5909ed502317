//! What all rooms of the agent share: the engine, the reports, and what is set.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use zun_common::id::{ContainerId, HostName};

use crate::console::Console;
use crate::driver::{ContainerDriver, ContainerInfo, DriverError};
use crate::health::AgentHealth;
use crate::report::{Heed, Reports, Sight};
use crate::settings::{HeartbeatSettings, WorkerSettings};

/// How long a look at one container may take. One whose console is stalled can hang in the engine.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The host, as the rooms of the agent see it.
pub(crate) struct Host {
    pub(crate) name: HostName,
    pub(crate) driver: Arc<dyn ContainerDriver>,
    pub(crate) reports: Arc<Reports>,
    pub(crate) console: Console,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) heartbeat: HeartbeatSettings,
    pub(crate) limits: WorkerSettings,
    /// The engine answers again.
    pub(crate) engine_back: Notify,
    /// zun-api must be asked what should be here.
    pub(crate) reconcile_needed: Notify,
    /// What the last heartbeat found.
    pub(crate) health: watch::Sender<AgentHealth>,
}

impl Host {
    /// Asks the engine, with a deadline, without telling anybody.
    pub(crate) async fn inspect(
        &self,
        container: ContainerId,
    ) -> Result<ContainerInfo, DriverError> {
        within(INSPECT_TIMEOUT, "look at the container", self.driver.inspect(container)).await
    }

    /// Looks at a container and tells what was seen.
    pub(crate) async fn inspect_and_report(
        &self,
        container: ContainerId,
    ) -> Result<Option<ContainerInfo>, DriverError> {
        let ticket = self.reports.ticket();
        let sight = sight(self.inspect(container).await)?;
        let seen = sight.seen().cloned();
        if self.reports.observe(ticket, container, sight) == Heed::Unsure {
            self.mark_for_reconcile(container);
        }
        Ok(seen)
    }

    /// zun-api is asked whether it should be there.
    pub(crate) fn mark_for_reconcile(&self, container: ContainerId) {
        tracing::info!(container.id = %container, "container {container} is not in the engine");
        self.reconcile_needed.notify_one();
    }

    /// The time that the engine has for a change, beyond a grace.
    pub(crate) const fn engine_timeout(&self) -> Duration {
        Duration::from_secs(self.limits.engine_timeout)
    }
}

impl Sight {
    pub(crate) fn seen(&self) -> Option<&ContainerInfo> {
        match self {
            Self::Seen(seen) => Some(seen),
            Self::Gone => None,
        }
    }
}

/// That the engine has no such container is an answer, not an error.
pub(crate) fn sight(answer: Result<ContainerInfo, DriverError>) -> Result<Sight, DriverError> {
    match answer {
        Ok(seen) => Ok(Sight::Seen(Box::new(seen))),
        Err(DriverError::NoContainer(_)) => Ok(Sight::Gone),
        Err(error) => Err(error),
    }
}

/// Gives a call to the engine a deadline.
pub(crate) async fn within<T>(
    limit: Duration,
    doing: &'static str,
    call: impl Future<Output = Result<T, DriverError>> + Send,
) -> Result<T, DriverError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(_elapsed) => {
            let words = format!("the engine did not answer within {} s", limit.as_secs());
            Err(DriverError::Engine { doing, words })
        }
    }
}
