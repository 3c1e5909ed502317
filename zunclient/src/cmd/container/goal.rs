//! The states that commands such as `zun start` wait for. One table says which statuses reach a state and which
//! rule it out, so no command waits for a state that it cannot reach.

use std::time::{Duration, Instant};

use zun_common::api::v1::container::Container;
use zun_common::status::Status;

use super::starting::{is_away, is_news, why};
use crate::api::{Absence, ApiError, Client};
use crate::cmd::Failure;

/// The state of a container that a command waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// The host has created the container.
    Created,
    /// A new run of its process has begun.
    Started,
    /// The run has ended, and the restart policy starts no other.
    Stopped,
    /// Its processes are paused.
    Paused,
    /// Its processes are no longer paused.
    Unpaused,
}

/// Whether a goal is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GoalState {
    /// The goal is reached.
    Reached,
    /// The goal can no longer be reached.
    Unreachable,
    /// The goal may still be reached.
    Pending,
}

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

impl Goal {
    /// Returns what a status means for the goal, without regard to the status before.
    pub(super) const fn state_in(self, status: Status) -> GoalState {
        use GoalState::{Pending as P, Reached as R, Unreachable as U};
        let [created, started, stopped, paused, unpaused] = match status {
            Status::Creating | Status::Rebuilding | Status::Unknown => [P, P, P, P, P],
            Status::Created => [R, P, R, U, U],
            Status::Running => [R, R, P, P, R],
            Status::Paused => [R, R, P, R, P],
            Status::Restarting => [R, R, P, U, R],
            Status::Stopped => [R, R, R, U, R],
            Status::Deleting => [P, R, P, U, U],
            Status::Deleted => [U, R, R, U, U],
            Status::Dead | Status::Error => [U, U, R, U, U],
        };
        match self {
            Self::Created => created,
            Self::Started => started,
            Self::Stopped => stopped,
            Self::Paused => paused,
            Self::Unpaused => unpaused,
        }
    }

    /// Returns the statuses that end the wait.
    pub(super) fn decisive(self) -> Vec<Status> {
        let decides = |status: &Status| self.state_in(*status) != GoalState::Pending;
        Status::ALL.iter().copied().filter(decides).collect()
    }

    /// Returns what `now` means for the goal. `was` is the container before the command: a status that it
    /// already had then does not count.
    pub(super) fn state_after(self, now: &Container, was: &Container) -> GoalState {
        let is_old = now.status == was.status && !is_news(now, was);
        match (self, self.state_in(now.status)) {
            (_, GoalState::Reached | GoalState::Unreachable) if is_old => GoalState::Pending,
            (Self::Started, GoalState::Reached) => state_of_start(now, was),
            (_, state) => state,
        }
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
            Err(error) if is_away(&error) && absence.lasts().await => continue,
            Err(error) => return Err(error.into()),
        };
        absence = Absence::default();
        match goal.state_after(&now, was) {
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
        None => api.wait_for_news(was, &[Status::Deleted], within).await,
        Some(last) => {
            tokio::time::sleep(PAUSE).await;
            api.wait_for_news(last, &[Status::Deleted], within).await
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDateTime;
    use serde_json::json;

    use super::*;

    const GOALS: [Goal; 5] =
        [Goal::Created, Goal::Started, Goal::Stopped, Goal::Paused, Goal::Unpaused];

    fn row(status: Status) -> String {
        let mut row = format!("{status:<11}");
        for goal in GOALS {
            row.push_str(match goal.state_in(status) {
                GoalState::Reached => " reached ",
                GoalState::Unreachable => " never   ",
                GoalState::Pending => " -       ",
            });
        }
        format!("{}\n", row.trim_end())
    }

    #[test]
    fn what_each_status_means_for_each_goal() {
        let grid: String = Status::ALL.iter().map(|status| row(*status)).collect();
        let header = "            created  started  stopped  paused   unpaused";
        insta::assert_snapshot!(format!("{header}\n{grid}"), @r"
                    created  started  stopped  paused   unpaused
        Creating    -        -        -        -        -
        Created     reached  -        reached  never    never
        Running     reached  reached  -        -        reached
        Stopped     reached  reached  reached  never    reached
        Paused      reached  reached  -        reached  -
        Restarting  reached  reached  -        never    reached
        Rebuilding  -        -        -        -        -
        Deleting    -        reached  -        never    never
        Deleted     never    reached  reached  never    never
        Dead        never    never    reached  never    never
        Error       never    never    reached  never    never
        Unknown     -        -        -        -        -
        ");
    }

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
            assert_eq!(Goal::Started.state_after(&now, &was), state, "{status} since {started}");
        }
    }

    #[test]
    fn a_stop_that_completes_does_not_count_as_the_start_that_follows() {
        let was = container(Status::Stopped, 9, Some(1));
        let stopped = container(Status::Stopped, 10, Some(1));
        assert_eq!(Goal::Started.state_after(&stopped, &was), GoalState::Pending);
        let ran = container(Status::Stopped, 11, Some(2));
        assert_eq!(Goal::Started.state_after(&ran, &was), GoalState::Reached);
    }

    #[test]
    fn a_status_from_before_the_command_does_not_end_the_wait() {
        let was = container(Status::Error, 9, Some(1));
        assert_eq!(Goal::Paused.state_after(&was, &was), GoalState::Pending);
        let now = container(Status::Error, 10, Some(1));
        assert_eq!(Goal::Paused.state_after(&now, &was), GoalState::Unreachable);
    }
}
