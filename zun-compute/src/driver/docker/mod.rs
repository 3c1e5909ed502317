//! Docker, over its unix socket.
//!
//! The version of the engine's API is agreed upon at the first request, and again with each look at the
//! engine, so an agent starts before its engine does and outlives an upgrade of it.

mod deadline;
mod errors;
mod events;
mod exec_run;
mod exec_signal;
mod from_docker;
mod host;
mod images;
mod inspect;
mod lifecycle;
mod logs;
mod oom_events;
mod sessions;
mod sizes;
mod stats;
pub(in crate::driver) mod to_docker;
mod top;
mod wire;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use bollard::models::SystemVersion;
use bollard::{ClientVersion, Docker};
use zun_common::grant::ApiVersion;

use super::DriverError;
use deadline::{QUICK, within};
use errors::Trouble;
use oom_events::OomEvents;
use sizes::Sizes;
use wire::Wire;

pub use sizes::{CONSOLE_SIZE_API, RUNC, RUNTIME, RUNTIME_PROGRAM, SIZES};

/// The label that marks a container as ours. Its value is the container's id, and the engine's name of
/// the container must agree with it.
pub const LABEL_CONTAINER: &str = "zun.container";
/// The label with the project that a container belongs to.
pub const LABEL_PROJECT: &str = "zun.project";
/// The label with the name that the user gave.
pub const LABEL_NAME: &str = "zun.name";
/// What all labels of ours begin with; a user's label may not.
pub const LABEL_PREFIX: &str = "zun.";

/// The oldest version of Docker's API that has everything that is needed (Docker 20.10).
const OLDEST: ApiVersion = ApiVersion { major: 1, minor: 41 };
/// The newest version that is asked for; engines that speak newer ones speak this too.
const NEWEST: ApiVersion = ApiVersion { major: 1, minor: 45 };

/// Drives one Docker engine. Clones share the agreed version.
#[derive(Debug, Clone)]
pub struct DockerDriver {
    wire: Wire,
    agreed: Arc<RwLock<Option<Api>>>,
    oom_events: OomEvents,
}

/// A client that speaks the agreed version.
#[derive(Debug, Clone)]
struct Api {
    docker: Docker,
    version: ApiVersion,
    /// Where first sizes of terminals are left, on an engine that takes none itself.
    sizes: Option<Sizes>,
}

impl DockerDriver {
    /// Drives the engine behind a unix socket. Nothing is sent yet: the engine may start later.
    pub fn connect(socket: &Path) -> Result<Self, DriverError> {
        if !socket.is_absolute() {
            let words = format!("the engine's socket `{}` must be absolute", socket.display());
            return Err(DriverError::Invalid { words });
        }
        Ok(Self {
            wire: Wire::new(socket),
            agreed: Arc::default(),
            oom_events: OomEvents::default(),
        })
    }

    /// The client, in the version that was agreed upon.
    async fn api(&self) -> Result<Api, DriverError> {
        let agreed = self.agreed.read().unwrap_or_else(PoisonError::into_inner).clone();
        match agreed {
            Some(api) => Ok(api),
            None => Ok(self.agree().await?.0),
        }
    }

    /// Asks the engine for its version and agrees upon one with it.
    async fn agree(&self) -> Result<(Api, SystemVersion), DriverError> {
        const DOING: &str = "ask the container engine for its version";
        let answer: SystemVersion = within(QUICK, self.wire.get_json("/version"))
            .await
            .map_err(|trouble| trouble.about_engine(DOING))?;
        let newest = api_version(&answer)?;
        let version = newest.min(NEWEST);
        if version < OLDEST {
            let words = format!("the engine speaks API {newest}; at least {OLDEST} is needed");
            return Err(DriverError::Engine { doing: DOING, words });
        }
        let docker = self.client(version)?;
        let sizes = Sizes::of_engine(&docker, version)
            .await
            .map_err(|trouble| trouble.about_engine("ask the container engine for its runtimes"))?;
        let api = Api { docker, version, sizes };
        *self.agreed.write().unwrap_or_else(PoisonError::into_inner) = Some(api.clone());
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
        .map_err(|error| Trouble::from(error).about_engine("set up the engine's client"))
    }
}

/// The newest version that the engine speaks.
fn api_version(answer: &SystemVersion) -> Result<ApiVersion, DriverError> {
    let text = answer.api_version.as_deref().unwrap_or_default();
    text.parse::<ApiVersion>().map_err(|error| DriverError::Engine {
        doing: "read the engine's version",
        words: error.to_string(),
    })
}
