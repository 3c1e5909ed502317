//! Putting back what was there, over a restart of Docker that its containers outlive.
//!
//! A Docker that starts without live-restore ends the containers that it finds. So it is started once more
//! with it, whatever the former settings say, and told afterwards that it is off.

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

/// How long Docker has to answer after a restart or a reload.
const TIMEOUT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// What is to be put back.
pub(super) struct Snapshot<'a> {
    pub(super) files: &'a BTreeMap<PathBuf, Option<SavedFile>>,
    pub(super) daemon_json: &'a Path,
    pub(super) drop_in: &'a Path,
    pub(super) plugin_was_active: bool,
    /// Docker runs, or may run, with what is to go.
    pub(super) docker_has_new_settings: bool,
}

/// Puts it back.
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
    let dockers = |path: &Path| path == former.drop_in || path == former.daemon_json;
    // From the last: the key, to which the certificate is a link, comes before it.
    for (path, kept) in former.files.iter().rev().filter(|(path, _)| !dockers(path)) {
        files::restore(path, kept.as_ref())?;
    }
    Ok(services.daemon_reload().await?)
}

/// Restarts Docker on former settings; its containers stay.
async fn restart_with(
    machine: &Machine,
    path: &Path,
    settings: Option<&SavedFile>,
) -> Result<(), SetupError> {
    let services = machine.services.as_ref();
    let text = settings.map(|kept| kept.text.as_str());
    files::write(path, &with_live_restore(text, true)?)?;
    // One that runs without it would end its containers already when it stops.
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

/// Waits until Docker answers, and says so of live-restore.
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
                    Err(SetupError::Slow("did not take live-restore from its settings in time"))
                }
                Err(cause) => Err(SetupError::EngineSilent { socket: engine.to_owned(), cause }),
            };
        }
        sleep(PAUSE).await;
    }
}
