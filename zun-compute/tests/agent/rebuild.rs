//! A rebuild replaces a container once, whatever fails in the middle of it.

use zun_common::id::{ContainerId, EngineId};
use zun_common::rpc::container::{ContainerSpec, Removal};
use zun_common::rpc::operation::{Change, Outcome, PerformOperation};
use zun_common::rpc::report::ContainerReport;
use zun_common::rpc::{Code, Problem};
use zun_common::status::{EndReason, Status, TaskState};
use zun_compute::driver::fake::Operation;
use zun_compute::driver::{DriverError, Inspect as _, Lifecycle as _};

use crate::world::{World, create};

/// The calls to the engine, after the pull.
const STEPS: [Operation; 6] = [
    Operation::InspectOld,
    Operation::RenameToOld,
    Operation::StopOld,
    Operation::Create,
    Operation::Start,
    Operation::RemoveOld,
];

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
    assert!(!world.engine.has_old(operation.container), "the old one is removed");
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
    assert_eq!((world.count(Operation::Start), world.count(Operation::StopOld)), (0, 0));
}

#[tokio::test]
async fn a_container_whose_new_image_cannot_be_pulled_continues_as_it_was() {
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
    assert_eq!((world.count(Operation::StopOld), world.count(Operation::RenameToOld)), (0, 0));
}

/// Waits for the failure of a step after the pull, and checks that the container is as before.
async fn is_as_before(world: &World, call: &PerformOperation, (engine, words): (EngineId, &str)) {
    let PerformOperation { operation, .. } = call;
    let outcome = world.controller.outcome(operation.id).await;
    assert_eq!(outcome, Outcome::Failed(Problem::new(Code::Engine, words)));
    let is_over =
        |report: &ContainerReport| report.task_state.is_none() && report.status == Status::Running;
    let after = world.controller.until_report(operation.container, is_over).await;
    assert_eq!((after.engine, after.status_reason), (Some(engine), None));
    assert_eq!(world.containers().await, 1);
    assert!(!world.engine.has_old(operation.container));
    assert!(!world.controller.has_replaced(operation.id));
    let history = world.controller.history(operation.container);
    assert!(history.iter().all(|report| report.status != Status::Error), "{history:?}");
}

#[tokio::test]
async fn a_container_whose_replacement_is_refused_runs_again_as_it_was() {
    let refused = [
        (Operation::InspectOld, "inspect the old container"),
        (Operation::RenameToOld, "rename the old container"),
        (Operation::StopOld, "stop the container"),
        (Operation::Create, "create the container"),
    ];
    for (operation, doing) in refused {
        let world = World::new().await;
        let _agent = world.agent().await;
        let container = world.running(&["/bin/sh"]).await;
        let engine = world.controller.newest(container).and_then(|it| it.engine).expect("an id");
        let refusal = DriverError::Engine { doing, words: "full".to_owned() };
        world.engine.fail_next(operation, refusal);
        let call = world.controller.accept(container, rebuild(&world, container, true));
        world.call(&call).await.expect("an answer");
        is_as_before(&world, &call, (engine, &format!("cannot {doing}: full"))).await;
    }
}

/// The calls that restore the old container after Docker refused the new one.
const STEPS_BACK: [Operation; 2] = [Operation::StartOld, Operation::RestoreOld];
const REFUSAL: &str = "cannot create the container: full";

/// Refuses the next creations, and returns the engine's ID of the running container.
fn refuse_creations(world: &World, container: ContainerId) -> EngineId {
    for _ in 0..2 {
        let refusal =
            DriverError::Engine { doing: "create the container", words: "full".to_owned() };
        world.engine.fail_next(Operation::Create, refusal);
    }
    world.controller.newest(container).and_then(|it| it.engine).expect("an id")
}

#[tokio::test]
async fn a_refused_container_runs_again_even_if_the_engine_goes_away_meanwhile() {
    for operation in STEPS_BACK {
        let world = World::new().await;
        let _agent = world.agent().await;
        let container = world.running(&["/bin/sh"]).await;
        let engine = refuse_creations(&world, container);
        world.engine.fail_next(operation, DriverError::down("the link was lost"));
        let call = world.controller.accept(container, rebuild(&world, container, true));
        world.call(&call).await.expect("an answer");
        is_as_before(&world, &call, (engine, REFUSAL)).await;
    }
}

#[tokio::test]
async fn a_refused_container_runs_again_even_if_the_agent_dies_meanwhile() {
    for operation in STEPS_BACK {
        let world = World::new().await;
        let first = world.agent().await;
        let container = world.running(&["/bin/sh"]).await;
        let engine = refuse_creations(&world, container);
        let change = rebuild(&world, container, true);
        assert!(first.stop().await);
        let call = dies_at(&world, operation, (container, change)).await;
        let _next = world.agent().await;
        is_as_before(&world, &call, (engine, REFUSAL)).await;
    }
}

/// A rebuild of a container to an image that must be pulled, which does not work.
fn rebuild_that_pulls(world: &World, container: ContainerId) -> Change {
    let Change::Rebuild { mut spec, was_running } = rebuild(world, container, true) else {
        unreachable!()
    };
    "nowhere".clone_into(&mut spec.image);
    Change::Rebuild { spec, was_running }
}

/// Checks that a job that exited with 0 has had one run, and is still stopped.
async fn is_not_run_again(world: &World, container: ContainerId) {
    let is_over =
        |report: &ContainerReport| report.task_state.is_none() && report.status == Status::Stopped;
    let after = world.controller.until_report(container, is_over).await;
    assert_eq!((after.exit_code, after.status_reason), (Some(0), None));
    assert_eq!((world.count(Operation::Start), world.count(Operation::StartOld)), (1, 0));
    assert_eq!(world.containers().await, 1);
    assert!(!world.engine.has_old(container));
}

#[tokio::test]
async fn a_job_that_ends_while_no_agent_is_there_is_not_run_again_by_a_rebuild_that_is_refused() {
    let world = World::new().await;
    let first = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    assert!(first.stop().await);
    let change = rebuild_that_pulls(&world, container);
    let call = dies_at(&world, Operation::ImagePull, (container, change)).await;
    assert!(world.engine.exit(container, 0));
    let _next = world.agent().await;
    let outcome = world.controller.outcome(call.operation.id).await;
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    is_not_run_again(&world, container).await;
}

#[tokio::test]
async fn a_job_that_ends_during_the_pull_is_not_run_again_by_a_rebuild_that_is_refused() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    world.engine.offer_image("nowhere", Vec::new());
    let stall = world.engine.stall(Operation::ImagePull);
    let change = rebuild_that_pulls(&world, container);
    refuse_creations(&world, container);
    let call = world.controller.accept(container, change);
    world.until_begun(&call, Operation::ImagePull).await;
    assert!(world.engine.exit(container, 0));
    world.until_engine_shows(container, Status::Stopped).await;
    drop(stall);
    let outcome = world.controller.outcome(call.operation.id).await;
    assert_eq!(outcome, Outcome::Failed(Problem::new(Code::Engine, REFUSAL)));
    is_not_run_again(&world, container).await;
}

#[tokio::test]
async fn a_job_that_has_ended_before_its_rebuild_continues_is_replaced_and_not_started() {
    let world = World::new().await;
    let first = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let change = rebuild(&world, container, true);
    assert!(first.stop().await);
    let call = dies_at(&world, Operation::RenameToOld, (container, change)).await;
    assert!(world.engine.exit(container, 0));
    let _next = world.agent().await;
    succeeds(&world, &call, Status::Created).await;
    assert_eq!((world.count(Operation::Start), world.count(Operation::StartOld)), (1, 0));
}

#[tokio::test]
async fn a_new_container_runs_even_if_the_old_one_cannot_be_removed_and_the_next_rebuild_does_it() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let words = "device or resource busy".to_owned();
    let refusal = DriverError::Engine { doing: "remove the container", words };
    world.engine.fail_next(Operation::RemoveOld, refusal);
    let call = world.controller.accept(container, rebuild(&world, container, true));
    world.call(&call).await.expect("an answer");
    assert_eq!(world.controller.outcome(call.operation.id).await, Outcome::Succeeded);
    let report = world.controller.until(container, Status::Running).await;
    assert_eq!(report.status_reason, None);
    assert!(world.engine.has_old(container), "its removal was refused");
    let call = world.controller.accept(container, rebuild(&world, container, true));
    world.call(&call).await.expect("an answer");
    succeeds(&world, &call, Status::Running).await;
}

/// Begins a rebuild with an agent that is killed while it makes this call, which has no effect.
async fn dies_at(
    world: &World,
    operation: Operation,
    (container, change): (ContainerId, Change),
) -> PerformOperation {
    let agent = world.killable_agent().await;
    let asked = world.count(operation);
    let stall = world.engine.stall(operation);
    let call = world.controller.accept(container, change);
    let begun = world.until_asked(operation, asked + 1);
    tokio::pin!(begun);
    tokio::select! {
        _answer = world.call(&call) => begun.await,
        () = &mut begun => {}
    }
    agent.kill();
    drop(stall);
    call
}

#[tokio::test]
async fn a_new_container_that_cannot_be_started_is_in_error_and_another_rebuild_mends_it() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let words = "cannot start the container: full".to_owned();
    let error = DriverError::Engine { doing: "start the container", words: "full".to_owned() };
    world.engine.fail_next(Operation::Start, error);
    let call = world.controller.accept(container, rebuild(&world, container, true));
    world.call(&call).await.expect("an answer");
    let outcome = world.controller.outcome(call.operation.id).await;
    assert_eq!(outcome, Outcome::Failed(Problem::new(Code::Engine, words.clone())));
    let report = world.controller.until(container, Status::Error).await;
    assert_eq!(report.status_reason, Some(words));
    assert!(world.controller.has_replaced(call.operation.id), "the row gets the new image");
    let spec = ContainerSpec::of_image("p".parse().expect("a project"), "test", "busybox");
    let change = Change::Rebuild { spec: Box::new(spec), was_running: false };
    let call = world.controller.accept(container, change);
    world.call(&call).await.expect("an answer");
    succeeds(&world, &call, Status::Created).await;
}

#[tokio::test]
async fn a_rebuild_that_no_agent_has_begun_is_not_carried_out_after_its_time_limit() {
    for (begun, expected) in [(false, Outcome::Expired), (true, Outcome::Succeeded)] {
        let world = World::new().await;
        let first = world.agent().await;
        let container = world.running(&["/bin/sh"]).await;
        let change = rebuild(&world, container, true);
        assert!(first.stop().await);
        if begun {
            // As if an agent had begun the rebuild and died.
            let engine = world.engine.inspect(container).await.expect("it").engine;
            world.engine.rename_to_old(container, &engine).await.expect("renamed");
        }
        let call = world.controller.accept(container, change);
        let limit = chrono::Utc::now() - chrono::TimeDelta::days(2);
        world.controller.limit(call.operation.id, limit);
        let _next = world.agent().await;
        assert_eq!(world.controller.outcome(call.operation.id).await, expected);
        let status = world.controller.until(container, Status::Running).await.status;
        assert_eq!(status, Status::Running);
        let image = world.engine.spec(container).expect("a container").image;
        assert_eq!(image == "busybox", begun);
    }
}

#[tokio::test]
async fn a_removal_also_removes_the_old_container_of_a_rebuild() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let engine = world.engine.inspect(container).await.expect("it").engine;
    let spec = world.engine.spec(container).expect("a container");
    world.engine.stop(container, None).await.expect("stopped");
    world.engine.rename_to_old(container, &engine).await.expect("renamed");
    world.engine.create(container, &spec).await.expect("created");
    world.order(container, Change::Delete { how: Removal::Force }).await;
    world.controller.until(container, Status::Deleted).await;
    assert!(!world.engine.has_old(container));
}

#[tokio::test]
async fn a_rebuild_waits_for_an_engine_that_goes_away_in_the_middle() {
    for operation in STEPS {
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
    for operation in STEPS {
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
    for operation in STEPS {
        let world = World::new().await;
        // The process must outlive the agent that is killed.
        let first = world.agent().await;
        let container = world.running(&["/bin/sh"]).await;
        assert!(first.stop().await);
        let change = rebuild(&world, container, true);
        let call = dies_at(&world, operation, (container, change)).await;
        let _next = world.agent().await;
        succeeds(&world, &call, Status::Running).await;
        let history = world.controller.history(container);
        let lost = history.iter().find(|report| report.status == Status::Error);
        assert_eq!(lost, None, "{operation:?}");
        assert!(history.last().is_some_and(|report| report.task_state.is_none()));
    }
}

#[tokio::test]
async fn a_container_that_a_dead_agent_has_removed_is_not_lost_until_the_rebuild_continues() {
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
