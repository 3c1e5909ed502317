//! An agent is killed at a bad moment, and the next agent recovers.

use zun_common::status::Status;
use zun_compute::driver::fake::Operation;

use crate::world::{START, World, create};

#[tokio::test]
async fn an_agent_killed_between_creation_and_acknowledgement_leaves_exactly_one_container() {
    let world = World::new().await;
    let agent = world.killable_agent().await;
    let mut create = create(&["/bin/sh"]);
    create.start = true;
    let stall = world.engine.stall(Operation::Start);
    world.create(&create).await;
    world.until_asked(Operation::Start, 1).await;
    agent.kill();
    drop(stall);
    let _next = world.agent().await;
    world.controller.until(create.container, Status::Running).await;
    assert_eq!((world.containers().await, world.count(Operation::Create)), (1, 1));
}

#[tokio::test]
async fn an_agent_killed_before_the_creation_leaves_exactly_one_container() {
    let world = World::new().await;
    let agent = world.killable_agent().await;
    let create = create(&["/bin/sh"]);
    let stall = world.engine.stall(Operation::Create);
    world.create(&create).await;
    world.until_asked(Operation::Create, 1).await;
    agent.kill();
    drop(stall);
    let _next = world.agent().await;
    world.controller.until(create.container, Status::Created).await;
    assert_eq!(world.containers().await, 1);
}

#[tokio::test]
async fn if_the_engines_answer_is_lost_one_container_exists_and_its_true_status_is_reported() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let create = create(&["/bin/sh"]);
    world.engine.lose_next_answer(Operation::Create);
    world.create(&create).await;
    let report =
        world.controller.until_report(create.container, |report| report.task_state.is_none()).await;
    assert!(report.engine.is_some());
    assert_eq!(world.containers().await, 1);
}

#[tokio::test]
async fn a_redelivered_start_does_not_run_the_process_again() {
    let world = World::new().await;
    let agent = world.killable_agent().await;
    let create = create(&["/bin/sh", "-c", "exit 3"]);
    let container = create.container;
    world.create(&create).await;
    world.controller.until(container, Status::Created).await;
    let starting = world.engine.stall(Operation::Start);
    world.order(container, START).await;
    world.until_asked(Operation::Start, 1).await;
    let inspecting = world.engine.stall(Operation::Inspect);
    drop(starting);
    world.until_engine_shows(container, Status::Stopped).await;
    agent.kill();
    drop(inspecting);
    let _next = world.agent().await;
    let report = world.controller.until(container, Status::Stopped).await;
    assert_eq!((report.exit_code, world.count(Operation::Start)), (Some(3), 1));
}

#[tokio::test]
async fn a_restart_of_the_agent_does_not_affect_running_containers() {
    let world = World::new().await;
    let first = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    world.controller.assign(vec![crate::world::assigned(container, Status::Running)]);
    let before = changes(&world);
    assert!(first.stop().await);
    let second = world.agent().await;
    assert!(world.engine.exit(container, 0), "its process is the same");
    world.controller.until(container, Status::Stopped).await;
    assert_eq!(changes(&world), before);
    assert!(second.stop().await);
}

fn changes(world: &World) -> usize {
    use Operation::{Create, Kill, Pause, Remove, Restart, Start, Stop, Unpause};
    [Create, Kill, Pause, Remove, Restart, Start, Stop, Unpause]
        .into_iter()
        .map(|operation| world.count(operation))
        .sum()
}
