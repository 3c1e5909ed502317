//! The driver for Docker, over its unix socket.
//!
//! The driver negotiates the API version at the first request, and again whenever it inspects Docker. So the agent can
//! start before Docker, and keeps working after an upgrade of Docker.

mod attachments;
mod deadline;
mod engine_options;
mod errors;
mod events;
mod exec_run;
mod exec_signal;
mod files;
mod from_docker;
mod host;
mod images;
mod inspect;
mod lifecycle;
mod live;
mod logs;
mod oom_events;
mod resources;
mod sessions;
mod sizes;
mod stats;
pub(in crate::driver) mod to_docker;
mod top;
mod wire;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

use bollard::models::SystemVersion;
use bollard::{ClientVersion, Docker};
use zun_common::grant::ApiVersion;

use super::DriverError;
use deadline::{QUICK, within};
use errors::RequestFailure;
use oom_events::OomEvents;
use sizes::Sizes;
use wire::{EngineTransport, LARGEST_ANSWER};

pub use sizes::{CONSOLE_SIZE_API, RUNTIME, RUNTIME_PROGRAM};

/// The label that marks a container as Zun's. Its value is the container's ID, and the container's name must match it.
pub const LABEL_CONTAINER: &str = "zun.container";
/// The label with the ID of the cluster that created a container.
const LABEL_CLUSTER: &str = "zun.cluster";
/// Label with the ID of the rebuild that created the container.
const LABEL_REBUILD: &str = "zun.rebuild";
/// The label with the restart policy that the container has while it is not stopped.
const LABEL_RESTART: &str = "zun.restart";
/// The label with the project that a container belongs to.
pub const LABEL_PROJECT: &str = "zun.project";
/// The label with the name that the user gave.
pub const LABEL_NAME: &str = "zun.name";
/// The prefix of Zun's labels. A user's label may not have it.
pub const LABEL_PREFIX: &str = "zun.";

/// Follows the prefix in the names of the bridges of internal networks ([`DockerDriver::naming_bridges`]). No ID begins
/// with it.
pub const INTERNAL: &str = "i";

/// The oldest version of Docker's API that the driver supports (Docker 20.10).
const OLDEST: ApiVersion = ApiVersion { major: 1, minor: 41 };
/// The newest version that the driver uses. Newer versions of Docker still support it.
const NEWEST: ApiVersion = ApiVersion { major: 1, minor: 45 };

/// Drives one Docker engine. Clones share the negotiated version.
#[derive(Debug, Clone)]
pub struct DockerDriver {
    wire: EngineTransport,
    negotiated: Arc<RwLock<Option<Api>>>,
    oom_events: OomEvents,
    /// How the names of the bridges of networks begin; Docker's choice if `None`.
    bridges: Option<String>,
    /// Whether the default network was checked.
    is_checked: Arc<AtomicBool>,
}

/// A client for the negotiated version.
#[derive(Debug, Clone)]
struct Api {
    docker: Docker,
    version: ApiVersion,
    /// The directory for initial terminal sizes, if this Docker cannot set them itself.
    sizes: Option<Sizes>,
}

impl DockerDriver {
    /// Creates a driver for the unix socket. It sends nothing yet, so Docker may start later.
    pub fn connect(socket: &Path) -> Result<Self, DriverError> {
        if !socket.is_absolute() {
            let words =
                format!("`docker.socket` is `{}`: it must be an absolute path", socket.display());
            return Err(DriverError::Invalid { words });
        }
        Ok(Self {
            wire: EngineTransport::new(socket),
            negotiated: Arc::default(),
            oom_events: OomEvents::default(),
            bridges: None,
            is_checked: Arc::default(),
        })
    }

    /// Lets the names of the bridges of networks begin with this prefix of at most 8 characters, so that the program
    /// that manages the packet filter instead of Docker recognizes them. [`INTERNAL`] follows if the network is
    /// internal.
    #[must_use]
    pub fn naming_bridges(self, prefix: String) -> Self {
        Self { bridges: Some(prefix), ..self }
    }

    /// Returns the client for the negotiated version.
    async fn api(&self) -> Result<Api, DriverError> {
        let negotiated = self.negotiated.read().unwrap_or_else(PoisonError::into_inner).clone();
        match negotiated {
            Some(api) => Ok(api),
            None => Ok(self.negotiate().await?.0),
        }
    }

    /// Asks Docker for its version, and negotiates the API version.
    async fn negotiate(&self) -> Result<(Api, SystemVersion), DriverError> {
        const DOING: &str = "ask Docker for its version";
        let answer: SystemVersion = within(QUICK, self.wire.get_json("/version", LARGEST_ANSWER))
            .await
            .map_err(|failure| failure.about_engine(DOING))?;
        let newest = api_version(&answer)?;
        let version = newest.min(NEWEST);
        if version < OLDEST {
            let words = format!(
                "Docker supports API {newest} at most, and Zun needs at least API {OLDEST} (Docker 20.10): upgrade Docker"
            );
            return Err(DriverError::Engine { doing: DOING, words });
        }
        let docker = self.client(version)?;
        let sizes = Sizes::of_engine(&docker, version)
            .await
            .map_err(|failure| failure.about_engine("ask Docker for its runtimes"))?;
        let api = Api { docker, version, sizes };
        *self.negotiated.write().unwrap_or_else(PoisonError::into_inner) = Some(api.clone());
        Ok((api, answer))
    }

    fn client(&self, version: ApiVersion) -> Result<Docker, DriverError> {
        let wire = self.wire.clone();
        Docker::connect_with_custom_transport(
            move |request| {
                let wire = wire.clone();
                async move { wire.carry(request).await }
            },
            Some(self.wire.address()),
            deadline::UNBOUNDED_SECONDS,
            &ClientVersion {
                major_version: version.major.into(),
                minor_version: version.minor.into(),
            },
        )
        .map_err(|error| RequestFailure::from(error).about_engine("create the client for Docker"))
    }
}

/// The newest API version that Docker supports.
fn api_version(answer: &SystemVersion) -> Result<ApiVersion, DriverError> {
    let text = answer.api_version.as_deref().unwrap_or_default();
    text.parse::<ApiVersion>().map_err(|error| DriverError::Engine {
        doing: "parse Docker's version",
        words: error.to_string(),
    })
}
