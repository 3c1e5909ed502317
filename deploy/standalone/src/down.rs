//! `zun-standalone down`: nothing of it is left, however it ended.

use std::time::Duration;

use zun_standalone::engine::PrivateEngine;
use zun_standalone::state::{Lock, State};

use crate::args::StateArgs;
use crate::{Failure, say};

/// How long it has to drain, and its containers to stop.
const STOP: Duration = Duration::from_secs(90);

/// Ends the running instance, if there is one, and removes what it, or a killed one, left.
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
    say(&format!("zun-standalone is down, and {} is removed", state.root().display()));
    Ok(())
}
