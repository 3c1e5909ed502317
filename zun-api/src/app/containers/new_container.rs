//! The request for a new container.

use std::collections::BTreeMap;

use serde_json::Value;
use zun_common::engine_options::{EngineOptions, Healthcheck};
use zun_common::id::{HostName, RegistryId};
use zun_common::ports::{PortRequest, PublishedPort};
use zun_common::recording::RecordPolicy;
use zun_common::resource::{Mount, NetworkMode};
use zun_common::restart::Restart;
use zun_common::rpc::container::{ConsoleSpec, PullPolicy};
use zun_common::rpc::operation::{
    OPTIONS_PROTOCOL, PUBLISH_ALL_PROTOCOL, RECORD_PROTOCOL, RESOURCES_PROTOCOL,
};
use zun_common::units::{Gibibytes, Resources};

use super::attachments::{MountRequest, NetworkRequest};
use super::once::Asked;
use crate::db::container::{FormatVersion, Spec};
use crate::db::operation::Kind;
use crate::scheduler::{Hints, Needs};

/// A create request with validated values.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "the API defines the fields")]
pub(crate) struct NewContainer {
    pub(crate) name: Option<String>,
    pub(crate) host: Option<HostName>,
    pub(crate) availability_zone: Option<String>,
    pub(crate) hints: Hints,
    pub(crate) start: bool,
    pub(crate) image: String,
    pub(crate) pull: PullPolicy,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) workdir: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) console: ConsoleSpec,
    pub(crate) resources: Resources,
    pub(crate) restart: Option<Restart>,
    pub(crate) auto_remove: bool,
    pub(crate) auto_heal: bool,
    pub(crate) read_only: bool,
    pub(crate) stop_signal: Option<String>,
    pub(crate) privileged: bool,
    pub(crate) runtime: Option<String>,
    pub(crate) disk: Option<Gibibytes>,
    pub(crate) healthcheck: Option<Healthcheck>,
    pub(crate) options: EngineOptions,
    pub(crate) ports: Vec<PortRequest>,
    /// Name or ID of the login to the image's registry.
    pub(crate) registry: Option<String>,
    pub(crate) mounts: Vec<MountRequest>,
    pub(crate) network: Option<NetworkRequest>,
    /// Whether its sessions are recorded; the operator's setting if `None`.
    pub(crate) record: Option<RecordPolicy>,
    /// The request as its client has sent it. All requests with its idempotency key must be the same, whatever the build and
    /// the settings of the zun-api that receives them.
    pub(crate) request: Value,
}

/// What zun-api chooses for a container.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) ports: Vec<PublishedPort>,
    pub(super) registry: Option<RegistryId>,
    pub(super) mounts: Vec<Mount>,
    pub(super) network: Option<NetworkMode>,
}

impl NewContainer {
    pub(super) fn uses_resources(&self) -> bool {
        !self.mounts.is_empty() || self.network.is_some()
    }

    /// Whether it requests an option that agents with an older protocol would ignore.
    fn needs_resources_protocol(&self) -> bool {
        self.uses_resources() || self.options.gpus.is_some()
    }

    /// Whether ports are published, or are to be as the image says.
    pub(super) fn publishes(&self) -> bool {
        !self.ports.is_empty() || self.options.publish_all
    }

    fn protocol(&self) -> u32 {
        let is_plain = self.options.is_empty()
            && self.healthcheck.is_none()
            && self.disk.is_none()
            && self.runtime.is_none()
            && self.ports.is_empty()
            && !self.privileged;
        if self.record.is_some_and(|record| !record.is_off()) {
            RECORD_PROTOCOL
        } else if self.options.asks_for_ports() {
            PUBLISH_ALL_PROTOCOL
        } else if self.needs_resources_protocol() {
            RESOURCES_PROTOCOL
        } else if is_plain {
            0
        } else {
            OPTIONS_PROTOCOL
        }
    }

    pub(super) fn needs(&self) -> Needs<'_> {
        Needs {
            resources: self.resources,
            protocol: self.protocol(),
            runtime: self.runtime.as_deref(),
            zone: self.availability_zone.as_deref(),
            disk: self.disk,
            hints: &self.hints,
            may_pull: self.pull != PullPolicy::Never,
        }
    }

    /// What a request for this container contains.
    pub(super) const fn asked(&self) -> Asked<'static, &Value> {
        Asked { kind: Kind::Create, container: "", arguments: &self.request }
    }

    /// What the row keeps.
    #[expect(clippy::too_many_lines, reason = "each field has a line, so that none is forgotten")]
    pub(super) fn into_spec(self, new_name: String, chosen: Chosen) -> Spec {
        let Chosen { ports, registry, mounts, network } = chosen;
        let Self {
            name: _,
            host: _,
            availability_zone: _,
            hints: _,
            start: _,
            image,
            pull,
            command,
            entrypoint,
            environment,
            labels,
            workdir,
            hostname,
            user,
            console,
            resources,
            restart,
            auto_remove,
            auto_heal,
            read_only,
            stop_signal,
            privileged,
            runtime,
            disk,
            healthcheck,
            options,
            ports: _chosen_with_the_host,
            registry: _chosen_by_its_domain,
            mounts: _with_the_ids_of_volumes,
            network: _with_its_id,
            record,
            request: _,
        } = self;
        Spec {
            version: FormatVersion,
            name: new_name,
            image,
            pull,
            command,
            entrypoint,
            environment,
            labels,
            workdir,
            hostname,
            user,
            console,
            resources,
            restart,
            auto_remove,
            auto_heal,
            read_only,
            stop_signal,
            privileged,
            runtime,
            disk,
            healthcheck,
            options,
            ports,
            registry,
            mounts,
            network,
            record: record.unwrap_or_default(),
        }
    }
}
