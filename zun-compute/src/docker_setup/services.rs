//! Inspects and controls systemd units. Tests use another implementation.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::Command;

/// The time limit of a systemctl command. Docker's unit has no start timeout of its own.
const TIMEOUT: Duration = Duration::from_secs(90);

/// An action on a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitAction {
    /// Start the unit, if it is not active.
    Start,
    /// Restart the unit, even if it has reached its start limit.
    Restart,
    /// Reload the unit's settings.
    Reload,
    /// Stop the unit.
    Stop,
}

/// Why a unit cannot be inspected or controlled.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// systemctl cannot be run.
    #[error("cannot run systemctl")]
    Unusable(#[source] io::Error),
    /// systemctl failed.
    #[error("`systemctl {command}` failed: {stderr}")]
    Failed {
        /// The arguments.
        command: String,
        /// Its output on stderr.
        stderr: String,
    },
    /// systemctl did not end in time.
    #[error("`systemctl {0}` did not end within {limit} s", limit = TIMEOUT.as_secs())]
    Slow(String),
}

/// Inspects and controls units.
#[async_trait]
pub trait Services: Send + Sync {
    /// The files of a unit: the main file first, then the drop-ins in order. Empty if the unit does not exist.
    async fn files(&self, unit: &str) -> Result<Vec<PathBuf>, ServiceError>;
    /// Whether the unit is active.
    async fn is_active(&self, unit: &str) -> Result<bool, ServiceError>;
    /// Makes systemd reload all unit files.
    async fn daemon_reload(&self) -> Result<(), ServiceError>;
    /// Performs an action, and returns after it is done.
    async fn control(&self, action: UnitAction, unit: &str) -> Result<(), ServiceError>;
}

/// Controls units through systemctl.
#[derive(Debug, Clone, Copy, Default)]
pub struct Systemd;

#[async_trait]
impl Services for Systemd {
    async fn files(&self, unit: &str) -> Result<Vec<PathBuf>, ServiceError> {
        let shown = run(&["show", "--property=FragmentPath,DropInPaths", unit]).await?;
        let value = |key: &str| {
            shown.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned()
        };
        let main = value("FragmentPath=");
        if main.is_empty() {
            return Ok(Vec::new());
        }
        let others = value("DropInPaths=");
        Ok(std::iter::once(main.as_str())
            .chain(others.split_whitespace())
            .map(Into::into)
            .collect())
    }

    async fn is_active(&self, unit: &str) -> Result<bool, ServiceError> {
        let shown = run(&["show", "--property=ActiveState", unit]).await?;
        Ok(matches!(shown.trim(), "ActiveState=active" | "ActiveState=reloading"))
    }

    async fn daemon_reload(&self) -> Result<(), ServiceError> {
        run(&["daemon-reload"]).await.map(drop)
    }

    async fn control(&self, action: UnitAction, unit: &str) -> Result<(), ServiceError> {
        let verb = match action {
            UnitAction::Start => "start",
            UnitAction::Restart => {
                // Docker's unit refuses to start more than three times a minute.
                run(&["reset-failed", unit]).await.map_or_else(drop, drop);
                "restart"
            }
            UnitAction::Reload => "reload",
            UnitAction::Stop => "stop",
        };
        run(&[verb, unit]).await.map(drop)
    }
}

async fn run(arguments: &[&str]) -> Result<String, ServiceError> {
    let command = arguments.join(" ");
    let running =
        Command::new("systemctl").args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match tokio::time::timeout(TIMEOUT, running).await {
        Ok(output) => output.map_err(ServiceError::Unusable)?,
        Err(_elapsed) => return Err(ServiceError::Slow(command)),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
    Err(ServiceError::Failed { command, stderr })
}
