//! `zun-standalone down`: stops the service and removes everything that it created, even after a crash.

use std::time::Duration;

use zun_standalone::engine::PrivateEngine;
use zun_standalone::state::{Lock, State};

use crate::args::StateArgs;
use crate::{Failure, say};

/// How long the service may take to drain and to stop its containers.
const STOP: Duration = Duration::from_secs(90);

/// Stops the running instance, if there is one, and removes everything that it or a killed instance created.
pub(crate) fn down(place: &StateArgs) -> Result<(), Failure> {
    let state = State::new(&place.state)?;
    if let Some(holder) = Lock::holder(&state)? {
        holder.end(STOP)?;
    }
    if let Some(file) = &place.env_file {
        std::fs::remove_file(file).unwrap_or_default();
    }
    if !state.root().exists() {
        return Ok(());
    }
    state.create()?;
    let lock = Lock::acquire(&state)?;
    PrivateEngine::clear(&state.engine())?;
    state.remove(&lock)?;
    say(&format!("stopped zun-standalone and removed {}", state.root().display()));
    Ok(())
}
