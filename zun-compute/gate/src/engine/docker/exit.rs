//! How processes end.

use std::time::Duration;

use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;

use super::super::{EngineError, Exit, Target, exit_of};
use super::http::Call;
use super::{Docker, exit_code};

/// The time between the first two inspections of an exec whose start or end Docker has not noticed yet.
const FIRST_POLL: Duration = Duration::from_millis(1);
/// The longest time between two of them.
const POLL: Duration = Duration::from_millis(20);
/// The same for an exec whose process cannot be watched.
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
            let failed = |words: String| EngineError::Failed { doing: DOING, words };
            let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
            let body = body.map_err(|cause| failed(cause.to_string()))?.to_bytes();
            let answer: Value =
                serde_json::from_slice(&body).map_err(|cause| failed(cause.to_string()))?;
            let code = exit_code(&answer).ok_or_else(|| failed(answer.to_string()))?;
            // A container that removes itself may be gone.
            let state = docker.inspect_container(&target).await.ok();
            let out_of_memory = state.is_some_and(|state| state.state.oom_killed);
            Ok(Exit { code, out_of_memory, failed_start: None })
        }))
    }

    /// Waits for the exit of an exec.
    pub(super) async fn exit_of_exec(&self, target: &Target) -> Result<Exit, EngineError> {
        // Docker usually notices the exit a few milliseconds after the kernel.
        let mut pause = FIRST_POLL;
        loop {
            let exec = self.inspect_exec(target).await?;
            match (exec.running, exec.exit_code) {
                (false, Some(code)) => {
                    return Ok(Exit { code, out_of_memory: false, failed_start: None });
                }
                (true, _) if exec.pid > 0 => exit_or_pause(exec.pid).await,
                (true | false, _) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(POLL);
        }
    }
}

async fn exit_or_pause(pid: i32) {
    if exit_of(pid).await.is_err() {
        tokio::time::sleep(UNWATCHED).await;
    }
}
