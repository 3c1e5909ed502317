//! Whether the state of a container in the engine allows an operation. Pure.

use zun_common::rpc::operation::Change;
use zun_common::status::{Action, Status};

/// Whether an operation is allowed for a container in this status. An operation whose effect already exists is allowed.
/// So is every removal, because zun-api decided on it when it accepted the request.
pub(crate) const fn fits(change: &Change, status: Status) -> bool {
    is_allowed(change, status) || has_no_effect(change, status)
}

/// The action, for messages and the table of statuses.
pub(crate) const fn action(change: &Change) -> &'static str {
    match change {
        Change::Create { .. } => "create",
        Change::Start { .. } => Action::Start.as_str(),
        Change::Stop { .. } => Action::Stop.as_str(),
        Change::Reboot { .. } => Action::Reboot.as_str(),
        Change::Rebuild { .. } => Action::Rebuild.as_str(),
        Change::Pause => Action::Pause.as_str(),
        Change::Unpause => Action::Unpause.as_str(),
        Change::Kill { .. } => Action::Kill.as_str(),
        Change::Update { .. } => Action::Update.as_str(),
        Change::Delete { .. } => Action::Delete.as_str(),
        Change::PullImage { .. } => "pull",
        Change::RemoveImage { .. } | Change::RemoveResource { .. } => "remove",
    }
}

const fn is_allowed(change: &Change, status: Status) -> bool {
    match change {
        // Images, volumes and networks have no status.
        Change::Create { .. }
        | Change::Delete { .. }
        | Change::PullImage { .. }
        | Change::RemoveImage { .. }
        | Change::RemoveResource { .. } => true,
        Change::Start { .. } => status.allows(Action::Start),
        Change::Stop { .. } => status.allows(Action::Stop),
        Change::Reboot { .. } => status.allows(Action::Reboot),
        Change::Rebuild { .. } => status.allows(Action::Rebuild),
        Change::Pause => status.allows(Action::Pause),
        Change::Unpause => status.allows(Action::Unpause),
        Change::Kill { .. } => status.allows(Action::Kill),
        Change::Update { .. } => status.allows(Action::Update),
    }
}

const fn has_no_effect(change: &Change, status: Status) -> bool {
    match change {
        // The engine starts a restarting container itself.
        Change::Start { .. } => matches!(status, Status::Running | Status::Restarting),
        Change::Unpause => matches!(status, Status::Running),
        Change::Stop { .. } => matches!(status, Status::Stopped),
        Change::Pause => matches!(status, Status::Paused),
        Change::Create { .. }
        | Change::Reboot { .. }
        | Change::Rebuild { .. }
        | Change::Kill { .. }
        | Change::Update { .. }
        | Change::Delete { .. }
        | Change::PullImage { .. }
        | Change::RemoveImage { .. }
        | Change::RemoveResource { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use zun_common::rpc::container::{ContainerSpec, Removal};
    use zun_common::units::Resources;

    use super::*;

    fn changes() -> Vec<Change> {
        vec![
            Change::Start { last_start: None },
            Change::Stop { grace: None },
            Change::Reboot { grace: None },
            Change::Rebuild {
                spec: Box::new(ContainerSpec::of_image(
                    "web".parse().expect("a project"),
                    "a",
                    "b",
                )),
                was_running: true,
            },
            Change::Pause,
            Change::Unpause,
            Change::Kill { signal: "SIGTERM".to_owned() },
            Change::Update {
                resources: Resources::default(),
                before: Resources::default(),
                rename: None,
            },
            Change::Delete { how: Removal::OnlyStopped },
        ]
    }

    #[test]
    fn each_status_allows_the_listed_operations() {
        let mut grid = String::new();
        for status in Status::ALL {
            let changes = changes();
            let fitting = changes.iter().filter(|change| fits(change, *status));
            let fitting: Vec<_> = fitting.map(action).collect();
            grid.extend([status.to_string(), ": ".to_owned(), fitting.join(" "), "\n".to_owned()]);
        }
        let expected = "\
Creating: delete
Created: start reboot rebuild update delete
Running: start stop reboot rebuild pause unpause kill update delete
Stopped: start stop reboot rebuild update delete
Paused: stop reboot pause unpause kill update delete
Restarting: start stop reboot rebuild kill delete
Rebuilding: delete
Deleting: delete
Deleted: delete
Dead: delete
Error: start reboot rebuild delete
Unknown: delete
";
        assert_eq!(grid, expected);
    }
}
