//! Sends a signal to an exec. Docker has no call for this, so the gate sends the signal itself.
//!
//! The kernel may reuse the process ID for another process. So the gate first opens a pidfd, and sends the signal only if
//! the exec is still running with this ID afterwards.

use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, kill_process_group, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};
use zun_common::signal;

use super::Docker;
use crate::engine::{EngineError, Inspected, Recipients, Signal, Target};

/// How long an exec may have no process after Docker reports that it is running.
const START_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);
const DOING: &str = "send the exec a signal";

impl Docker {
    /// Sends a signal to the exec's process, or also to all others of its group. Does nothing if the exec has ended.
    pub(super) async fn signal_exec(
        &self,
        target: &Target,
        Signal { name, to }: Signal<'_>,
    ) -> Result<(), EngineError> {
        let number = signal::number(name).and_then(rustix::process::Signal::from_named_raw);
        let Some(number) = number else {
            return Err(failed(format!("`{name}` is not a signal")));
        };
        let Some(pid) = self.running_pid(target).await? else { return Ok(()) };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Ok(()),
            process => process.map_err(denied)?,
        };
        let again: Inspected = self.inspect_exec(target).await?.into();
        if again.pid.and_then(Pid::from_raw) != Some(pid) {
            return Ok(());
        }
        let sent = match to {
            Recipients::Process => pidfd_send_signal(process, number),
            // runc makes each exec the leader of a session, and so of a process group. Other runtimes may not do this.
            Recipients::Group => match kill_process_group(pid, number) {
                Err(Errno::SRCH) => pidfd_send_signal(process, number),
                sent => sent,
            },
        };
        match sent {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(denied(errno)),
        }
    }

    /// The ID of the exec's process, if it runs. Docker reports that an exec is running a moment before it has a process.
    async fn running_pid(&self, target: &Target) -> Result<Option<Pid>, EngineError> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let inspected: Inspected = self.inspect_exec(target).await?.into();
            let pid = inspected.pid.and_then(Pid::from_raw);
            if pid.is_some() || !inspected.process.running {
                return Ok(pid);
            }
            if Instant::now() > deadline {
                return Err(failed("its process is still starting".to_owned()));
            }
            sleep(PAUSE).await;
        }
    }
}

fn denied(errno: Errno) -> EngineError {
    let hint =
        if errno == Errno::PERM { ": zun-console needs the capability CAP_KILL" } else { "" };
    failed(format!("{}{hint}", std::io::Error::from(errno)))
}

const fn failed(message: String) -> EngineError {
    EngineError::Failed { doing: DOING, message }
}
