//! What follows from what should be there and what is there. Pure.

use std::collections::{HashMap, HashSet};

use zun_common::id::{ContainerId, EngineId};
use zun_common::rpc::container::CreateContainer;
use zun_common::rpc::host::AssignedContainer;
use zun_common::status::Status;

use crate::driver::ContainerInfo;

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// It is there: tell how it is. Nothing is done to it.
    Tell(Box<ContainerInfo>),
    /// Its making was ordered, and the order may be lost.
    Make(Box<CreateContainer>),
    /// It should be there and is not.
    Vanished(ContainerId),
    /// It was to go, and is gone.
    Removed(ContainerId),
    /// It carries our label, and zun-api does not know it.
    Unknown(ContainerId, EngineId),
}

/// What to do, in the order of what is assigned and then of what is seen.
pub(super) fn plan(assigned: &[AssignedContainer], seen: &[ContainerInfo]) -> Vec<Step> {
    let present: HashMap<ContainerId, &ContainerInfo> =
        seen.iter().map(|seen| (seen.container, seen)).collect();
    let known: HashSet<ContainerId> = assigned.iter().map(|one| one.container).collect();
    let of_assigned = assigned.iter().filter_map(|one| match present.get(&one.container) {
        Some(seen) => Some(Step::Tell(Box::new((*seen).clone()))),
        None => missing(one),
    });
    let unknown = seen.iter().filter(|seen| !known.contains(&seen.container));
    let of_unknown = unknown.map(|seen| Step::Unknown(seen.container, seen.engine.clone()));
    of_assigned.chain(of_unknown).collect()
}

fn missing(one: &AssignedContainer) -> Option<Step> {
    let AssignedContainer { container, generation: _, status, engine, auto_remove, create } = one;
    let was_made = engine.is_some();
    match (status, create) {
        (Status::Deleting | Status::Deleted, _) => Some(Step::Removed(*container)),
        (Status::Creating, Some(create)) if !was_made => Some(Step::Make(Box::new(create.clone()))),
        _ if *auto_remove && was_made => Some(Step::Removed(*container)),
        (Status::Error, _) => None,
        _ => Some(Step::Vanished(*container)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use zun_common::rpc::container::{ConsoleSpec, ContainerSpec, PullPolicy};
    use zun_common::units::Resources;

    use super::*;

    fn engine() -> EngineId {
        "ab".repeat(32).parse().expect("an id")
    }

    fn create(container: ContainerId) -> CreateContainer {
        let spec = ContainerSpec {
            project: "p".parse().expect("a project"),
            name: "n".to_owned(),
            image: "i".to_owned(),
            pull: PullPolicy::Never,
            command: None,
            entrypoint: None,
            environment: BTreeMap::new(),
            labels: BTreeMap::new(),
            workdir: None,
            hostname: None,
            user: None,
            console: ConsoleSpec::default(),
            resources: Resources::default(),
            restart: None,
            auto_remove: false,
            read_only: false,
            stop_signal: None,
        };
        CreateContainer { container, spec, start: false }
    }

    fn assigned(status: Status) -> AssignedContainer {
        AssignedContainer {
            container: ContainerId::random(),
            generation: 1,
            status,
            engine: Some(engine()),
            auto_remove: false,
            create: None,
        }
    }

    fn seen(container: ContainerId, status: Status) -> ContainerInfo {
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
            finished_at: None,
        }
    }

    #[test]
    fn those_that_vanished_are_told_and_those_that_were_to_go_are_removed() {
        for status in
            [Status::Created, Status::Running, Status::Stopped, Status::Paused, Status::Unknown]
        {
            let one = assigned(status);
            assert_eq!(
                plan(std::slice::from_ref(&one), &[]),
                [Step::Vanished(one.container)],
                "{status}"
            );
            let leaves = AssignedContainer { auto_remove: true, ..one };
            assert_eq!(
                plan(std::slice::from_ref(&leaves), &[]),
                [Step::Removed(leaves.container)],
                "{status}"
            );
        }
        let leaving = assigned(Status::Deleting);
        assert_eq!(plan(std::slice::from_ref(&leaving), &[]), [Step::Removed(leaving.container)]);
    }

    #[test]
    fn an_order_that_may_be_lost_is_carried_out_and_one_without_its_words_is_an_error() {
        let mut one = assigned(Status::Creating);
        one.engine = None;
        assert_eq!(plan(std::slice::from_ref(&one), &[]), [Step::Vanished(one.container)]);
        one.create = Some(create(one.container));
        assert_eq!(
            plan(std::slice::from_ref(&one), &[]),
            [Step::Make(Box::new(create(one.container)))]
        );
    }

    #[test]
    fn an_error_that_is_known_is_left_alone() {
        let mut one = assigned(Status::Error);
        assert_eq!(plan(std::slice::from_ref(&one), &[]), []);
        one.auto_remove = true;
        assert_eq!(plan(std::slice::from_ref(&one), &[]), [Step::Removed(one.container)]);
        one.engine = None;
        assert_eq!(plan(std::slice::from_ref(&one), &[]), []);
    }

    #[test]
    fn those_that_are_there_are_only_told_whatever_zun_api_thought() {
        for status in Status::ALL {
            let one = assigned(*status);
            let there = seen(one.container, Status::Running);
            assert_eq!(
                plan(std::slice::from_ref(&one), std::slice::from_ref(&there)),
                [Step::Tell(Box::new(there))]
            );
        }
    }

    #[test]
    fn a_stranger_with_our_label_is_told_of() {
        let stranger = seen(ContainerId::random(), Status::Running);
        let step = Step::Unknown(stranger.container, engine());
        assert_eq!(plan(&[], &[stranger]), [step]);
    }
}
