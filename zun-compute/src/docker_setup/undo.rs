//! Undoes the setup: restores every file as it was before the first setup.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::daemon_json;
use super::docker_api;
use super::error::SetupError;
use super::files::{self, SavedFile};
use super::rollback::{self, Snapshot};
use super::undo_record::{self, RecordStore};
use super::units::DOCKER_UNIT;
use super::{Machine, Undone};
use crate::driver::docker::RUNTIME;

/// Undoes the setup, and returns the files that were restored or removed. It returns none if nothing was set up.
pub(super) async fn undo(machine: &Machine) -> Result<Undone, SetupError> {
    let path = &machine.paths.record;
    if undo_record::read(path)?.is_none() {
        undo_record::mark_undone(&machine.paths.undo_marker)?;
        return Ok(Undone::default());
    }
    let store = RecordStore::lock(path)?;
    let Some(record) = undo_record::read(path)? else { return Ok(Undone::default()) };
    if let Some(changed) = record.changed_since()? {
        return Err(SetupError::ChangedSince { path: changed.to_owned(), record: path.clone() });
    }
    // Create the marker first: if this run is killed, the next boot must not set Docker up again.
    undo_record::mark_undone(&machine.paths.undo_marker)?;
    let former: BTreeMap<PathBuf, Option<SavedFile>> =
        record.files.iter().map(|(path, entry)| (path.clone(), entry.former.clone())).collect();
    let drop_in =
        machine.paths.units.join(DOCKER_UNIT).with_extension("service.d").join("zun.conf");
    let daemon_json = record.daemon_json.clone();
    rollback::roll_back(
        machine,
        &Snapshot {
            files: &former,
            daemon_json: &daemon_json,
            drop_in: &drop_in,
            plugin_was_active: record.plugin_was_active,
            docker_has_new_settings: true,
        },
    )
    .await?;
    files::remove_empty(&record.directories);
    store.clear()?;
    store.release()?;
    let settings = former.get(&daemon_json).and_then(Option::as_ref);
    let sized = if daemon_json::has_runtime(settings.map(|kept| kept.text.as_str())) {
        0
    } else {
        docker_api::count_with_runtime(&machine.engine, RUNTIME).await.unwrap_or_default()
    };
    let runtime = machine.paths.runtime.clone();
    Ok(Undone { files: former.into_keys().collect(), sized, runtime })
}
