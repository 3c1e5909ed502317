//! Whether the console endpoint is up and safe: it is dialled at its advertised address, as clients dial it,
//! and the engine is asked whether it asks `zun-authz`.
//!
//! Looked at when the agent starts, whenever the engine is back, and from time to time.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zun_common::chain;
use zun_common::grant::ApiVersion;
use zun_common::rpc::container::ConsoleListener;
use zun_common::shutdown::Tasks;

use super::ConsoleStatus;
use crate::driver::{ContainerDriver, DriverError};
use crate::host::{Host, within};
use crate::probe::{Listener, Unfit};

/// The plugin's name, as the engine knows it.
const PLUGIN: &str = "zun-authz";
const ENGINE_ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// One that is not up or not safe is looked at so often.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// An endpoint to look at.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// What is advertised.
    pub(crate) listener: ConsoleListener,
    /// The file with the authority that it trusts in clients, and that signed its certificate.
    pub(crate) authority: PathBuf,
    /// How often one that is safe is looked at.
    pub(crate) every: Duration,
    /// There where somebody took the endpoint away and wants it so.
    pub(crate) undo_marker: PathBuf,
}

/// Why an endpoint is not used.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(
        "it was closed by `zun-compute docker-setup --undo`; `zun-compute docker-setup` opens it again"
    )]
    Undone,
    #[error("the authority {path} cannot be read")]
    Authority {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the console endpoint is not up or not safe")]
    Unfit(#[from] Unfit),
    #[error("the engine cannot be asked about its console endpoint")]
    Engine(#[from] DriverError),
    #[error(
        "the engine does not ask {PLUGIN}: it is not in `authorization-plugins` of its settings"
    )]
    NoPlugin,
    #[error("the engine speaks API {engine} at most, and grants are for {granted}")]
    OldEngine { engine: ApiVersion, granted: ApiVersion },
}

/// Looks until shutdown, and sets the host's status.
pub(crate) async fn keep(host: Arc<Host>, endpoint: Endpoint, tasks: Tasks) {
    loop {
        let trouble = tokio::select! {
            () = tasks.cancelled() => return,
            looked = look(&endpoint, host.driver.as_ref()) => looked.err(),
        };
        let pause =
            if trouble.is_some() { AGAIN_AFTER.min(endpoint.every) } else { endpoint.every };
        set(&host, &endpoint, trouble);
        tokio::select! {
            () = tasks.cancelled() => return,
            () = host.engine_back.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn set(host: &Host, endpoint: &Endpoint, trouble: Option<Trouble>) {
    let status = match trouble {
        None => ConsoleStatus::Up(endpoint.listener.clone()),
        Some(trouble) => ConsoleStatus::Down(chain(&trouble)),
    };
    let address = &endpoint.listener.address;
    if !host.console.set(status.clone()) {
        return;
    }
    match status {
        ConsoleStatus::Up(_) => {
            tracing::info!(host.name = %host.name, "consoles are dialled at {address}: up and safe");
        }
        ConsoleStatus::Down(why) => {
            tracing::warn!(host.name = %host.name, error = %why, "consoles cannot be dialled at {address}");
        }
    }
}

async fn look(endpoint: &Endpoint, driver: &dyn ContainerDriver) -> Result<(), Trouble> {
    let looked = look_from_outside(endpoint, driver).await;
    looked.map_err(|trouble| if endpoint.undo_marker.exists() { Trouble::Undone } else { trouble })
}

async fn look_from_outside(
    endpoint: &Endpoint,
    driver: &dyn ContainerDriver,
) -> Result<(), Trouble> {
    let path = &endpoint.authority;
    let authority = tokio::fs::read_to_string(path)
        .await
        .map_err(|cause| Trouble::Authority { path: path.clone(), cause })?;
    let ConsoleListener { address, api_version } = &endpoint.listener;
    Listener::new(address, &authority)?.refuses_strangers().await?;
    let engine = within(ENGINE_ANSWERS_WITHIN, "look at the engine", driver.engine()).await?;
    if !engine.authorization.iter().any(|plugin| plugin == PLUGIN) {
        return Err(Trouble::NoPlugin);
    }
    if engine.api_version < *api_version {
        let (engine, granted) = (engine.api_version, *api_version);
        return Err(Trouble::OldEngine { engine, granted });
    }
    Ok(())
}
