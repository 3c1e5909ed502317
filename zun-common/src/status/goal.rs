//! The states of containers that commands wait for. One table says which statuses reach a state and which rule it out,
//! so that nobody waits for a state that can no longer be reached.

use super::Status;

/// The state of a container that a command waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
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
pub enum GoalState {
    /// The goal is reached.
    Reached,
    /// The goal can no longer be reached.
    Unreachable,
    /// The goal may still be reached.
    Pending,
}

impl Goal {
    /// Returns what a status means for the goal, without regard to the status before.
    pub const fn state_in(self, status: Status) -> GoalState {
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
    pub fn decisive(self) -> Vec<Status> {
        let decides = |status: &Status| self.state_in(*status) != GoalState::Pending;
        Status::ALL.iter().copied().filter(decides).collect()
    }
}

#[cfg(test)]
mod tests {
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
}
