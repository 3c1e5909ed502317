//! Restores the previous files and restarts Docker without stopping containers.
//!
//! Docker stops running containers when it starts without live-restore. So the rollback starts Docker with live-restore
//! on, and afterwards reloads the previous settings if they switch it off.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Machine;
use super::daemon_json::{has_live_restore, with_live_restore};
use super::docker_api;
use super::error::SetupError;
use super::files::{self, SavedFile};
use super::services::UnitAction;
use super::units::{DOCKER_UNIT, PLUGIN_UNIT, SOCKET_UNIT};

/// How long to wait for Docker's answer after a restart or a reload.
const TIMEOUT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// The state to restore.
pub(super) struct Snapshot<'a> {
    pub(super) files: &'a BTreeMap<PathBuf, Option<SavedFile>>,
    pub(super) daemon_json: &'a Path,
    pub(super) drop_in: &'a Path,
    pub(super) plugin_was_active: bool,
    /// Whether Docker runs, or may run, with the new settings.
    pub(super) docker_has_new_settings: bool,
}

/// Restores the snapshot.
pub(super) async fn roll_back(machine: &Machine, former: &Snapshot<'_>) -> Result<(), SetupError> {
    let services = machine.services.as_ref();
    let of = |path: &Path| former.files.get(path).and_then(Option::as_ref);
    if former.files.contains_key(former.drop_in) {
        files::restore(former.drop_in, of(former.drop_in))?;
    }
    let settings = of(former.daemon_json);
    if former.docker_has_new_settings {
        restart_with(machine, former.daemon_json, settings).await?;
    }
    if former.files.contains_key(former.daemon_json) {
        files::restore(former.daemon_json, settings)?;
    }
    if !former.plugin_was_active {
        for unit in [PLUGIN_UNIT, SOCKET_UNIT] {
            services.control(UnitAction::Stop, unit).await?;
        }
    }
    let is_dockers = |path: &Path| path == former.drop_in || path == former.daemon_json;
    // In reverse order: the certificate is a link to the key, which must be restored first.
    for (path, kept) in former.files.iter().rev().filter(|(path, _)| !is_dockers(path)) {
        files::restore(path, kept.as_ref())?;
    }
    Ok(services.daemon_reload().await?)
}

/// Restarts Docker with the previous settings. Containers keep running.
async fn restart_with(
    machine: &Machine,
    path: &Path,
    settings: Option<&SavedFile>,
) -> Result<(), SetupError> {
    let services = machine.services.as_ref();
    let text = settings.map(|kept| kept.text.as_str());
    files::write(path, &with_live_restore(text, true)?)?;
    // Without live-restore Docker would stop its containers when it stops.
    if docker_api::engine(&machine.engine).await.is_ok_and(|engine| !engine.live_restore) {
        services.control(UnitAction::Reload, DOCKER_UNIT).await?;
        until_live_restore(&machine.engine, true).await?;
    }
    services.daemon_reload().await?;
    services.control(UnitAction::Restart, DOCKER_UNIT).await?;
    until_live_restore(&machine.engine, true).await?;
    if has_live_restore(text)? {
        return Ok(());
    }
    files::write(path, &with_live_restore(text, false)?)?;
    services.control(UnitAction::Reload, DOCKER_UNIT).await?;
    until_live_restore(&machine.engine, false).await
}

/// Waits until Docker answers and live-restore is on (or off, if `on` is false).
pub(super) async fn until_live_restore(engine: &Path, on: bool) -> Result<(), SetupError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let seen = docker_api::engine(engine).await;
        if seen.as_ref().is_ok_and(|engine| engine.live_restore == on) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return match seen {
                Ok(_) => {
                    Err(SetupError::Slow("did not apply the live-restore setting within 60 s"))
                }
                Err(cause) => Err(SetupError::EngineSilent { socket: engine.to_owned(), cause }),
            };
        }
        sleep(PAUSE).await;
    }
}
