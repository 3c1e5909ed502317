//! Sends a signal to the processes of an exec. Docker has no call for this, so the gate sends the signal itself.
//!
//! The kernel may reuse the process ID for another process. So the gate first opens a pidfd, and sends the signal only if
//! the exec is still running with this ID afterwards.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use zun_common::signal;

use super::Docker;
use crate::engine::{EngineError, Inspected, Target};

const DOING: &str = "send the exec a signal";

impl Docker {
    /// Sends a signal to the process group of the exec. Does nothing if the exec has ended.
    pub(super) async fn signal_exec(&self, target: &Target, name: &str) -> Result<(), EngineError> {
        let Some(signal) = signal::number(name).and_then(Signal::from_named_raw) else {
            return Err(failed(format!("`{name}` is not a signal")));
        };
        let inspected: Inspected = self.inspect_exec(target).await?.into();
        let Some(pid) = inspected.pid.and_then(Pid::from_raw) else {
            if inspected.process.running {
                return Err(failed("its process is still starting".to_owned()));
            }
            return Ok(());
        };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Ok(()),
            process => process.map_err(denied)?,
        };
        let again: Inspected = self.inspect_exec(target).await?.into();
        if again.pid.and_then(Pid::from_raw) != Some(pid) {
            return Ok(());
        }
        // runc makes each exec the leader of a session, and so of a process group. Other runtimes may not do this.
        let sent = match kill_process_group(pid, signal) {
            Err(Errno::SRCH) => pidfd_send_signal(process, signal),
            sent => sent,
        };
        match sent {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(denied(errno)),
        }
    }
}

fn denied(errno: Errno) -> EngineError {
    let hint =
        if errno == Errno::PERM { ": zun-console needs the capability CAP_KILL" } else { "" };
    failed(format!("{}{hint}", std::io::Error::from(errno)))
}

const fn failed(words: String) -> EngineError {
    EngineError::Failed { doing: DOING, words }
}
