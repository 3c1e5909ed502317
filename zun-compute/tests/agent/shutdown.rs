//! The shutdown of an agent.

use futures_util::future::join_all;
use zun_common::rpc::operation::Outcome;
use zun_common::status::Status;
use zun_compute::driver::Inspect;
use zun_compute::driver::fake::Operation;

use crate::world::{World, create};

#[tokio::test]
async fn shutdown_under_load_loses_no_operation() {
    let world = World::new().await;
    let agent = world.agent().await;
    let creates: Vec<_> = (0..40)
        .map(|_| {
            let mut create = create(&["/bin/sh"]);
            create.start = true;
            create
        })
        .collect();
    let stall = world.engine.stall(Operation::Create);
    join_all(creates.iter().map(|create| world.create(create))).await;
    let stopping = agent.stop();
    tokio::pin!(stopping);
    assert!(futures_util::poll!(&mut stopping).is_pending(), "it waits for the work");
    drop(stall);
    assert!(stopping.await, "all was done");
    for create in &creates {
        let seen = world.engine.inspect(create.container).await.expect("it was created");
        assert_eq!(seen.status, Status::Running);
        let report = world.controller.until(create.container, Status::Running).await;
        assert_eq!(report.task_state, None);
    }
    world.controller.until_heartbeat(|beat| beat.leaving).await;
}

#[tokio::test]
async fn an_operation_that_does_not_end_in_time_is_done_by_the_next_agent() {
    let mut world = World::new().await;
    world.settings.workers.drain_timeout = 0;
    let create = create(&["/bin/sh"]);
    let stall = world.engine.stall(Operation::Create);
    let agent = world.killable_agent().await;
    world.create(&create).await;
    world.until_asked(Operation::Create, 1).await;
    assert!(!agent.stop().await, "not all was done");
    drop(stall);
    let _next = world.agent().await;
    world.controller.until(create.container, Status::Created).await;
    assert_eq!(world.containers().await, 1);
}

#[tokio::test]
async fn an_operation_that_is_accepted_without_an_agent_is_done_by_the_next_one() {
    let world = World::new().await;
    let agent = world.agent().await;
    assert!(agent.stop().await);
    let create = create(&["/bin/sh"]);
    let call = world.controller.accept(create.container, create.change());
    let _next = world.agent().await;
    world.controller.until(create.container, Status::Created).await;
    assert_eq!(world.controller.outcome(call.operation.id).await, Outcome::Succeeded);
}
