//! Checks that the console endpoint is reachable and safe. The check dials the advertised address as clients do, and
//! asks Docker whether it uses `zun-authz`.
//!
//! It runs when the agent starts, when Docker comes back, and periodically.

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

/// The plugin's name in Docker's settings.
const PLUGIN: &str = "zun-authz";
const ENGINE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often to check an endpoint that failed the last check.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// An endpoint to check.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The advertised listener.
    pub(crate) listener: ConsoleListener,
    /// The file with the CAs that sign the certificates of clients and of this host.
    pub(crate) ca: PathBuf,
    /// How often to check an endpoint that passed the last check.
    pub(crate) interval: Duration,
    /// The file that exists after `docker-setup --undo`.
    pub(crate) undo_marker: PathBuf,
}

/// Why the console endpoint is not advertised.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(
        "`zun-compute docker-setup --undo` closed this host's console port: run `zun-compute docker-setup` to open \
         it again"
    )]
    Undone,
    #[error("cannot read the CA file {path}: run `zun-compute docker-setup`")]
    UnreadableCa {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the console endpoint is not reachable or not safe")]
    Probe(#[from] ProbeError),
    #[error("cannot ask Docker about its authorization plugins")]
    Engine(#[from] DriverError),
    #[error(
        "Docker does not use the authorization plugin {PLUGIN}: run `zun-compute docker-setup`"
    )]
    NoPlugin,
    #[error(
        "Docker supports API {engine} at most, but grants are for {granted}: change `console.api_version`"
    )]
    EngineTooOld { engine: ApiVersion, granted: ApiVersion },
}

/// Checks the endpoint until shutdown, and sets the host's console status.
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
            tracing::info!(host.name = %host.name, "consoles are available at {address}");
        }
        ConsoleStatus::Down(why) => {
            tracing::warn!(host.name = %host.name, error = %why, "consoles are not available at {address}");
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
    Listener::new(address, &ca)?.rejects_unauthorized().await?;
    let engine = within(ENGINE_TIMEOUT, "inspect Docker", driver.engine()).await?;
    if !engine.authorization.iter().any(|plugin| plugin == PLUGIN) {
        return Err(CheckError::NoPlugin);
    }
    if engine.api_version < *api_version {
        let (engine, granted) = (engine.api_version, *api_version);
        return Err(CheckError::EngineTooOld { engine, granted });
    }
    Ok(())
}
