//! Sends a signal to an exec's process. Docker has no call for this, so the agent sends the signal itself: it runs on
//! the same machine and sees the same process IDs.
//!
//! The kernel may reuse the process ID for another process. So the agent first opens a pidfd, and uses it only if the
//! exec is still running afterwards and the process belongs to its container.

use std::path::PathBuf;
use std::time::Duration;

use bollard::models::ExecInspectResponse;
use bollard::query_parameters::InspectContainerOptions;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};
use zun_common::id::ExecId;

use super::deadline::{QUICK, within};
use super::{Api, DockerDriver};
use crate::driver::DriverError;

/// How long an exec may have no process after Docker reports that it is running.
const START_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);
const DOING: &str = "send the exec a signal";

impl DockerDriver {
    pub(super) async fn signal_exec(&self, exec: &ExecId, name: &str) -> Result<(), DriverError> {
        let signal = zun_common::signal::number(name).and_then(Signal::from_named_raw);
        let signal = signal.ok_or_else(|| DriverError::Invalid {
            words: format!(
                "cannot send signal `{name}` to an exec: use the name of a signal, such as SIGTERM"
            ),
        })?;
        let api = self.api().await?;
        let pid = running_pid(&api, exec).await?;
        let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|cause| failed(exec, cause))?;
        let shown = inspect(&api, exec).await?;
        let of_container = in_container(&api, &shown, pid).await?;
        if running(exec, &shown)? != pid || !of_container {
            return Err(not_running(exec));
        }
        pidfd_send_signal(process, signal).map_err(|cause| failed(exec, cause))
    }
}

async fn inspect(api: &Api, exec: &ExecId) -> Result<ExecInspectResponse, DriverError> {
    let inspecting = within(QUICK, api.docker.inspect_exec(exec.as_str()));
    inspecting.await.map_err(|failure| failure.about_exec(DOING, exec))
}

/// Returns the process ID of a running exec. Docker reports that an exec is running a moment before it has a process.
async fn running_pid(api: &Api, exec: &ExecId) -> Result<Pid, DriverError> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        let shown = inspect(api, exec).await?;
        let begins = shown.running == Some(true) && shown.pid.unwrap_or_default() == 0;
        if !begins || Instant::now() > deadline {
            return running(exec, &shown);
        }
        sleep(PAUSE).await;
    }
}

fn running(exec: &ExecId, shown: &ExecInspectResponse) -> Result<Pid, DriverError> {
    let pid = shown.pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    match (shown.running, pid) {
        (Some(true), Some(pid)) => Ok(pid),
        (_, _) => Err(not_running(exec)),
    }
}

/// Whether the process is in the same pid namespace as the container's main process.
async fn in_container(
    api: &Api,
    shown: &ExecInspectResponse,
    pid: Pid,
) -> Result<bool, DriverError> {
    let container = shown.container_id.as_deref().unwrap_or_default();
    let inspecting = api.docker.inspect_container(container, None::<InspectContainerOptions>);
    let shown = within(QUICK, inspecting).await.map_err(|failure| failure.about(DOING))?;
    let first = shown.state.and_then(|state| state.pid).filter(|first| *first > 0);
    let Some(first) = first else { return Ok(false) };
    let space = |pid: String| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let of_exec: Option<PathBuf> = space(pid.to_string());
    Ok(of_exec.is_some() && of_exec == space(first.to_string()))
}

fn not_running(exec: &ExecId) -> DriverError {
    DriverError::Conflict { words: format!("Exec {exec} is not running") }
}

fn failed(exec: &ExecId, cause: Errno) -> DriverError {
    if cause == Errno::SRCH {
        return not_running(exec);
    }
    DriverError::Engine { doing: DOING, words: std::io::Error::from(cause).to_string() }
}
