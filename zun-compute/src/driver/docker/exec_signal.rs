//! A signal for an exec's process. Docker has no such call; the kernel has. The agent is on the engine's
//! own machine, so the process id that the engine tells is one of this machine.
//!
//! The id could be another process's by the time that it is used. So a handle of the process is taken
//! first, and it is used only if the exec then still runs and the process is one of its container.

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

/// How long an exec may have no process after the engine said that it runs.
const BEGINS_WITHIN: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);
const DOING: &str = "send the exec a signal";

impl DockerDriver {
    pub(super) async fn signal_exec(&self, exec: &ExecId, name: &str) -> Result<(), DriverError> {
        let signal = zun_common::signal::number(name).and_then(Signal::from_named_raw);
        let signal = signal.ok_or_else(|| DriverError::Invalid {
            words: format!("signal `{name}` cannot be sent to an exec: it must be named"),
        })?;
        let api = self.api().await?;
        let pid = begun(&api, exec).await?;
        let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|cause| failed(exec, cause))?;
        let shown = look(&api, exec).await?;
        let of_container = in_container(&api, &shown, pid).await?;
        if running(exec, &shown)? != pid || !of_container {
            return Err(not_running(exec));
        }
        pidfd_send_signal(process, signal).map_err(|cause| failed(exec, cause))
    }
}

async fn look(api: &Api, exec: &ExecId) -> Result<ExecInspectResponse, DriverError> {
    let looking = within(QUICK, api.docker.inspect_exec(exec.as_str()));
    looking.await.map_err(|trouble| trouble.about_exec(DOING, exec))
}

/// Its process id. The engine says that an exec runs a moment before it has a process.
async fn begun(api: &Api, exec: &ExecId) -> Result<Pid, DriverError> {
    let deadline = Instant::now() + BEGINS_WITHIN;
    loop {
        let shown = look(api, exec).await?;
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

/// Whether the process has the same process ids around it as the container's own first process.
async fn in_container(
    api: &Api,
    shown: &ExecInspectResponse,
    pid: Pid,
) -> Result<bool, DriverError> {
    let container = shown.container_id.as_deref().unwrap_or_default();
    let looking = api.docker.inspect_container(container, None::<InspectContainerOptions>);
    let shown = within(QUICK, looking).await.map_err(|trouble| trouble.about(DOING))?;
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
