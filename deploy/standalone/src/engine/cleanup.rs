//! Finding and removing what an engine left behind, whether it was stopped or killed: processes, containers,
//! control groups, the bridge, rules, sockets. Nothing is taken from a record that could be stale: each
//! thing is known by a fact about itself.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use super::bridge;
use super::error::{EngineError, at};
use super::settings::Layout;

/// How long killed processes have to be gone.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Removes everything but data and settings. An engine that runs is killed with its containers.
pub(super) fn clear(layout: &Layout) -> Result<(), EngineError> {
    let containers = containers(layout);
    end_processes(layout, &containers)?;
    remove_control_groups(&containers);
    bridge::remove(layout)?;
    let run = layout.root().join("run");
    remove(&run, std::fs::remove_dir_all(&run))?;
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

/// The engine's identifiers of all its containers: 64 hexadecimal digits, so they are nobody else's.
fn containers(layout: &Layout) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(layout.data().join("containers")) else { return Vec::new() };
    folder
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.len() == 64)
        .collect()
}

/// Kills until none is left: what is killed may have been starting another.
fn end_processes(layout: &Layout, containers: &[String]) -> Result<(), EngineError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let ours = processes(layout, containers);
        if ours.is_empty() {
            return Ok(());
        }
        for (_, process) in &ours {
            // It may have ended meanwhile.
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

/// The live processes of the engine and of its containers, each held by a descriptor.
fn processes(layout: &Layout, containers: &[String]) -> Vec<(i32, OwnedFd)> {
    let Ok(folder) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = identity(&layout.run_docker());
    folder
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(Pid::from_raw)
        .filter(|pid| *pid != getpid() && !pid.is_init())
        .filter_map(|pid| {
            // Opened before it is looked at: a number that is used anew is another process.
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
    // A zombie keeps its groups and cannot be killed again.
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

/// runc removes them, unless it was killed. Those that systemd made go by themselves.
fn remove_control_groups(containers: &[String]) {
    let root = PathBuf::from("/sys/fs/cgroup");
    let mut hierarchies = vec![root.clone()];
    if let Ok(folder) = std::fs::read_dir(&root) {
        hierarchies.extend(folder.filter_map(|entry| Some(entry.ok()?.path())));
    }
    for group in hierarchies.iter().map(|hierarchy| hierarchy.join("docker")) {
        for id in containers {
            // Most are not there, and one that stays costs nothing.
            drop(std::fs::remove_dir(group.join(id)));
        }
    }
}
