//! Taking away what was set up: every file is as it was before the first set-up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Machine;
use super::back::{self, Former};
use super::error::SetupError;
use super::files::{self, Kept};
use super::record::{self, Place};
use super::texts::DOCKER_UNIT;

/// Undoes, and says which files were put back or taken away: none where nothing was set up.
pub(super) async fn undo(machine: &Machine) -> Result<Vec<PathBuf>, SetupError> {
    let path = &machine.paths.record;
    if record::read(path)?.is_none() {
        return Ok(Vec::new());
    }
    let place = Place::hold(path)?;
    let Some(record) = record::read(path)? else { return Ok(Vec::new()) };
    if let Some(changed) = record.changed_since()? {
        return Err(SetupError::ChangedSince { path: changed.to_owned(), record: path.clone() });
    }
    let former: BTreeMap<PathBuf, Option<Kept>> =
        record.files.iter().map(|(path, entry)| (path.clone(), entry.former.clone())).collect();
    let drop_in =
        machine.paths.units.join(DOCKER_UNIT).with_extension("service.d").join("zun.conf");
    let daemon_json = record.daemon_json.clone();
    back::put_back(
        machine,
        &Former {
            files: &former,
            daemon_json: &daemon_json,
            drop_in: &drop_in,
            plugin_was_active: record.plugin_was_active,
            docker_has_read: true,
        },
    )
    .await?;
    files::remove_empty(&record.directories);
    place.clear()?;
    Ok(former.into_keys().collect())
}
