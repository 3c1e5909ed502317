//! Finds the exit code of a process that may have exited while the gate restarted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt as _, Limited};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::super::{EngineError, Exit, Run, Target};
use super::Docker;
use super::answers::State;
use super::http::Call;

/// How long Docker may be unavailable.
const ENGINE_TIMEOUT: Duration = Duration::from_mins(5);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// The largest list of events, in bytes.
const LARGEST_ANSWER: usize = 1 << 20;

/// What the container's present state says about a run.
enum Found {
    NotStarted,
    Running,
    Exited(Exit),
    /// A later run has begun.
    Restarted,
}

fn find(run: &Run, state: &State) -> Found {
    let same = run.started_at.as_deref() == Some(state.started_at.as_str());
    match (run.running, same, state.running) {
        (false, true, false) => Found::NotStarted,
        (true, false, _) => Found::Restarted,
        (_, _, true) => Found::Running,
        (_, _, false) => Found::Exited(Exit {
            out_of_memory: state.oom_killed,
            ..Exit::with_code(state.exit_code)
        }),
    }
}

impl Docker {
    /// Waits for the exit of a run, or finds out how it has ended.
    pub(super) async fn exit_of_run(
        &self,
        target: &Target,
        run: &Run,
        output_ended: &Notify,
    ) -> Result<Exit, EngineError> {
        let begun = Instant::now();
        loop {
            let exit = match target {
                Target::Container(id) => self.exit_of_container(target, id.as_str(), run).await,
                Target::Exec(_) => self.present_exit_of_exec(target, output_ended).await,
            };
            match exit {
                Err(EngineError::Unreachable { .. } | EngineError::Failed { .. })
                    if begun.elapsed() < ENGINE_TIMEOUT =>
                {
                    sleep(PAUSE).await;
                }
                Ok(_) | Err(_) => return exit,
            }
        }
    }

    async fn present_exit_of_exec(
        &self,
        target: &Target,
        output_ended: &Notify,
    ) -> Result<Exit, EngineError> {
        // Another process may have its process ID by now.
        let exec = self.inspect_exec(target).await?;
        if let (false, Some(code)) = (exec.running, exec.exit_code) {
            return Ok(Exit::with_code(code));
        }
        self.exit_of_exec(target, (exec.pid > 0).then_some(exec.pid), output_ended).await
    }

    async fn exit_of_container(
        &self,
        target: &Target,
        id: &str,
        run: &Run,
    ) -> Result<Exit, EngineError> {
        loop {
            let state = match self.inspect_container(target).await {
                Ok(answer) => answer.state,
                Err(removed @ EngineError::NotFound(_)) => {
                    return self.last_exit(target, id).await?.ok_or(removed);
                }
                Err(error) => return Err(error),
            };
            match find(run, &state) {
                Found::Exited(exit) => return Ok(exit),
                Found::Restarted => return Err(EngineError::Restarted(target.clone())),
                Found::NotStarted | Found::Running => {}
            }
            let exit = self.wait(target).await?;
            // The process may have exited, but Docker may not have noticed yet.
            if let Ok(now) = self.inspect_container(target).await
                && now.state.started_at == state.started_at
                && now.state.running == state.running
            {
                return exit.await;
            }
        }
    }

    /// How a container that was removed exited, as long as Docker remembers it.
    async fn last_exit(&self, target: &Target, id: &str) -> Result<Option<Exit>, EngineError> {
        const DOING: &str = "ask Docker for the container's last exit";
        let filters = json!({ "container": [id], "event": ["die"] }).to_string();
        let encoded = utf8_percent_encode(&filters, NON_ALPHANUMERIC);
        // With `until` in the past, Docker returns the events that it still has. Without `until`, the stream does not
        // end.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        let path = format!("/v{}/events?since=0&until={until}&filters={encoded}", self.version());
        let response = self.http.send(&Call::get(DOING, path, target)).await?;
        let failed = |message: String| EngineError::Failed { doing: DOING, message };
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map_err(|cause| failed(cause.to_string()))?.to_bytes();
        let events = serde_json::Deserializer::from_slice(&body).into_iter::<Value>();
        let last = events.map_while(Result::ok).last();
        let code = last.as_ref().and_then(|event| event.pointer("/Actor/Attributes/exitCode"));
        let code = code.and_then(Value::as_str).and_then(|code| code.parse().ok());
        Ok(code.map(Exit::with_code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(started_at: &str, running: bool) -> State {
        let state = json!({
            "Status": "", "Running": running, "OOMKilled": false, "Pid": 0, "ExitCode": 7,
            "StartedAt": started_at,
        });
        serde_json::from_value(state).expect("a state")
    }

    #[test]
    fn the_state_says_what_became_of_a_run() {
        let run = |running| Run {
            running,
            started_at: Some("monday".to_owned()),
            pid: None,
            stdin_ends: true,
            starting: false,
            project: None,
        };
        assert!(matches!(find(&run(false), &state("monday", false)), Found::NotStarted));
        assert!(matches!(find(&run(false), &state("tuesday", true)), Found::Running));
        assert!(matches!(find(&run(true), &state("monday", true)), Found::Running));
        for exited in
            [find(&run(true), &state("monday", false)), find(&run(false), &state("tuesday", false))]
        {
            assert!(matches!(exited, Found::Exited(Exit { code: 7, .. })));
        }
        assert!(matches!(find(&run(true), &state("tuesday", true)), Found::Restarted));
        assert!(matches!(find(&run(true), &state("tuesday", false)), Found::Restarted));
    }
}
