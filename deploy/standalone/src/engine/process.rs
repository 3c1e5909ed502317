//! Starts and stops the engine's processes.
//!
//! Each process runs in its own mount namespace, in which `/run/docker` and `/run/containerd` are directories of this
//! engine. So fixed paths such as plugin sockets do not collide with those of another engine. The mounts disappear with
//! the last process. A process belongs to this engine if it sees the engine's directory as `/run/docker`.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::error::{EngineError, at};
use super::run::path;
use super::settings::Layout;

/// Mounts the engine's directories over the machine's, then executes the program.
const ENTER: &str =
    r#"mount --bind "$1" /run/docker && mount --bind "$2" /run/containerd && shift 2 && exec "$@""#;

/// One process of the engine, with its log.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    log: std::path::PathBuf,
    child: Child,
}

impl Process {
    /// Starts `program` in a new mount namespace, with its output in the log `name`. The process gets its own process
    /// group, so that Ctrl-C in a terminal does not reach it.
    pub(super) fn start(
        layout: &Layout,
        name: &'static str,
        set_up: impl FnOnce(&mut Command),
        program: &Path,
    ) -> Result<Self, EngineError> {
        let log = layout.log(name);
        // The former log is dropped. It is appended to, so that it can be rotated.
        File::create(&log).map_err(at("create", &log))?;
        let output = File::options().append(true).open(&log).map_err(at("open", &log))?;
        let errors = output.try_clone().map_err(at("open", &log))?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "slave", "--", "/bin/sh", "-c", ENTER, "enter"])
            .arg(layout.run_docker())
            .arg(layout.run_containerd())
            .arg(program)
            .env("PATH", path())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        set_up(&mut command);
        let child = command.spawn().map_err(|cause| EngineError::Spawn {
            program: program.display().to_string(),
            cause,
        })?;
        Ok(Self { name, log, child })
    }

    /// Waits until the process exits unexpectedly, and returns the error.
    pub(super) async fn ended(&mut self) -> EngineError {
        let status = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        EngineError::Ended { program: self.name, status, log_tail: self.log_tail() }
    }

    /// Sends SIGTERM, and SIGKILL if the process does not end in time.
    pub(super) async fn terminate(&mut self, within: Duration) -> Option<ExitStatus> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            // The process may already have ended; the wait below handles that.
            kill_process(pid, Signal::TERM).unwrap_or_default();
        }
        if let Ok(status) = tokio::time::timeout(within, self.child.wait()).await {
            return status.ok();
        }
        drop(self.child.start_kill());
        self.child.wait().await.ok()
    }

    /// Returns the error for a process that was not ready in time.
    pub(super) fn not_ready(&self, within: Duration) -> EngineError {
        EngineError::NotReady {
            program: self.name,
            seconds: within.as_secs(),
            log_tail: self.log_tail(),
        }
    }

    fn log_tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&bytes), 6)
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_in_order() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }
}
