//! How processes end.

use std::time::Duration;

use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::super::{EngineError, Exit, Target, exit_of};
use super::http::Call;
use super::{Docker, exit_code};

/// The pause between the exit of an exec's process and the first inspection: Docker notices the exit a little later.
const FIRST_POLL: Duration = Duration::from_millis(8);
/// The longest pause between two inspections.
const POLL: Duration = Duration::from_millis(20);
/// The pause before an inspection after the output has ended.
const SOON: Duration = Duration::from_millis(1);
/// The pause between two inspections of an exec whose process the gate cannot watch.
const UNWATCHED: Duration = Duration::from_millis(500);
/// The largest answer to a wait request, in bytes.
const LARGEST_ANSWER: usize = 64 << 10;

impl Docker {
    /// Waits for the container's next exit. Docker has accepted the request when this returns.
    pub(super) async fn wait(
        &self,
        target: &Target,
    ) -> Result<BoxFuture<'static, Result<Exit, EngineError>>, EngineError> {
        const DOING: &str = "wait for the container's exit";
        let call = Call::post(DOING, self.path(target, "/wait?condition=next-exit"), target);
        let response = self.http.send(&call).await?;
        let (docker, target) = (self.clone(), target.clone());
        Ok(Box::pin(async move {
            let failed = |message: String| EngineError::Failed { doing: DOING, message };
            let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
            let body = body.map_err(|cause| failed(cause.to_string()))?.to_bytes();
            let answer: Value =
                serde_json::from_slice(&body).map_err(|cause| failed(cause.to_string()))?;
            let code = exit_code(&answer).ok_or_else(|| failed(answer.to_string()))?;
            // A container that removes itself may be gone.
            let state = docker.inspect_container(&target).await.ok();
            let state = state.map(|answer| answer.state);
            let out_of_memory = state.as_ref().is_some_and(|state| state.oom_killed);
            // Its restart policy applies: Docker has already started it again, or will.
            let restarts = state.is_some_and(|state| state.running || state.restarting);
            Ok(Exit { out_of_memory, restarts, ..Exit::with_code(code) })
        }))
    }

    /// Waits for the exit of an exec with this process.
    pub(super) async fn exit_of_exec(
        &self,
        target: &Target,
        mut pid: Option<i32>,
        output_ended: &Notify,
    ) -> Result<Exit, EngineError> {
        let (mut pause, mut ended) = (FIRST_POLL, false);
        loop {
            tokio::select! {
                // Docker ends the output after it has noticed the exit.
                () = output_ended.notified(), if !ended => (ended, pause) = (true, SOON),
                () = exit_of_or_pause(pid, pause) => pause = (pause * 2).min(POLL),
            }
            let exec = self.inspect_exec(target).await?;
            if let (false, Some(code)) = (exec.running, exec.exit_code) {
                return Ok(Exit::with_code(code));
            }
            pid = pid.or((exec.pid > 0).then_some(exec.pid));
        }
    }
}

/// Waits until the process has exited, and then for Docker to notice it.
async fn exit_of_or_pause(pid: Option<i32>, pause: Duration) {
    match pid {
        Some(pid) if exit_of(pid).await.is_err() => sleep(UNWATCHED).await,
        Some(_) | None => sleep(pause).await,
    }
}
