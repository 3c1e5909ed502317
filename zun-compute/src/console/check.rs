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
use crate::docker_setup::UNDO_MARKER;
use crate::driver::{ContainerDriver, DriverError};
use crate::host::{Host, within};
use crate::probe::{Listener, ProbeError};
use crate::settings::ConsoleSettings;

/// The plugin's name in Docker's settings.
const PLUGIN: &str = "zun-authz";
const ENGINE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often to check an endpoint that failed the last check.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// An endpoint to check.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The advertised listener, with the console gate that the settings name.
    pub(crate) listener: ConsoleListener,
    /// The file with the CAs that sign the certificates of clients and of this host.
    pub(crate) ca: PathBuf,
    /// How often to check an endpoint that passed the last check.
    pub(crate) interval: Duration,
    /// The file that exists after `docker-setup --undo`.
    pub(crate) undo_marker: PathBuf,
}

impl Endpoint {
    /// Returns the endpoint to check, or the name of the setting that is missing.
    pub(crate) fn of(settings: &ConsoleSettings) -> Result<Self, &'static str> {
        let address = settings.address.as_ref().ok_or("console.address")?;
        let api_version = settings.api_version.ok_or("console.api_version")?;
        let certificates = settings.certificates.as_ref().ok_or("console.certificates")?;
        let gate = settings.gate.as_ref().map(ToString::to_string);
        Ok(Self {
            listener: ConsoleListener { address: address.to_string(), api_version, gate },
            ca: certificates.join("ca.pem"),
            interval: Duration::from_secs(u64::from(settings.check_interval)),
            undo_marker: UNDO_MARKER.into(),
        })
    }
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
        "Docker supports API {engine} at most, but grants are for {granted}: set `console.api_version` to {engine}, \
         run `zun-compute docker-setup` and restart zun-compute"
    )]
    EngineTooOld { engine: ApiVersion, granted: ApiVersion },
}

/// Checks the endpoint until shutdown, and sets the host's console status.
pub(crate) async fn monitor(host: Arc<Host>, endpoint: Endpoint, tasks: Tasks) {
    // The last known trouble with the gate, so that each is logged once.
    let mut gate_trouble = None;
    loop {
        let checked = tokio::select! {
            () = tasks.cancelled() => return,
            checked = check(&endpoint, host.driver.as_ref()) => checked,
        };
        let gate_down = checked.as_ref().is_ok_and(|checked| checked.gate_trouble.is_some());
        let pause = if checked.is_err() || gate_down {
            RETRY_INTERVAL.min(endpoint.interval)
        } else {
            endpoint.interval
        };
        if let Ok(checked) = &checked {
            tell_gate(&host, &endpoint, (&gate_trouble, &checked.gate_trouble));
            gate_trouble.clone_from(&checked.gate_trouble);
        }
        set(&host, &endpoint, checked);
        tokio::select! {
            () = tasks.cancelled() => return,
            () = host.engine_back.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The result of a check that Docker's listener has passed.
struct Checked {
    /// Why the gate is not offered to clients, if it is not.
    gate_trouble: Option<String>,
}

/// Logs a change of the gate's state.
fn tell_gate(host: &Host, endpoint: &Endpoint, (before, now): (&Option<String>, &Option<String>)) {
    let Some(address) = &endpoint.listener.gate else { return };
    let name = &host.name;
    match now {
        Some(why) if before.as_ref() != Some(why) => tracing::warn!(
            host.name = %name, error = %why,
            "the console gate at {address} is not available; clients connect to Docker instead"
        ),
        None if before.is_some() => {
            tracing::info!(host.name = %name, "the console gate is available at {address}");
        }
        Some(_) | None => {}
    }
}

fn set(host: &Host, endpoint: &Endpoint, checked: Result<Checked, CheckError>) {
    let status = match checked {
        Ok(Checked { gate_trouble: None }) => ConsoleStatus::Up(endpoint.listener.clone()),
        Ok(Checked { gate_trouble: Some(_) }) => {
            ConsoleStatus::Up(ConsoleListener { gate: None, ..endpoint.listener.clone() })
        }
        Err(failure) => ConsoleStatus::Down(chain(&failure)),
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

async fn check(endpoint: &Endpoint, driver: &dyn ContainerDriver) -> Result<Checked, CheckError> {
    let checked = probe(endpoint, driver).await;
    checked
        .map_err(|failure| if endpoint.undo_marker.exists() { CheckError::Undone } else { failure })
}

async fn probe(endpoint: &Endpoint, driver: &dyn ContainerDriver) -> Result<Checked, CheckError> {
    let path = &endpoint.ca;
    let ca = tokio::fs::read_to_string(path)
        .await
        .map_err(|cause| CheckError::UnreadableCa { path: path.clone(), cause })?;
    let ConsoleListener { address, api_version, gate } = &endpoint.listener;
    Listener::new(address, &ca)?.rejects_unauthorized().await?;
    let engine = within(ENGINE_TIMEOUT, "inspect Docker", driver.engine()).await?;
    if !engine.authorization.iter().any(|plugin| plugin == PLUGIN) {
        return Err(CheckError::NoPlugin);
    }
    if engine.api_version < *api_version {
        let (engine, granted) = (engine.api_version, *api_version);
        return Err(CheckError::EngineTooOld { engine, granted });
    }
    let gate_trouble = match gate {
        Some(gate) => probe_gate(gate, &ca).await.err().map(|failure| chain(&failure)),
        None => None,
    };
    Ok(Checked { gate_trouble })
}

/// Checks that the gate has this host's certificate, and refuses clients without one.
async fn probe_gate(address: &str, ca: &str) -> Result<(), ProbeError> {
    Listener::new(address, ca)?.rejects_unauthorized().await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn an_endpoint_needs_address_version_and_certificates() {
        let mut settings = ConsoleSettings::default();
        let missing = |settings: &ConsoleSettings| Endpoint::of(settings).expect_err("no endpoint");
        assert_eq!(missing(&settings), "console.address");
        settings.address = Some("c1.example:2376".to_owned().try_into().expect("an address"));
        assert_eq!(missing(&settings), "console.api_version");
        settings.api_version = Some("1.41".parse().expect("a version"));
        assert_eq!(missing(&settings), "console.certificates");
        settings.certificates = Some("/p".into());
        let Endpoint { listener, ca, .. } = Endpoint::of(&settings).expect("an endpoint");
        assert_eq!(
            (listener.address.as_str(), listener.api_version.minor),
            ("c1.example:2376", 41)
        );
        assert_eq!(listener.gate, None);
        assert_eq!(ca, Path::new("/p/ca.pem"));
        settings.gate = Some("c1.example:2377".to_owned().try_into().expect("an address"));
        let with_gate = Endpoint::of(&settings).expect("an endpoint");
        assert_eq!(with_gate.listener.gate.as_deref(), Some("c1.example:2377"));
    }
}
