//! Compares the containers that should exist with those that do. Pure.

use std::collections::{HashMap, HashSet};

use zun_common::id::{ContainerId, EngineId};
use zun_common::rpc::host::AssignedContainer;
use zun_common::status::Status;

use crate::driver::{ContainerInfo, ListedContainer};

/// An action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// It exists: report its state, and change nothing.
    Report(Box<ContainerInfo>),
    /// It should exist and does not: report it as lost.
    MarkLost(ContainerId),
    /// It should no longer exist, and does not: report it as deleted.
    MarkDeleted(ContainerId),
    /// It has Zun's label, and zun-api does not know it: report it as a stray.
    Stray(ContainerId, EngineId),
}

/// Returns the actions: first those of the assigned containers, then those of the strays. A container of unknown state
/// needs none until it can be inspected, but a stray is one even then.
pub(super) fn plan(assigned: &[AssignedContainer], listed: &[ListedContainer]) -> Vec<Step> {
    let present: HashMap<ContainerId, &ListedContainer> =
        listed.iter().map(|one| (one.container(), one)).collect();
    let known: HashSet<ContainerId> = assigned.iter().map(|one| one.container).collect();
    let of_assigned = assigned.iter().filter_map(|one| match present.get(&one.container) {
        Some(ListedContainer::Inspected(info)) => Some(Step::Report(info.clone())),
        Some(ListedContainer::StateUnknown { .. }) => None,
        None => missing(one),
    });
    let strays = listed.iter().filter(|one| !known.contains(&one.container()));
    let of_strays = strays.filter_map(|one| match one {
        ListedContainer::Inspected(info) => Some(Step::Stray(info.container, info.engine.clone())),
        ListedContainer::StateUnknown { container, engine, reason: _ } => {
            Some(Step::Stray(*container, engine.clone()?))
        }
    });
    of_assigned.chain(of_strays).collect()
}

fn missing(one: &AssignedContainer) -> Option<Step> {
    let AssignedContainer {
        container,
        status,
        engine,
        auto_remove,
        is_rebuilding,
        last_run: _,
        reported: _,
    } = one;
    let was_created = engine.is_some();
    match status {
        Status::Deleting | Status::Deleted => Some(Step::MarkDeleted(*container)),
        // The rebuild creates the next one.
        _ if *is_rebuilding => None,
        // Its operation is open, or its outcome will be reported.
        Status::Creating if !was_created => None,
        _ if *auto_remove && was_created => Some(Step::MarkDeleted(*container)),
        Status::Error => None,
        Status::Creating
        | Status::Created
        | Status::Running
        | Status::Stopped
        | Status::Paused
        | Status::Restarting
        | Status::Rebuilding
        | Status::Dead
        | Status::Unknown => Some(Step::MarkLost(*container)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::DriverError;
    use zun_common::rpc::report::LiveState;

    fn engine() -> EngineId {
        "ab".repeat(32).parse().expect("an id")
    }

    fn assigned(status: Status) -> AssignedContainer {
        AssignedContainer {
            container: ContainerId::random(),
            status,
            engine: Some(engine()),
            auto_remove: false,
            is_rebuilding: false,
            last_run: None,
            reported: None,
        }
    }

    fn info(container: ContainerId, status: Status) -> ContainerInfo {
        ContainerInfo {
            container,
            engine: engine(),
            status,
            reason: None,
            exit_code: None,
            oom_killed: false,
            tty: false,
            stdin: false,
            started_at: None,
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
    fn missing_containers_are_lost_and_those_that_should_be_gone_are_deleted() {
        for status in
            [Status::Created, Status::Running, Status::Stopped, Status::Paused, Status::Unknown]
        {
            let one = assigned(status);
            assert_eq!(
                plan(std::slice::from_ref(&one), &[]),
                [Step::MarkLost(one.container)],
                "{status}"
            );
            let leaves = AssignedContainer { auto_remove: true, ..one };
            assert_eq!(
                plan(std::slice::from_ref(&leaves), &[]),
                [Step::MarkDeleted(leaves.container)],
                "{status}"
            );
        }
        let leaving = assigned(Status::Deleting);
        assert_eq!(
            plan(std::slice::from_ref(&leaving), &[]),
            [Step::MarkDeleted(leaving.container)]
        );
    }

    #[test]
    fn a_container_that_was_never_created_is_left_to_its_operation() {
        let mut one = assigned(Status::Creating);
        one.engine = None;
        assert_eq!(plan(std::slice::from_ref(&one), &[]), []);
        one.engine = Some(engine());
        assert_eq!(plan(std::slice::from_ref(&one), &[]), [Step::MarkLost(one.container)]);
    }

    #[test]
    fn a_container_that_a_rebuild_replaces_is_not_lost() {
        for status in [Status::Running, Status::Stopped, Status::Rebuilding, Status::Error] {
            let one = AssignedContainer { is_rebuilding: true, ..assigned(status) };
            assert_eq!(plan(std::slice::from_ref(&one), &[]), [], "{status}");
        }
    }

    #[test]
    fn a_missing_container_in_error_stays_in_error() {
        let mut one = assigned(Status::Error);
        assert_eq!(plan(std::slice::from_ref(&one), &[]), []);
        one.auto_remove = true;
        assert_eq!(plan(std::slice::from_ref(&one), &[]), [Step::MarkDeleted(one.container)]);
        one.engine = None;
        assert_eq!(plan(std::slice::from_ref(&one), &[]), []);
    }

    #[test]
    fn an_existing_container_is_only_reported_whatever_zun_api_expected() {
        for status in Status::ALL {
            let one = assigned(*status);
            let info = Box::new(info(one.container, Status::Running));
            let listed = [ListedContainer::Inspected(info.clone())];
            assert_eq!(plan(std::slice::from_ref(&one), &listed), [Step::Report(info)]);
        }
    }

    #[test]
    fn a_container_that_zun_api_does_not_know_is_a_stray() {
        let stray = info(ContainerId::random(), Status::Running);
        let step = Step::Stray(stray.container, engine());
        assert_eq!(plan(&[], &[ListedContainer::Inspected(Box::new(stray))]), [step]);
    }

    fn state_unknown(container: ContainerId) -> ListedContainer {
        let reason = DriverError::down("the link was lost");
        ListedContainer::StateUnknown { container, engine: Some(engine()), reason }
    }

    #[test]
    fn a_container_of_unknown_state_is_neither_lost_nor_deleted() {
        for status in Status::ALL {
            for (auto_remove, engine) in [(false, None), (true, Some(engine()))] {
                let one = AssignedContainer { auto_remove, engine, ..assigned(*status) };
                assert_eq!(plan(std::slice::from_ref(&one), &[state_unknown(one.container)]), []);
            }
        }
        let stray = ContainerId::random();
        assert_eq!(plan(&[], &[state_unknown(stray)]), [Step::Stray(stray, engine())]);
    }
}
