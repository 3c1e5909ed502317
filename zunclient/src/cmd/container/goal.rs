//! How commands such as `zun start` wait for a state of the container.

use std::time::{Duration, Instant};

use zun_common::api::v1::container::Container;
use zun_common::status::{Goal, GoalState, Status};

use super::starting::{is_news, is_unreachable, why};
use crate::api::{Absence, ApiError, Client};
use crate::cmd::Failure;

/// How long one request waits for a change.
pub(super) const POLL_TIMEOUT: Duration = Duration::from_secs(25);

/// How long the first request waits. It does not return early if the host refuses the command.
const FIRST_POLL_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two requests.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a host may take for a command, in addition to a grace period. The agent gives up earlier and
/// reports that.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_secs(90);

/// Docker's default grace period of a stop, in seconds.
pub(super) const DEFAULT_GRACE: u32 = 10;

/// Returns how long a stop with this grace period may take.
pub(super) fn stop_timeout(grace: Option<u32>) -> Duration {
    Duration::from_secs(u64::from(grace.unwrap_or(DEFAULT_GRACE))).saturating_add(COMMAND_TIMEOUT)
}

/// Returns what `now` means for a goal. `was` is the container before the command: a status that it already had then
/// does not count.
pub(super) fn state_after(goal: Goal, now: &Container, was: &Container) -> GoalState {
    let is_old = now.status == was.status && !is_news(now, was);
    match (goal, goal.state_in(now.status)) {
        (_, GoalState::Reached | GoalState::Unreachable) if is_old => GoalState::Pending,
        (Goal::Started, GoalState::Reached) => state_of_start(now, was),
        (_, state) => state,
    }
}

/// Checks whether a new run has begun. The status alone is not enough: the container may have had it before.
fn state_of_start(now: &Container, was: &Container) -> GoalState {
    match (now.run > was.run, now.status) {
        // A run that could not begin has a number too. The container's last status reason says why.
        (true, Status::Deleted | Status::Deleting) if now.started_at == was.started_at => {
            GoalState::Unreachable
        }
        (true, _) => GoalState::Reached,
        (false, Status::Deleted) => GoalState::Unreachable,
        (false, _) => GoalState::Pending,
    }
}

/// Checks whether the host has reported why it did not carry out the command.
fn is_refused(now: &Container, was: &Container) -> bool {
    is_news(now, was) && now.status_reason.is_some() && now.status_reason != was.status_reason
}

/// Waits until an accepted command reaches its goal. Fails if the goal can no longer be reached, if the host
/// refuses the command, or after `within`. `was` is the container before the command. A removed container counts
/// as `Deleted`.
pub(super) async fn reach(
    api: &Client,
    was: &Container,
    goal: Goal,
    within: Duration,
) -> Result<Container, Failure> {
    let deadline = Instant::now().checked_add(within);
    let mut absence = Absence::default();
    let mut last = None;
    loop {
        let left =
            deadline.map_or(POLL_TIMEOUT, |end| end.saturating_duration_since(Instant::now()));
        let now = match next_change(api, (was, last.as_ref()), goal, left.min(POLL_TIMEOUT)).await {
            Ok(now) => now,
            Err(error) if error.is_not_found() => {
                Container { status: Status::Deleted, task_state: None, ..was.clone() }
            }
            Err(error) if is_unreachable(&error) && absence.lasts().await => continue,
            Err(error) => return Err(error.into()),
        };
        absence = Absence::default();
        match state_after(goal, &now, was) {
            GoalState::Reached => return Ok(now),
            GoalState::Pending if !is_refused(&now, was) => {}
            GoalState::Unreachable | GoalState::Pending => return Err(why(&now)),
        }
        if left.is_zero() {
            let status = now.status;
            return Err(Failure::new(format!(
                "its status is still {status} after {} s; `zun action list {}` shows whether the host has carried it out",
                within.as_secs(),
                was.name
            )));
        }
        last = Some(now);
    }
}

/// Waits for the next change. Before the first one (`last` is `None`), waits for a status that decides the goal,
/// if `was` does not have one already.
pub(super) async fn next_change(
    api: &Client,
    (was, last): (&Container, Option<&Container>),
    goal: Goal,
    within: Duration,
) -> Result<Container, ApiError> {
    let decisive = goal.decisive();
    match last {
        None if !decisive.contains(&was.status) => {
            let id = was.uuid.to_string();
            api.wait_for(&id, &decisive, within.min(FIRST_POLL_TIMEOUT)).await
        }
        None => api.wait_for_change(was, &[Status::Deleted], within).await,
        Some(last) => {
            tokio::time::sleep(PAUSE).await;
            api.wait_for_change(last, &[Status::Deleted], within).await
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDateTime;
    use serde_json::json;

    use super::*;

    /// A container that was updated at this second, and whose newest run has this number and began at that second.
    fn container(status: Status, updated: u32, started: Option<u32>) -> Container {
        let at = |second: u32| {
            let time = chrono::DateTime::from_timestamp(i64::from(second), 0).expect("a time");
            time.naive_utc()
        };
        let text = |time: NaiveDateTime| zun_common::api::v1::time::text(time);
        serde_json::from_value(json!({
            "uuid": "5bb9ee06-1b6a-4a38-b0b9-c8b651638bd6", "name": "test", "project_id": "p",
            "user_id": "u", "image": "cirros", "cpu": 1.0, "cpu_policy": "shared",
            "memory": "512", "status": status, "environment": {}, "labels": {},
            "interactive": true, "tty": false, "attached": 0, "auto_remove": false,
            "auto_heal": false, "image_driver": "docker", "ports": [], "addresses": {},
            "disk": 0, "created_at": null, "updated_at": text(at(updated)),
            "started_at": started.map(|second| text(at(second))), "run": started,
        }))
        .expect("a container")
    }

    #[test]
    fn a_restart_is_complete_only_after_a_new_run_began() {
        let was = container(Status::Running, 9, Some(1));
        for (status, started, state) in [
            (Status::Running, 1, GoalState::Pending),
            (Status::Stopped, 1, GoalState::Pending),
            (Status::Restarting, 1, GoalState::Pending),
            (Status::Running, 2, GoalState::Reached),
            (Status::Stopped, 2, GoalState::Reached),
            (Status::Restarting, 2, GoalState::Reached),
            (Status::Error, 1, GoalState::Unreachable),
        ] {
            let now = container(status, 10, Some(started));
            assert_eq!(state_after(Goal::Started, &now, &was), state, "{status} since {started}");
        }
    }

    #[test]
    fn a_stop_that_completes_does_not_count_as_the_start_that_follows() {
        let was = container(Status::Stopped, 9, Some(1));
        let stopped = container(Status::Stopped, 10, Some(1));
        assert_eq!(state_after(Goal::Started, &stopped, &was), GoalState::Pending);
        let ran = container(Status::Stopped, 11, Some(2));
        assert_eq!(state_after(Goal::Started, &ran, &was), GoalState::Reached);
    }

    #[test]
    fn a_status_from_before_the_command_does_not_end_the_wait() {
        let was = container(Status::Error, 9, Some(1));
        assert_eq!(state_after(Goal::Paused, &was, &was), GoalState::Pending);
        let now = container(Status::Error, 10, Some(1));
        assert_eq!(state_after(Goal::Paused, &now, &was), GoalState::Unreachable);
    }
}
