//! Changes an existing container.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use zun_common::id::ContainerId;
use zun_common::rpc::container::Removal;
use zun_common::rpc::operation as rpc;
use zun_common::status::{Status, TaskState};

use super::rebuild;
use super::work::Work;
use crate::driver::{Change, ContainerInfo, DriverError};
use crate::host::{Host, within};

/// Docker's default grace period.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// How long a container that is killed between two runs may take to stop.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);

/// Carries out an operation that fits the container's state.
pub(super) async fn change(
    work: &Work<'_>,
    change: &rpc::Change,
    seen: &ContainerInfo,
) -> Result<(), DriverError> {
    let (host, container) = (work.host, work.container());
    let (driver, limit) = (&host.driver, host.engine_timeout());
    match change {
        rpc::Change::Start { last_start } => {
            if is_running(seen) || (work.operation.again && has_started(seen, *last_start)) {
                return Ok(());
            }
            start(work).await
        }
        rpc::Change::Stop { grace } => stop(work, seconds(*grace)).await,
        rpc::Change::Reboot { grace } => {
            work.begin(TaskState::Rebooting);
            let grace = seconds(*grace);
            let restarting = driver.restart(container, grace);
            let done = within(with_grace(host, grace), "restart the container", restarting).await;
            done.inspect_err(|error| note_start(work, error))
        }
        rpc::Change::Pause => {
            work.begin(TaskState::Pausing);
            within(limit, "pause the container", driver.pause(container)).await.map(done)
        }
        rpc::Change::Unpause => {
            work.begin(TaskState::Unpausing);
            within(limit, "unpause the container", driver.unpause(container)).await.map(done)
        }
        rpc::Change::Kill { signal } => {
            work.begin(TaskState::Killing);
            kill(host, container, signal).await
        }
        rpc::Change::Update { resources, before: _, rename: _ } => {
            work.mark_begun();
            let updating = driver.update(container, *resources);
            within(limit, "change the limits of the container", updating).await
        }
        rpc::Change::Create { .. }
        | rpc::Change::Rebuild { .. }
        | rpc::Change::Delete { .. }
        | rpc::Change::PullImage { .. }
        | rpc::Change::RemoveImage { .. }
        | rpc::Change::RemoveResource { .. } => Ok(()),
    }
}

/// Starts the container.
pub(super) async fn start(work: &Work<'_>) -> Result<(), DriverError> {
    let (host, container) = (work.host, work.container());
    work.begin(TaskState::Starting);
    let starting = if matches!(work.operation.change, rpc::Change::Create { .. }) {
        host.driver.start_first(container)
    } else {
        host.driver.start(container)
    };
    within(host.engine_timeout(), "start the container", starting)
        .await
        .inspect_err(|error| note_start(work, error))
        .map(done)
}

/// Notes that the container may have been started in spite of an error: now, or by an earlier agent before Docker
/// restarted.
fn note_start(work: &Work<'_>, error: &DriverError) {
    let has_no_answer = matches!(error, DriverError::Down { .. } | DriverError::TimedOut { .. });
    let is_left_over = work.operation.again && matches!(error, DriverError::Engine { .. });
    if has_no_answer || is_left_over {
        work.may_have_started.store(true, Ordering::Relaxed);
    }
}

/// Removes the container in any state. `how` decides whether it is stopped or killed first. A missing container counts
/// as removed.
pub(super) async fn remove(work: &Work<'_>, how: Removal) -> Result<(), DriverError> {
    work.begin(TaskState::Deleting);
    remove_current(work, how).await?;
    // An unfinished rebuild may have left its old container.
    rebuild::remove_old(work).await
}

async fn remove_current(work: &Work<'_>, how: Removal) -> Result<(), DriverError> {
    let (host, container) = (work.host, work.container());
    match how {
        Removal::Force => {}
        // zun-api has decided that the container may be removed. If it has started since, it is stopped as well.
        Removal::OnlyStopped | Removal::StopFirst => {
            let stopping = host.driver.stop(container, None);
            match within(with_grace(host, None), "stop the container", stopping).await {
                Ok(_) => {}
                Err(DriverError::NoContainer(_)) => return Ok(()),
                Err(error) => {
                    tracing::warn!(container.id = %container, error = %zun_common::chain(&error), "cannot stop container {container} before its removal");
                }
            }
        }
    }
    let removing = host.driver.remove(container, true);
    match within(host.engine_timeout(), "remove the container", removing).await {
        Ok(_) | Err(DriverError::NoContainer(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Sends a signal. Docker reports no event when a signal stops a container between two runs, so this waits for it.
async fn kill(host: &Host, container: ContainerId, signal: &str) -> Result<(), DriverError> {
    let killing = host.driver.kill(container, signal);
    within(host.engine_timeout(), "kill the container", killing).await?;
    if host.inspect(container).await.is_ok_and(|seen| seen.status == Status::Restarting) {
        let stopped = tokio::time::timeout(STOPPED_WITHIN, host.driver.wait(container)).await;
        tracing::debug!(container.id = %container, ?stopped, "killed between two runs");
    }
    Ok(())
}

async fn stop(work: &Work<'_>, grace: Option<Duration>) -> Result<(), DriverError> {
    work.begin(TaskState::Stopping);
    let stopping = work.host.driver.stop(work.container(), grace);
    within(with_grace(work.host, grace), "stop the container", stopping).await.map(done)
}

pub(super) fn with_grace(host: &Host, grace: Option<Duration>) -> Duration {
    host.engine_timeout().saturating_add(grace.unwrap_or(DEFAULT_GRACE))
}

pub(super) fn seconds(grace: Option<u32>) -> Option<Duration> {
    grace.map(|seconds| Duration::from_secs(u64::from(seconds)))
}

pub(super) const fn is_running(seen: &ContainerInfo) -> bool {
    matches!(seen.status, Status::Running | Status::Restarting)
}

/// Whether a newer run has started than the one that zun-api knew when it accepted the operation. Times are only
/// compared for equality, because clocks step.
fn has_started(seen: &ContainerInfo, last_start: Option<DateTime<Utc>>) -> bool {
    let micros = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp_micros());
    seen.started_at.is_some() && micros(seen.started_at) != micros(last_start)
}

const fn done(change: Change) {
    match change {
        Change::Done | Change::Already => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zun_common::rpc::report::LiveState;

    fn seen(started_at: Option<DateTime<Utc>>) -> ContainerInfo {
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
            raw_started: None,
            finished_at: None,
            live: LiveState::default(),
            cluster: None,
            rebuild: None,
            name: None,
            limits: zun_common::units::Resources::default(),
        }
    }

    #[test]
    fn only_another_start_than_the_last_known_one_is_the_operations_own() {
        let (now, earlier) = (Utc::now(), Utc::now() - chrono::TimeDelta::seconds(60));
        assert!(has_started(&seen(Some(now)), None));
        assert!(has_started(&seen(Some(now)), Some(earlier)));
        assert!(has_started(&seen(Some(earlier)), Some(now)), "the clock was set back");
        assert!(!has_started(&seen(Some(now)), Some(now)));
        assert!(!has_started(&seen(None), None));
    }
}
