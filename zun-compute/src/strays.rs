//! Strays: containers with the label of this cluster that zun-api does not know.

use std::sync::{Mutex, MutexGuard, PoisonError};

use zun_common::id::ContainerId;
use zun_common::rpc::host::StrayContainer;

/// Maximum number of strays that are reported.
const MAX_STRAYS: usize = 1000;

/// The strays of a host, as of the last comparison with zun-api; `None` before the first.
#[derive(Debug, Default)]
pub(crate) struct Strays(Mutex<Option<Vec<StrayContainer>>>);

impl Strays {
    /// The strays.
    pub(crate) fn get(&self) -> Option<Vec<StrayContainer>> {
        self.strays().clone()
    }

    /// Replaces all strays after a comparison.
    pub(crate) fn set(&self, mut strays: Vec<StrayContainer>) {
        strays.truncate(MAX_STRAYS);
        *self.strays() = Some(strays);
    }

    /// Whether the container is a stray.
    pub(crate) fn contains(&self, container: ContainerId) -> bool {
        self.strays().iter().flatten().any(|one| one.container == container)
    }

    /// The container was removed.
    pub(crate) fn removed(&self, container: ContainerId) {
        if let Some(strays) = self.strays().as_mut() {
            strays.retain(|one| one.container != container);
        }
    }

    fn strays(&self) -> MutexGuard<'_, Option<Vec<StrayContainer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
