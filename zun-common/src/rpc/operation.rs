//! Operations: changes to containers that zun-api has accepted. An operation is a row in the database's ledger until a
//! host has carried it out. The bus only carries it.
//!
//! ```text
//!  zun-api: accept (row) ── PerformOperation (nudge) ──> agent: in order, once ── ReportContainer ──> zun-api: outcome
//!               ^                                          │
//!               └── reply to SendHeartbeat: open operations ───┘   a lost nudge costs time, nothing else
//! ```

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::container::{ContainerSpec, PullPolicy, Removal};
use super::digest::Digest;
use super::host::Heartbeat;
use super::report::ContainerReport;
use super::{Call, Done, Problem};
use crate::id::{
    ClusterId, ContainerId, Epoch, HostName, OperationId, ProjectId, RegistryId, RequestId,
    ResourceId,
};
use crate::resource::ResourceKind;
use crate::units::Resources;

/// The version of the protocol between zun-api and agents that this build speaks. Version 1 had no ledger: commands
/// were durable messages. Version 2 ignored the engine options. Version 3 had no operations on images,
/// and no volumes and networks. Version 4 had no rebuilds. Version 5 ignored `publish_all` and `expose`. Version 6
/// recorded no sessions.
pub const PROTOCOL: u32 = 7;

/// The first version with engine options, health checks, runtimes and sizes of disks.
pub const OPTIONS_PROTOCOL: u32 = 3;

/// The first version with operations on images, and with volumes and networks.
pub const RESOURCES_PROTOCOL: u32 = 4;

/// The first version with rebuilds.
pub const REBUILD_PROTOCOL: u32 = 5;

/// The first version with `publish_all` and `expose`.
pub const PUBLISH_ALL_PROTOCOL: u32 = 6;

/// The first version with recordings of sessions.
pub const RECORD_PROTOCOL: u32 = 7;

/// An accepted change to a container, or to an image, a volume or a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its ID.
    pub id: OperationId,
    /// Its number among the operations of the host. Operations of a container are carried out in this order.
    pub sequence: i64,
    /// The number of the container's operation before this one, if there is one.
    pub previous: Option<i64>,
    /// The container, or the subject of an operation that is not about one ([`ImageId::subject`]).
    ///
    /// [`ImageId::subject`]: crate::id::ImageId::subject
    pub container: ContainerId,
    /// The client's request.
    pub request: RequestId,
    /// The agent must not begin it after this time, by the database's clock. `None` if it never expires.
    pub not_after: Option<DateTime<Utc>>,
    /// Whether an earlier agent may have begun it.
    pub again: bool,
    /// What to do.
    #[serde(flatten)]
    pub change: Change,
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "arguments", rename_all = "snake_case")]
pub enum Change {
    /// Creates the container, and optionally starts it.
    Create {
        /// Its specification.
        spec: Box<ContainerSpec>,
        /// Whether to start it after it is created.
        start: bool,
    },
    /// Starts the container. Starting a running one is not an error.
    Start {
        /// When the container's last run had started, as far as zun-api knew when it accepted the operation. A later
        /// start means that an earlier agent has carried out the operation.
        last_start: Option<DateTime<Utc>>,
    },
    /// Stops the container. Stopping a stopped one is not an error.
    Stop {
        /// Seconds between the stop signal and SIGKILL; the engine's default of 10 if `None`.
        grace: Option<u32>,
    },
    /// Stops the container and starts it again.
    Reboot {
        /// Seconds between the stop signal and SIGKILL, as for a stop.
        grace: Option<u32>,
    },
    /// Replaces the container in the engine with a new one of the same specification, with another image. If that image
    /// cannot be pulled, or the engine refuses the new container, the old one keeps running.
    Rebuild {
        /// The specification of the new one.
        spec: Box<ContainerSpec>,
        /// Whether the container ran when zun-api accepted the operation. An earlier agent may have stopped it since.
        was_running: bool,
    },
    /// Pauses the container's processes.
    Pause,
    /// Unpauses the container's processes.
    Unpause,
    /// Sends the container a signal.
    Kill {
        /// Name such as `SIGTERM`.
        signal: String,
    },
    /// Changes the container's limits.
    Update {
        /// The new limits.
        resources: Resources,
        /// The limits before. zun-api restores them if the host refuses.
        before: Resources,
        /// The change of the container's name, which the host need not know. zun-api restores that too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rename: Option<Rename>,
    },
    /// Removes the container in any state. An earlier removal is not an error.
    Delete {
        /// What to do if it is running.
        how: Removal,
    },
    /// Pulls an image. Pulling one that the host has is not an error.
    PullImage {
        /// Its name, with a tag or a digest.
        image: String,
        /// Its platform; the host's if `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        platform: Option<String>,
        /// When it is pulled.
        policy: PullPolicy,
        /// The login to its registry; the agent asks zun-api for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        registry: Option<RegistryId>,
        /// The project that it is pulled for, which may not use the images that other projects have committed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project: Option<ProjectId>,
    },
    /// Removes an image. An earlier removal is not an error.
    RemoveImage {
        /// Its name, with a tag or a digest.
        image: String,
    },
    /// Removes a volume or a network. An earlier removal is not an error.
    RemoveResource {
        /// Its kind.
        resource: ResourceKind,
        /// Its ID.
        id: ResourceId,
    },
}

/// A change of a container's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// The name before.
    pub from: String,
    /// The name after.
    pub to: String,
}

impl Change {
    /// Whether carrying it out twice could have an effect that once does not. Only the agent that received it first may
    /// carry it out.
    pub const fn is_once(&self) -> bool {
        match self {
            Self::Reboot { .. } | Self::Kill { .. } => true,
            Self::Create { .. }
            | Self::Start { .. }
            | Self::Stop { .. }
            | Self::Rebuild { .. }
            | Self::Pause
            | Self::Unpause
            | Self::Update { .. }
            | Self::Delete { .. }
            | Self::PullImage { .. }
            | Self::RemoveImage { .. }
            | Self::RemoveResource { .. } => false,
        }
    }

    /// Whether it removes its subject, which ends all other operations on it.
    pub const fn removes(&self) -> bool {
        matches!(self, Self::Delete { .. } | Self::RemoveImage { .. } | Self::RemoveResource { .. })
    }

    /// Whether the next agent must finish what an earlier one may have begun, however late: the engine may have changed
    /// in part.
    pub const fn must_be_finished(&self) -> bool {
        matches!(self, Self::Update { .. } | Self::Rebuild { .. })
    }

    /// Whether its subject is a container.
    pub const fn is_about_container(&self) -> bool {
        !matches!(
            self,
            Self::PullImage { .. } | Self::RemoveImage { .. } | Self::RemoveResource { .. }
        )
    }
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", content = "problem", rename_all = "snake_case")]
pub enum Outcome {
    /// It was carried out.
    Succeeded,
    /// The container's state does not allow it, or the engine failed.
    Failed(Problem),
    /// It was not begun before its time limit.
    Expired,
    /// It may or may not have been carried out: the agent that received it died.
    Unknown,
}

/// Asks a host to carry out an operation. If the message is lost, the host receives the operation with the reply to its
/// next heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerformOperation {
    /// The epoch of the agent that should carry it out.
    pub epoch: Epoch,
    /// The operation.
    pub operation: Operation,
}

impl Call for PerformOperation {
    const METHOD: &'static str = "operation.perform";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = Performing;
}

/// The state of an operation on its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Performing {
    /// How it ended; `None` if it has begun or waits for others of its container.
    pub outcome: Option<Outcome>,
}

/// Registers an agent and begins its epoch. An agent without an epoch changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterAgent {
    /// The host.
    pub host: HostName,
    /// The engine's own ID.
    pub engine_id: String,
    /// The newest protocol that the agent speaks.
    pub protocol: u32,
    /// How far the host has come in the ledger; `None` if it has never had an agent, or has forgotten.
    #[serde(default)]
    pub position: Option<LedgerPosition>,
    /// Which agent it is; `None` from older ones.
    #[serde(default)]
    pub agent: Option<AgentIdentity>,
}

/// Distinguishes agents that have the same host name or manage the same engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentIdentity {
    /// The ID of its state directory. A lock there lets only one agent manage an engine.
    pub state: Uuid,
    /// The machine's boot ID (`/proc/sys/kernel/random/boot_id`); `None` if the kernel has none.
    pub boot: Option<String>,
    /// The directory with the data of its engine: engines of one machine may have one ID. `None` if it is not known.
    #[serde(default)]
    pub data: Option<String>,
}

/// How far a host has come in the ledger of a cluster. If zun-api's database has not come as far, it is an older copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerPosition {
    /// The cluster.
    pub cluster: ClusterId,
    /// The epoch of the host's last agent.
    pub epoch: Epoch,
    /// The highest number of an operation that the host has received.
    pub sequence: i64,
    /// The operation with that number. A database that was restored may have given the number again; `None` from older
    /// agents, and before the first operation.
    #[serde(default)]
    pub operation: Option<OperationId>,
    /// The last operation that zun-api has compared. Since a restore, the host may have received a later one.
    #[serde(default)]
    pub compared: Option<NumberedOperation>,
}

/// An operation, and its number among those of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedOperation {
    /// The number.
    pub sequence: i64,
    /// The operation.
    pub operation: OperationId,
}

impl LedgerPosition {
    /// The last operation.
    pub fn newest(&self) -> Option<NumberedOperation> {
        let sequence = self.sequence;
        self.operation.map(|operation| NumberedOperation { sequence, operation })
    }
}

impl Call for RegisterAgent {
    const METHOD: &'static str = "host.register";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = Registered;
}

/// The epoch of a registered agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The epoch.
    pub epoch: Epoch,
    /// The cluster.
    pub cluster: ClusterId,
}

/// A heartbeat of a registered agent. The reply lists the host's open operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendHeartbeat {
    /// The agent's epoch.
    pub epoch: Epoch,
    /// The heartbeat.
    pub heartbeat: Heartbeat,
    /// How far the host has come in the ledger; `None` from older agents. If the database has not come as far, the
    /// reply is a stale epoch.
    #[serde(default)]
    pub position: Option<LedgerPosition>,
    /// What zun-api has acknowledged of the host's containers. Only in some heartbeats: the reply costs a query.
    #[serde(default)]
    pub digest: Option<Digest>,
    /// The reply lists the open operations after this number: that of the last one in the reply before, if that one had
    /// more to list, and otherwise 0.
    #[serde(default)]
    pub after: i64,
    /// When it was sent, by the database's clock or up to a round trip later; `None` before the first reply. The host was up
    /// then, however long the message waits.
    #[serde(default)]
    pub sent_at: Option<DateTime<Utc>>,
}

impl Call for SendHeartbeat {
    const METHOD: &'static str = "host.beat";
    const DEADLINE: Duration = Duration::from_secs(5);
    type Reply = OpenOperations;
}

/// The open operations of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOperations {
    /// The database's time.
    pub now: DateTime<Utc>,
    /// The operations, in their order.
    pub operations: Vec<Operation>,
    /// All open operations up to this number, and after that in the heartbeat, are listed.
    pub complete_to: i64,
    /// Whether there are more after that. The agent requests them with its next heartbeat, at once.
    #[serde(default)]
    pub has_more: bool,
    /// What the database has of the host's containers, if the heartbeat has a digest.
    #[serde(default)]
    pub digest: Option<Digest>,
    /// Seconds between the host's heartbeats, if zun-api asks for fewer than the agent's settings say.
    #[serde(default)]
    pub interval: Option<u32>,
}

/// Reports the state of a container and the outcomes of its operations. The reply comes after both are in the database.
/// The agent repeats the call until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportContainer {
    /// The host.
    pub host: HostName,
    /// The agent's epoch.
    pub epoch: Epoch,
    /// The container.
    pub container: ContainerId,
    /// Its state, if that has changed. Reports of a container are ordered by epoch and generation.
    pub report: Option<ContainerReport>,
    /// Operations that have ended.
    pub outcomes: Vec<OperationOutcome>,
}

impl Call for ReportContainer {
    const METHOD: &'static str = "operation.report";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = Done;
}

/// An operation and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationOutcome {
    /// The operation.
    pub operation: OperationId,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it is a rebuild that failed after the new container had replaced the old one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_replaced: bool,
}

impl OperationOutcome {
    /// How an operation ended.
    pub const fn new(operation: OperationId, outcome: Outcome) -> Self {
        Self { operation, outcome, has_replaced: false }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operation(change: Change) -> Operation {
        Operation {
            id: OperationId::random(),
            sequence: 7,
            previous: Some(3),
            container: ContainerId::random(),
            request: RequestId::random(),
            not_after: None,
            again: false,
            change,
        }
    }

    #[test]
    fn an_operation_names_its_kind_and_arguments_on_the_wire() {
        let stop = operation(Change::Stop { grace: Some(5) });
        let wire = serde_json::to_value(&stop).expect("JSON");
        assert_eq!(wire["kind"], json!("stop"));
        assert_eq!(wire["arguments"], json!({"grace": 5}));
        assert_eq!(serde_json::from_value::<Operation>(wire).expect("an operation"), stop);
        let pause = operation(Change::Pause);
        let wire = serde_json::to_value(&pause).expect("JSON");
        assert_eq!(serde_json::from_value::<Operation>(wire).expect("an operation"), pause);
    }

    #[test]
    fn an_outcome_round_trips() {
        for outcome in [
            Outcome::Succeeded,
            Outcome::Expired,
            Outcome::Unknown,
            Outcome::Failed(Problem::new(super::super::Code::Conflict, "words")),
        ] {
            let wire = serde_json::to_string(&outcome).expect("JSON");
            assert_eq!(serde_json::from_str::<Outcome>(&wire).expect("an outcome"), outcome);
        }
    }
}
