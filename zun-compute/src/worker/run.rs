//! What is done to a container that is there.

use std::time::Duration;

use chrono::Utc;
use zun_common::id::ContainerId;
use zun_common::rpc::Call;
use zun_common::rpc::container::{Removal, StartContainer};
use zun_common::status::{Status, TaskState};

use super::command::Command;
use super::perform::Work;
use crate::driver::{Change, ContainerInfo, DriverError};
use crate::host::{Host, within};

/// The engine's own, where none is given.
const USUAL_GRACE: Duration = Duration::from_secs(10);
/// How long one that is killed between two runs may take to be stopped.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);
/// Between the sending of a command and a start that it led to, beyond the command's deadline.
const SLACK: Duration = Duration::from_secs(5);

/// Does what fits. Nothing is run a second time by a command that comes again.
pub(super) async fn run(
    work: &Work<'_>,
    command: &Command,
    seen: &ContainerInfo,
) -> Result<(), DriverError> {
    let Work { host, container, origin, .. } = *work;
    let driver = &host.driver;
    let begin = |task| host.reports.begin(container, task);
    match command {
        Command::Start | Command::Reboot { .. } if origin.again && started_lately(seen) => Ok(()),
        Command::Start if matches!(seen.status, Status::Running | Status::Restarting) => Ok(()),
        Command::Start => start(host, container).await,
        Command::Stop { grace } => stop(host, container, *grace).await,
        Command::Reboot { grace } => {
            begin(TaskState::Rebooting);
            let restarting = driver.restart(container, *grace);
            within(with_grace(host, *grace), "restart the container", restarting).await
        }
        Command::Pause => {
            begin(TaskState::Pausing);
            within(host.engine_timeout(), "pause the container", driver.pause(container))
                .await
                .map(done)
        }
        Command::Unpause => {
            begin(TaskState::Unpausing);
            within(host.engine_timeout(), "unpause the container", driver.unpause(container))
                .await
                .map(done)
        }
        Command::Kill { signal } => {
            begin(TaskState::Killing);
            kill(host, container, signal).await
        }
        Command::Remove(how) => remove(host, container, *how).await,
        Command::Create(_) => Ok(()),
    }
}

pub(super) async fn start(host: &Host, container: ContainerId) -> Result<(), DriverError> {
    host.reports.begin(container, TaskState::Starting);
    within(host.engine_timeout(), "start the container", host.driver.start(container))
        .await
        .map(done)
}

/// Removes it; one that is gone, also while it is being stopped, is removed.
pub(super) async fn remove(
    host: &Host,
    container: ContainerId,
    how: Removal,
) -> Result<(), DriverError> {
    host.reports.begin(container, TaskState::Deleting);
    if how == Removal::StopFirst {
        let stopping = host.driver.stop(container, None);
        let stopped = within(with_grace(host, None), "stop the container", stopping).await;
        match stopped {
            Ok(_) => {}
            Err(DriverError::NoContainer(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    let removing = host.driver.remove(container, how == Removal::Force);
    match within(host.engine_timeout(), "remove the container", removing).await {
        Ok(_) | Err(DriverError::NoContainer(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Docker does not tell when one that is between two runs is stopped by a signal: that is waited for here.
async fn kill(host: &Host, container: ContainerId, signal: &str) -> Result<(), DriverError> {
    let killing = host.driver.kill(container, signal);
    within(host.engine_timeout(), "kill the container", killing).await?;
    if host.inspect(container).await.is_ok_and(|seen| seen.status == Status::Restarting) {
        let stopped = tokio::time::timeout(STOPPED_WITHIN, host.driver.wait(container)).await;
        tracing::debug!(container.id = %container, ?stopped, "killed between two runs");
    }
    Ok(())
}

async fn stop(
    host: &Host,
    container: ContainerId,
    grace: Option<Duration>,
) -> Result<(), DriverError> {
    host.reports.begin(container, TaskState::Stopping);
    let stopping = host.driver.stop(container, grace);
    within(with_grace(host, grace), "stop the container", stopping).await.map(done)
}

fn with_grace(host: &Host, grace: Option<Duration>) -> Duration {
    host.engine_timeout().saturating_add(grace.unwrap_or(USUAL_GRACE))
}

const fn done(change: Change) {
    match change {
        Change::Done | Change::Already => {}
    }
}

/// A command that comes again is at most as old as its deadline. So if its container started within that
/// time, it was this command's doing, and a process that ended since must not be run a second time. Both
/// times are this host's.
fn started_lately(seen: &ContainerInfo) -> bool {
    seen.started_at.is_some_and(|started| Utc::now() - started < lifetime())
}

fn lifetime() -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(StartContainer::DEADLINE + SLACK).unwrap_or(chrono::TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(started_at: Option<chrono::DateTime<Utc>>) -> ContainerInfo {
        ContainerInfo {
            container: ContainerId::random(),
            engine: "ab".repeat(32).parse().expect("an id"),
            status: Status::Stopped,
            reason: None,
            exit_code: Some(0),
            oom_killed: false,
            tty: false,
            stdin: false,
            started_at,
            finished_at: None,
        }
    }

    #[test]
    fn only_a_start_within_the_lifetime_of_a_command_is_taken_as_its_doing() {
        let now = Utc::now();
        assert!(started_lately(&seen(Some(now - chrono::TimeDelta::seconds(3)))));
        assert!(!started_lately(&seen(Some(now - chrono::TimeDelta::seconds(60)))));
        assert!(!started_lately(&seen(None)));
    }
}
