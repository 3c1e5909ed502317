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
use crate::probe::{Listener, ProbeError};

/// The plugin's name, as the engine knows it.
const PLUGIN: &str = "zun-authz";
const ENGINE_TIMEOUT: Duration = Duration::from_secs(5);
/// One that is not up or not safe is looked at so often.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// An endpoint to look at.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// What is advertised.
    pub(crate) listener: ConsoleListener,
    /// The file with the authority that it trusts in clients, and that signed its certificate.
    pub(crate) ca: PathBuf,
    /// How often one that is safe is looked at.
    pub(crate) interval: Duration,
    /// There where somebody took the endpoint away and wants it so.
    pub(crate) undo_marker: PathBuf,
}

/// Why an endpoint is not used.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(
        "it was closed by `zun-compute docker-setup --undo`; `zun-compute docker-setup` opens it again"
    )]
    Undone,
    #[error("the authority {path} cannot be read")]
    UnreadableCa {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the console endpoint is not up or not safe")]
    Probe(#[from] ProbeError),
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
pub(crate) async fn monitor(host: Arc<Host>, endpoint: Endpoint, tasks: Tasks) {
    loop {
        let failure = tokio::select! {
            () = tasks.cancelled() => return,
            checked = check(&endpoint, host.driver.as_ref()) => checked.err(),
        };
        let pause = if failure.is_some() {
            RETRY_INTERVAL.min(endpoint.interval)
        } else {
            endpoint.interval
        };
        set(&host, &endpoint, failure);
        tokio::select! {
            () = tasks.cancelled() => return,
            () = host.engine_back.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn set(host: &Host, endpoint: &Endpoint, failure: Option<CheckError>) {
    let status = match failure {
        None => ConsoleStatus::Up(endpoint.listener.clone()),
        Some(failure) => ConsoleStatus::Down(chain(&failure)),
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

async fn check(endpoint: &Endpoint, driver: &dyn ContainerDriver) -> Result<(), CheckError> {
    let checked = probe(endpoint, driver).await;
    checked
        .map_err(|failure| if endpoint.undo_marker.exists() { CheckError::Undone } else { failure })
}

async fn probe(endpoint: &Endpoint, driver: &dyn ContainerDriver) -> Result<(), CheckError> {
    let path = &endpoint.ca;
    let ca = tokio::fs::read_to_string(path)
        .await
        .map_err(|cause| CheckError::UnreadableCa { path: path.clone(), cause })?;
    let ConsoleListener { address, api_version } = &endpoint.listener;
    Listener::new(address, &ca)?.refuses_strangers().await?;
    let engine = within(ENGINE_TIMEOUT, "look at the engine", driver.engine()).await?;
    if !engine.authorization.iter().any(|plugin| plugin == PLUGIN) {
        return Err(CheckError::NoPlugin);
    }
    if engine.api_version < *api_version {
        let (engine, granted) = (engine.api_version, *api_version);
        return Err(CheckError::OldEngine { engine, granted });
    }
    Ok(())
}
