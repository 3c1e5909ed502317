//! The shutdown of an agent.

use futures_util::future::join_all;
use zun_common::status::Status;
use zun_compute::driver::Inspect;
use zun_compute::driver::fake::Operation;

use crate::world::{World, create};

#[tokio::test]
async fn shutdown_under_load_loses_no_accepted_command() {
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
    let accepted = join_all(creates.iter().map(|create| world.call(create))).await;
    assert!(accepted.iter().all(Result::is_ok));
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
async fn a_command_that_does_not_end_in_time_is_done_by_the_next_agent() {
    let mut world = World::new().await;
    world.settings.workers.drain_timeout = 0;
    let create = create(&["/bin/sh"]);
    let stall = world.engine.stall(Operation::Create);
    let agent = world.killable_agent().await;
    world.call(&create).await.expect("accepted");
    world.until_asked(Operation::Create, 1).await;
    assert!(!agent.stop().await, "not all was done");
    drop(stall);
    let _next = world.agent().await;
    world.controller.until(create.container, Status::Created).await;
    assert_eq!(world.containers().await, 1);
}

#[tokio::test]
async fn a_new_command_waits_in_the_queue_for_the_next_agent() {
    let world = World::new().await;
    let agent = world.agent().await;
    assert!(agent.stop().await);
    let create = create(&["/bin/sh"]);
    let calling = world.call(&create);
    tokio::pin!(calling);
    assert!(futures_util::poll!(&mut calling).is_pending());
    let _next = world.agent().await;
    calling.await.expect("accepted");
    world.controller.until(create.container, Status::Created).await;
}
