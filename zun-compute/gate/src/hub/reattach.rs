//! Attaches to a container again after its engine has restarted while the process kept running (Docker's
//! `live-restore`).

use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};
use zun_common::pty::{Ending, EndingReason};

use super::live::Live;
use super::run::{Awaited, exited_with, lost};
use crate::engine::{Engine, EngineError, Opened};

/// How long the engine may be unavailable.
const ENGINE_TIMEOUT: Duration = Duration::from_mins(5);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// Opens another stream of the same run, or returns how the session ends.
pub(super) async fn attach(
    live: &Live,
    engine: &dyn Engine,
) -> Result<(UnixStream, Awaited), Ending> {
    let begun = Instant::now();
    loop {
        match attempt(live, engine).await {
            Ok(opened) => {
                let Opened { stream, output_ended, exit, .. } = opened;
                return Ok((stream, Awaited { output_ended, exit, again: true }));
            }
            Err(Failed::Over(ending)) => return Err(*ending),
            Err(Failed::EngineUnavailable) if begun.elapsed() < ENGINE_TIMEOUT => {
                sleep(PAUSE).await;
            }
            Err(Failed::EngineUnavailable) => {
                let why = "the engine ended the stream and did not come back";
                return Err(Ending::new(EndingReason::EngineLost, why));
            }
        }
    }
}

enum Failed {
    EngineUnavailable,
    Over(Box<Ending>),
}

impl Failed {
    fn of(live: &Live, error: &EngineError) -> Self {
        match error {
            EngineError::Failed { .. } | EngineError::Unreachable { .. } => Self::EngineUnavailable,
            EngineError::NotFound(_) | EngineError::Restarted(_) | EngineError::Conflict { .. } => {
                Self::Over(Box::new(lost(live.target(), error)))
            }
        }
    }
}

async fn attempt(live: &Live, engine: &dyn Engine) -> Result<Opened, Failed> {
    let (target, run) = (live.target(), live.run());
    let failed = |error: EngineError| Failed::of(live, &error);
    let inspected = engine.inspect(target).await.map_err(failed)?;
    if inspected.started_at != run.started_at {
        return Err(failed(EngineError::Restarted(target.clone())));
    }
    if run.running && !inspected.process.running {
        // The engine cannot wait for an exit in the past.
        let exit = engine.exit_after_restart(target, &run, &tokio::sync::Notify::new()).await;
        return Err(Failed::Over(Box::new(exited_with(exit.map_err(failed)?))));
    }
    engine.open(target, &inspected, None).await.map_err(failed)
}
