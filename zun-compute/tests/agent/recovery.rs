//! An agent that is killed at a bad moment, and the next one.

use zun_common::rpc::container::StartContainer;
use zun_common::status::Status;
use zun_compute::driver::fake::Operation;

use crate::world::{World, create};

#[tokio::test]
async fn killed_between_making_and_acknowledging_there_is_exactly_one_container() {
    let world = World::new().await;
    let agent = world.killable_agent().await;
    let mut create = create(&["/bin/sh"]);
    create.start = true;
    let stall = world.engine.stall(Operation::Start);
    world.call(&create).await.expect("accepted");
    world.until_asked(Operation::Start, 1).await;
    agent.kill();
    drop(stall);
    let _next = world.agent().await;
    world.controller.until(create.container, Status::Running).await;
    assert_eq!((world.containers().await, world.count(Operation::Create)), (1, 1));
}

#[tokio::test]
async fn killed_before_making_there_is_exactly_one_container() {
    let world = World::new().await;
    let agent = world.killable_agent().await;
    let create = create(&["/bin/sh"]);
    let stall = world.engine.stall(Operation::Create);
    world.call(&create).await.expect("accepted");
    world.until_asked(Operation::Create, 1).await;
    agent.kill();
    drop(stall);
    let _next = world.agent().await;
    world.controller.until(create.container, Status::Created).await;
    assert_eq!(world.containers().await, 1);
}

#[tokio::test]
async fn a_lost_answer_of_the_engine_leaves_one_container_and_the_truth() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let create = create(&["/bin/sh"]);
    world.engine.lose_next_answer(Operation::Create);
    world.call(&create).await.expect("accepted");
    let report =
        world.controller.until_report(create.container, |report| report.task_state.is_none()).await;
    assert!(report.engine.is_some());
    assert_eq!(world.containers().await, 1);
}

#[tokio::test]
async fn a_start_that_comes_again_does_not_run_an_ended_process_a_second_time() {
    let world = World::new().await;
    let agent = world.killable_agent().await;
    let create = create(&["/bin/sh", "-c", "exit 3"]);
    let container = create.container;
    world.call(&create).await.expect("accepted");
    world.controller.until(container, Status::Created).await;
    let starting = world.engine.stall(Operation::Start);
    world.call(&StartContainer { container }).await.expect("accepted");
    world.until_asked(Operation::Start, 1).await;
    let looking = world.engine.stall(Operation::Inspect);
    drop(starting);
    world.until_engine_shows(container, Status::Stopped).await;
    agent.kill();
    drop(looking);
    let _next = world.agent().await;
    let report = world.controller.until(container, Status::Stopped).await;
    assert_eq!((report.exit_code, world.count(Operation::Start)), (Some(3), 1));
}

#[tokio::test]
async fn running_containers_do_not_notice_that_the_agent_restarts() {
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
