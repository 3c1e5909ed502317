//! State shared by all parts of the agent: the driver, the reports and the settings.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use zun_common::bus::Bus;
use zun_common::id::{ClusterId, ContainerId, HostName};
use zun_common::rpc::operation::AgentIdentity;
use zun_common::units::Mebibytes;

use crate::console::Console;
use crate::control::Control;
use crate::driver::{ContainerDriver, ContainerInfo, DriverError};
use crate::engine_lock::{EngineLock, LockError};
use crate::gate_control::GateControl;
use crate::health::AgentHealth;
use crate::ledger_position::PositionFile;
use crate::metrics::Metrics;
use crate::report::{Conclusion, Observation, ObservationSequence, Reports};
use crate::settings::{HeartbeatSettings, WorkerSettings};
use crate::strays::Strays;
use crate::unanswered::UnansweredStarts;
use crate::worker::Pulls;

/// The time limit to inspect one container if nobody waits for it. Docker hangs on a container while it is copied, or if
/// its console is stalled.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The state shared by all parts of the agent.
pub(crate) struct Host {
    pub(crate) name: HostName,
    pub(crate) bus: Bus,
    pub(crate) driver: Arc<dyn ContainerDriver>,
    /// Image pulls in progress.
    pub(crate) pulls: Pulls,
    pub(crate) reports: Arc<Reports>,
    pub(crate) control: Control,
    pub(crate) console: Console,
    /// The control socket of the host's console gate.
    pub(crate) gate: Option<GateControl>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) availability_zone: String,
    /// What containers may not claim.
    pub(crate) reserved_memory: Mebibytes,
    pub(crate) heartbeat: HeartbeatSettings,
    pub(crate) limits: WorkerSettings,
    /// Where it publishes ports.
    pub(crate) publish_address: IpAddr,
    /// Notified when Docker answers again.
    pub(crate) engine_back: Notify,
    /// Notified when the agent must reconcile with zun-api.
    pub(crate) reconcile_needed: Notify,
    /// The agent has pulled or removed an image.
    pub(crate) images_changed: Notify,
    /// The result of the last heartbeat.
    pub(crate) health: watch::Sender<AgentHealth>,
    /// Keeps other agents from driving the same engine.
    pub(crate) engine_lock: EngineLock,
    /// The identity of this agent, among agents with the same host name.
    pub(crate) identity: AgentIdentity,
    /// How far the host has come in the ledger.
    pub(crate) position: PositionFile,
    /// Starts that Docker may still carry out.
    pub(crate) unanswered: UnansweredStarts,
    /// Containers of this cluster that zun-api does not know.
    pub(crate) strays: Strays,
    /// Why the agent cannot continue.
    pub(crate) failure: watch::Sender<Option<Arc<LockError>>>,
    pub(crate) metrics: Metrics,
}

impl Host {
    /// Inspects a container, with a deadline, without reporting it.
    pub(crate) async fn inspect(
        &self,
        container: ContainerId,
    ) -> Result<ContainerInfo, DriverError> {
        within(INSPECT_TIMEOUT, "inspect the container", self.driver.inspect(container)).await
    }

    /// Inspects a container and reports the result. `None` if Docker has no such container.
    pub(crate) async fn inspect_and_report(
        &self,
        container: ContainerId,
    ) -> Result<Option<ContainerInfo>, DriverError> {
        self.inspect_and_report_within(INSPECT_TIMEOUT, container).await
    }

    /// Inspects a container within this time, and reports the result. `None` if Docker has no such container.
    pub(crate) async fn inspect_and_report_within(
        &self,
        limit: Duration,
        container: ContainerId,
    ) -> Result<Option<ContainerInfo>, DriverError> {
        let sequence = self.reports.next_sequence();
        let inspecting = self.driver.inspect(container);
        let answer = self.within(limit, "inspect the container", inspecting).await;
        Ok(self.report(sequence, container, observation(answer)?))
    }

    /// Runs a call to Docker about one container with a deadline. If it is missed, the error says whether Docker answers
    /// at all.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        doing: &'static str,
        call: impl Future<Output = Result<T, DriverError>> + Send,
    ) -> Result<T, DriverError> {
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(self.unanswered(doing, limit)),
        }
    }

    /// The error if Docker has not answered about one container within this time.
    pub(crate) fn unanswered(&self, doing: &'static str, limit: Duration) -> DriverError {
        let seconds = limit.as_secs();
        if self.health.borrow().engine {
            DriverError::Held { doing, seconds }
        } else {
            DriverError::TimedOut { doing, seconds }
        }
    }

    /// Inspects the old container of a rebuild, and reports it as the container: the new one does not exist
    /// yet. `None` if there is none, which is not reported.
    pub(crate) async fn inspect_and_report_old(
        &self,
        container: ContainerId,
    ) -> Result<Option<ContainerInfo>, DriverError> {
        let sequence = self.reports.next_sequence();
        let observation = observation(self.inspect_old(container).await)?;
        match observation {
            Observation::Found(_) => Ok(self.report(sequence, container, observation)),
            Observation::Missing => Ok(None),
        }
    }

    /// Inspects the old container of a rebuild, with a deadline, without reporting it.
    pub(crate) async fn inspect_old(
        &self,
        container: ContainerId,
    ) -> Result<ContainerInfo, DriverError> {
        let inspecting = self.driver.inspect_old(container);
        within(INSPECT_TIMEOUT, "inspect the old container", inspecting).await
    }

    fn report(
        &self,
        sequence: ObservationSequence,
        container: ContainerId,
        observation: Observation,
    ) -> Option<ContainerInfo> {
        let info = observation.info().cloned();
        if self.reports.observe(sequence, container, observation) == Conclusion::NeedsReconcile {
            self.mark_for_reconcile(container);
        }
        info
    }

    /// All metrics in the `OpenMetrics` text format.
    pub(crate) fn metrics_text(&self) -> String {
        let health = self.health.borrow().clone();
        let strays = self.strays.get().map_or(0, |strays| strays.len());
        self.metrics.text(&health, &self.reports.figures(), strays)
    }

    /// The cluster; `None` until the host has registered for the first time.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        self.position.get().map(|position| position.cluster)
    }

    /// Marks the host for reconciliation, to ask zun-api whether the container should exist and which runs it had.
    pub(crate) fn mark_for_reconcile(&self, container: ContainerId) {
        tracing::info!(
            container.id = %container,
            "asking zun-api about container {container}"
        );
        self.reconcile_needed.notify_one();
    }

    /// The time limit for a change in Docker, without the grace period.
    pub(crate) const fn engine_timeout(&self) -> Duration {
        Duration::from_secs(self.limits.engine_timeout)
    }
}

impl Observation {
    pub(crate) fn info(&self) -> Option<&ContainerInfo> {
        match self {
            Self::Found(info) => Some(info),
            Self::Missing => None,
        }
    }
}

/// Converts the answer: a missing container is an observation and not an error.
pub(crate) fn observation(
    answer: Result<ContainerInfo, DriverError>,
) -> Result<Observation, DriverError> {
    match answer {
        Ok(info) => Ok(Observation::Found(Box::new(info))),
        Err(DriverError::NoContainer(_)) => Ok(Observation::Missing),
        Err(error) => Err(error),
    }
}

/// Runs a call to Docker with a deadline.
pub(crate) async fn within<T>(
    limit: Duration,
    doing: &'static str,
    call: impl Future<Output = Result<T, DriverError>> + Send,
) -> Result<T, DriverError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(DriverError::TimedOut { doing, seconds: limit.as_secs() }),
    }
}
