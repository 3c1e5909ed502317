//! A rebuild replaces a container once, whatever fails in the middle of it.

use zun_common::id::ContainerId;
use zun_common::rpc::container::{ContainerSpec, Removal};
use zun_common::rpc::operation::{Change, Outcome, PerformOperation};
use zun_common::rpc::report::ContainerReport;
use zun_common::rpc::{Code, Problem};
use zun_common::status::{EndReason, Status, TaskState};
use zun_compute::driver::fake::Operation;
use zun_compute::driver::{DriverError, Inspect as _, Lifecycle as _};

use crate::world::{World, create};

fn rebuild(world: &World, container: ContainerId, was_running: bool) -> Change {
    let mut spec = world.engine.spec(container).expect("a container");
    "busybox".clone_into(&mut spec.image);
    Change::Rebuild { spec: Box::new(spec), was_running }
}

/// Waits for success, and checks that there is one container, of the new image, which the operation has created.
async fn succeeds(world: &World, call: &PerformOperation, status: Status) {
    let PerformOperation { operation, .. } = call;
    assert_eq!(world.controller.outcome(operation.id).await, Outcome::Succeeded);
    world.controller.until(operation.container, status).await;
    assert_eq!(world.containers().await, 1);
    assert_eq!(world.engine.spec(operation.container).expect("it").image, "busybox");
    let seen = world.engine.inspect(operation.container).await.expect("it");
    assert_eq!((seen.rebuild, seen.status), (Some(operation.id), status));
}

#[tokio::test]
async fn a_running_container_is_replaced_and_runs_again() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let former = world.controller.newest(container).expect("a report");
    let call = world.controller.accept(container, rebuild(&world, container, false));
    assert_eq!(world.call(&call).await.expect("an answer").outcome, None, "it has begun");
    succeeds(&world, &call, Status::Running).await;
    let newest = world.controller.newest(container).expect("a report");
    assert_ne!(newest.engine, former.engine);
    let history = world.controller.history(container);
    let shown = history.iter().filter(|report| report.status == Status::Rebuilding);
    assert!(shown.count() > 0);
    assert!(history.iter().all(|report| report.status != Status::Error));
    let runs = || history.iter().flat_map(|report| &report.runs);
    let ends: Vec<_> = runs().filter_map(|run| Some((run.number, run.end.clone()?))).collect();
    let reasons: Vec<_> = ends.iter().map(|(number, end)| (*number, end.reason)).collect();
    assert!(reasons.contains(&(1, EndReason::Signal)), "{reasons:?}");
    assert_eq!(runs().map(|run| run.number).max(), Some(2));
}

#[tokio::test]
async fn a_stopped_container_is_replaced_and_not_started_even_if_its_row_says_running() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let create = create(&["/bin/sh"]);
    let container = create.container;
    world.create(&create).await;
    world.controller.until(container, Status::Created).await;
    let call = world.controller.accept(container, rebuild(&world, container, true));
    world.call(&call).await.expect("an answer");
    succeeds(&world, &call, Status::Created).await;
    assert_eq!((world.count(Operation::Start), world.count(Operation::Stop)), (0, 0));
}

#[tokio::test]
async fn a_container_whose_new_image_cannot_be_pulled_goes_on_as_it_was() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let former = world.controller.newest(container).expect("a report");
    let Change::Rebuild { mut spec, was_running } = rebuild(&world, container, true) else {
        unreachable!()
    };
    "nowhere".clone_into(&mut spec.image);
    let call = world.controller.accept(container, Change::Rebuild { spec, was_running });
    world.call(&call).await.expect("an answer");
    let Outcome::Failed(problem) = world.controller.outcome(call.operation.id).await else {
        panic!("it succeeded");
    };
    assert_eq!(problem.code, Code::NotFound);
    let after = world.controller.until(container, Status::Running).await;
    assert_eq!((after.status_reason, after.task_state), (None, None));
    assert_eq!(after.engine, former.engine);
    assert_eq!((world.count(Operation::Stop), world.count(Operation::Remove)), (0, 0));
}

#[tokio::test]
async fn a_new_container_that_cannot_be_created_or_started_is_in_error_with_the_reason() {
    for (operation, doing) in
        [(Operation::Create, "create the container"), (Operation::Start, "start the container")]
    {
        let world = World::new().await;
        let _agent = world.agent().await;
        let container = world.running(&["/bin/sh"]).await;
        let words = format!("cannot {doing}: full");
        let error = DriverError::Engine { doing, words: "full".to_owned() };
        world.engine.fail_next(operation, error);
        let call = world.controller.accept(container, rebuild(&world, container, true));
        world.call(&call).await.expect("an answer");
        let outcome = world.controller.outcome(call.operation.id).await;
        assert_eq!(outcome, Outcome::Failed(Problem::new(Code::Engine, words.clone())));
        let report = world.controller.until(container, Status::Error).await;
        assert_eq!(report.status_reason, Some(words));
        // Another rebuild mends it.
        let spec = ContainerSpec::of_image("p".parse().expect("a project"), "test", "busybox");
        let change = Change::Rebuild { spec: Box::new(spec), was_running: false };
        let call = world.controller.accept(container, change);
        world.call(&call).await.expect("an answer");
        succeeds(&world, &call, Status::Created).await;
    }
}

#[tokio::test]
async fn a_rebuild_waits_for_an_engine_that_goes_away_in_the_middle() {
    for operation in [Operation::Stop, Operation::Remove, Operation::Create, Operation::Start] {
        let world = World::new().await;
        let _agent = world.agent().await;
        let container = world.running(&["/bin/sh"]).await;
        for _ in 0..2 {
            world.engine.fail_next(operation, DriverError::down("the link was lost"));
        }
        let call = world.controller.accept(container, rebuild(&world, container, true));
        world.call(&call).await.expect("an answer");
        succeeds(&world, &call, Status::Running).await;
    }
}

#[tokio::test]
async fn a_step_whose_answer_is_lost_is_not_done_twice() {
    for operation in [Operation::Stop, Operation::Remove, Operation::Create, Operation::Start] {
        let world = World::new().await;
        let _agent = world.agent().await;
        let container = world.running(&["/bin/sh"]).await;
        world.engine.lose_next_answer(operation);
        let call = world.controller.accept(container, rebuild(&world, container, true));
        world.call(&call).await.expect("an answer");
        succeeds(&world, &call, Status::Running).await;
        let runs = world.controller.history(container).into_iter().flat_map(|report| report.runs);
        assert_eq!(runs.map(|run| run.number).max(), Some(2), "{operation:?}");
    }
}

#[tokio::test]
async fn a_rebuild_by_an_agent_that_dies_in_the_middle_is_finished_by_the_next_one() {
    for operation in [Operation::Stop, Operation::Remove, Operation::Create, Operation::Start] {
        let world = World::new().await;
        // The process must outlive the agent that is killed.
        let first = world.agent().await;
        let container = world.running(&["/bin/sh"]).await;
        assert!(first.stop().await);
        let agent = world.killable_agent().await;
        let asked = world.count(operation);
        let stall = world.engine.stall(operation);
        let call = world.controller.accept(container, rebuild(&world, container, true));
        let begun = world.until_asked(operation, asked + 1);
        tokio::pin!(begun);
        tokio::select! {
            _answer = world.call(&call) => begun.await,
            () = &mut begun => {}
        }
        agent.kill();
        drop(stall);
        let _next = world.agent().await;
        succeeds(&world, &call, Status::Running).await;
        let history = world.controller.history(container);
        let lost = history.iter().find(|report| report.status == Status::Error);
        assert_eq!(lost, None, "{operation:?}");
        assert!(history.last().is_some_and(|report| report.task_state.is_none()));
    }
}

#[tokio::test]
async fn a_container_that_a_dead_agent_has_removed_is_not_lost_until_the_rebuild_goes_on() {
    let world = World::new().await;
    let first = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    assert!(first.stop().await);
    let change = rebuild(&world, container, true);
    world.engine.remove(container, true).await.expect("removed");
    let call = world.controller.accept(container, change);
    let _next = world.agent().await;
    succeeds(&world, &call, Status::Running).await;
    let history = world.controller.history(container);
    assert!(history.iter().all(|report| report.status != Status::Error), "{history:?}");
}

#[tokio::test]
async fn a_removal_ends_a_rebuild_that_pulls() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    world.engine.offer_image("new", Vec::new());
    let stall = world.engine.stall(Operation::ImagePull);
    let Change::Rebuild { mut spec, was_running } = rebuild(&world, container, true) else {
        unreachable!()
    };
    "new".clone_into(&mut spec.image);
    let call = world.controller.accept(container, Change::Rebuild { spec, was_running });
    world.until_begun(&call, Operation::ImagePull).await;
    let pulls = |report: &ContainerReport| report.task_state == Some(TaskState::ImagePulling);
    let report = world.controller.until_report(container, pulls).await;
    assert_eq!(report.status, Status::Rebuilding);
    let removal = world.controller.accept(container, Change::Delete { how: Removal::Force });
    world.call(&removal).await.expect("an answer");
    world.controller.until(container, Status::Deleted).await;
    assert_eq!(world.containers().await, 0);
    drop(stall);
}
