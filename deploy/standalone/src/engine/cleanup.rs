//! Finds and removes what a stopped or killed engine left behind: processes, control groups, the bridge,
//! packet filter rules and sockets.
//!
//! The search does not rely on a saved list, which could be outdated. It recognizes each object by a property, such as
//! the mark on the bridge.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use super::bridge;
use super::error::{EngineError, at};
use super::settings::Layout;

/// How long to wait for killed processes to end.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Removes everything but data, settings, logs and initial terminal sizes. Kills a running engine and its containers.
pub(super) fn clear(layout: &Layout) -> Result<(), EngineError> {
    let containers = containers(layout);
    end_processes(layout, &containers)?;
    remove_control_groups(&containers);
    bridge::remove(layout)?;
    let run = layout.root().join("run");
    remove(&run, std::fs::remove_dir_all(&run))?;
    remove_daemon_files(layout)
}

/// Removes the files of a dockerd that has ended. With the process ID in its file, the next one may not start.
pub(super) fn remove_daemon_files(layout: &Layout) -> Result<(), EngineError> {
    for file in [layout.pidfile(), layout.socket(), layout.ready_socket()] {
        remove(&file, std::fs::remove_file(&file))?;
    }
    Ok(())
}

fn remove(path: &Path, outcome: std::io::Result<()>) -> Result<(), EngineError> {
    match outcome {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(at("remove", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Returns the IDs of all containers of the engine: 64 hexadecimal digits each, so they are unique on the machine.
fn containers(layout: &Layout) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(layout.data().join("containers")) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.len() == 64)
        .collect()
}

/// Kills processes until none is left, because a killed process may just have started another.
fn end_processes(layout: &Layout, containers: &[String]) -> Result<(), EngineError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let ours = processes(layout, containers);
        if ours.is_empty() {
            return Ok(());
        }
        for (_, process) in &ours {
            // The process may have ended in the meantime.
            pidfd_send_signal(process, Signal::KILL).unwrap_or_default();
        }
        for (pid, process) in &ours {
            let left = deadline.saturating_duration_since(Instant::now());
            if !gone_within(process, left) {
                let mut pids = vec![*pid];
                pids.extend(processes(layout, containers).into_iter().map(|(pid, _)| pid));
                return Err(EngineError::Unkillable { pids });
            }
        }
    }
}

fn gone_within(process: &OwnedFd, within: Duration) -> bool {
    let time = Timespec {
        tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(within.subsec_nanos()),
    };
    let mut wanted = [PollFd::new(process, PollFlags::IN)];
    matches!(poll(&mut wanted, Some(&time)), Ok(1..))
}

/// Returns the live processes of the engine and of its containers, each with a pidfd.
fn processes(layout: &Layout, containers: &[String]) -> Vec<(i32, OwnedFd)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = identity(&layout.run_docker());
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(Pid::from_raw)
        .filter(|pid| *pid != getpid() && !pid.is_init())
        .filter_map(|pid| {
            // Open the pidfd before the check, because the kernel may reuse the ID for another process.
            let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
            let number = pid.as_raw_nonzero().get();
            is_ours(number, own, containers).then_some((number, process))
        })
        .collect()
}

fn is_ours(pid: i32, run_docker: Option<(u64, u64)>, containers: &[String]) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let sees = identity(&process.join("root/run/docker"));
    if sees.is_some() && sees == run_docker {
        return true;
    }
    if containers.is_empty() {
        return false;
    }
    let groups = std::fs::read_to_string(process.join("cgroup")).unwrap_or_default();
    // A zombie still has its control groups, but cannot be killed again.
    containers.iter().any(|id| groups.contains(id.as_str())) && !is_zombie(&process)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn is_zombie(process: &Path) -> bool {
    let status = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    status.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
}

/// Removes the containers' control groups. runc removes them itself unless it was killed, and systemd removes its own.
fn remove_control_groups(containers: &[String]) {
    let root = PathBuf::from("/sys/fs/cgroup");
    let mut hierarchies = vec![root.clone()];
    if let Ok(entries) = std::fs::read_dir(&root) {
        hierarchies.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    for group in hierarchies.iter().map(|hierarchy| hierarchy.join("docker")) {
        for id in containers {
            // Most do not exist, and a remaining one does no harm.
            drop(std::fs::remove_dir(group.join(id)));
        }
    }
}
