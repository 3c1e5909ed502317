//! Units: asked about, and given orders. systemd on a real host, something smaller in a test.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::Command;

/// Docker's unit has no time-out of its own; this is ours.
const TIMEOUT: Duration = Duration::from_secs(90);

/// What a unit is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitAction {
    /// Start it, if it does not run.
    Start,
    /// Start it anew, also after failures that would count against it.
    Restart,
    /// Read its settings again.
    Reload,
    /// Stop it.
    Stop,
}

/// A unit that cannot be asked or does not obey.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The manager cannot be run.
    #[error("systemctl cannot be run")]
    Unusable(#[source] io::Error),
    /// It refused or failed.
    #[error("`systemctl {command}` failed: {words}")]
    Failed {
        /// What was asked.
        command: String,
        /// What it said.
        words: String,
    },
    /// It did not end.
    #[error("`systemctl {0}` did not end within {limit} s", limit = TIMEOUT.as_secs())]
    Slow(String),
}

/// Manages units.
#[async_trait]
pub trait Services: Send + Sync {
    /// The files of a unit, the main one first, then the drop-ins in their order; none where it is not
    /// known.
    async fn files(&self, unit: &str) -> Result<Vec<PathBuf>, ServiceError>;
    /// Whether it runs.
    async fn is_active(&self, unit: &str) -> Result<bool, ServiceError>;
    /// Reads the units' files again.
    async fn daemon_reload(&self) -> Result<(), ServiceError>;
    /// Gives an order, and returns when it is carried out.
    async fn control(&self, action: UnitAction, unit: &str) -> Result<(), ServiceError>;
}

/// systemd.
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
                // Docker's unit gives up after three starts in a minute.
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
    let words = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
    Err(ServiceError::Failed { command, words })
}
