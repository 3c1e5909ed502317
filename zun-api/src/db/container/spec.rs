//! What was requested of a container, as its row keeps it. This format is separate from those of the API and the bus,
//! because rows outlive the builds that write them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zun_common::engine_options::{EngineOptions, Healthcheck};
use zun_common::id::{ProjectId, RegistryId};
use zun_common::ports::PublishedPort;
use zun_common::recording::RecordPolicy;
use zun_common::resource::{Mount, NetworkMode};
use zun_common::restart::Restart;
use zun_common::rpc::container::{ConsoleSpec, ContainerSpec, PullPolicy};
use zun_common::units::{Gibibytes, Resources};

/// What was requested of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a request of its own")]
pub(crate) struct Spec {
    #[serde(default)]
    pub(crate) version: FormatVersion,
    pub(crate) name: String,
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
    /// Whether zun-api lets the host restart it when it becomes unhealthy.
    #[serde(default)]
    pub(crate) auto_heal: bool,
    pub(crate) read_only: bool,
    pub(crate) stop_signal: Option<String>,
    #[serde(default)]
    pub(crate) privileged: bool,
    #[serde(default)]
    pub(crate) runtime: Option<String>,
    #[serde(default)]
    pub(crate) disk: Option<Gibibytes>,
    #[serde(default)]
    pub(crate) healthcheck: Option<Healthcheck>,
    #[serde(default)]
    pub(crate) options: EngineOptions,
    #[serde(default)]
    pub(crate) ports: Vec<PublishedPort>,
    #[serde(default)]
    pub(crate) registry: Option<RegistryId>,
    #[serde(default)]
    pub(crate) mounts: Vec<Mount>,
    #[serde(default)]
    pub(crate) network: Option<NetworkMode>,
    #[serde(default)]
    pub(crate) record: RecordPolicy,
}

/// The version of the format. It grows when a field changes its meaning, not when an optional one is added. Rows from
/// before there were versions have version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FormatVersion;

impl FormatVersion {
    const NEWEST: u32 = 1;
}

impl Serialize for FormatVersion {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u32(Self::NEWEST)
    }
}

impl<'de> Deserialize<'de> for FormatVersion {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        match u32::deserialize(input)? {
            Self::NEWEST => Ok(Self),
            other => Err(serde::de::Error::custom(format!(
                "its format is version {other}, and this zun-api reads version {}",
                Self::NEWEST
            ))),
        }
    }
}

impl Spec {
    /// What the container's host gets.
    #[expect(clippy::too_many_lines, reason = "each field has a line, so that none is forgotten")]
    pub(crate) fn for_host(self, project: ProjectId) -> ContainerSpec {
        let Self {
            version: FormatVersion,
            name,
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
            auto_heal: _done_by_zun_api,
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
            record,
        } = self;
        ContainerSpec {
            cluster: None,
            rebuild: None,
            project,
            name,
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
            record,
        }
    }

    /// A container of an image, with nothing else requested.
    pub(crate) fn of_image(name: &str, image: &str) -> Self {
        Self {
            version: FormatVersion,
            name: name.to_owned(),
            image: image.to_owned(),
            pull: PullPolicy::default(),
            command: None,
            entrypoint: None,
            environment: BTreeMap::new(),
            labels: BTreeMap::new(),
            workdir: None,
            hostname: None,
            user: None,
            console: ConsoleSpec::default(),
            resources: Resources::default(),
            restart: None,
            auto_remove: false,
            auto_heal: false,
            read_only: false,
            stop_signal: None,
            privileged: false,
            runtime: None,
            disk: None,
            healthcheck: None,
            options: EngineOptions::default(),
            ports: Vec::new(),
            registry: None,
            mounts: Vec::new(),
            network: None,
            record: RecordPolicy::Off,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of the first release.
    const FIRST: &str = r#"{"project":"web","name":"a","image":"cirros","pull":"always","command":["sh"],
        "entrypoint":null,"environment":{"A":"1"},"labels":{},"workdir":"/","hostname":null,"user":"1000",
        "console":{"tty":true,"stdin_open":true,"stdin_once":false,"size":{"rows":24,"columns":80}},
        "resources":{"cpus":0.5,"memory":64},"restart":{"Name":"on-failure","MaximumRetryCount":"3"},
        "auto_remove":false,"read_only":true,"stop_signal":"SIGINT"}"#;

    #[test]
    fn a_row_of_the_first_release_is_still_read() {
        let spec: Spec = serde_json::from_str(FIRST).expect("a specification");
        assert_eq!(spec.restart, Some(Restart::OnFailure { retries: 3 }));
        assert_eq!((spec.pull, spec.user.as_deref()), (PullPolicy::Always, Some("1000")));
        let again = serde_json::to_string(&spec).expect("text");
        assert_eq!(serde_json::from_str::<Spec>(&again).expect("the same"), spec);
    }

    #[test]
    fn a_row_of_a_newer_format_is_refused_with_both_versions() {
        let newer = FIRST.replacen('{', r#"{"version":2,"#, 1);
        let refusal = serde_json::from_str::<Spec>(&newer).expect_err("a newer format");
        assert!(refusal.to_string().contains("version 2, and this zun-api reads version 1"));
    }
}
