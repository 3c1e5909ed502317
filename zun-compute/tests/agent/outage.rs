//! The bus or the engine is down for a while.

use zun_common::rpc::Code;
use zun_common::rpc::container::ShowContainer;
use zun_common::status::Status;

use crate::world::{START, World, assigned};

#[tokio::test]
async fn after_an_outage_of_the_bus_the_end_of_the_run_and_the_newest_report_are_sent() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let before = world.controller.history(container).len();
    world.line.disconnect();
    assert!(world.engine.exit(container, 1));
    world.line.loses(1).await;
    world.order(container, START).await;
    world.until_asked(zun_compute::driver::fake::Operation::Start, 2).await;
    assert!(world.engine.exit(container, 42));
    world.line.loses(2).await;
    world.line.reconnect();
    let stopped = |report: &zun_common::rpc::report::ContainerReport| report.exit_code == Some(42);
    let last = world.controller.until_report(container, stopped).await;
    assert_eq!(last.status, Status::Stopped);
    let after: Vec<_> = world.controller.history(container).split_off(before);
    // A client may wait for the end of the first run, so the newest report has both.
    let runs = after.iter().flat_map(|report| &report.runs);
    let ends: Vec<_> =
        runs.filter_map(|run| Some((run.number, run.end.as_ref()?.exit_code))).collect();
    assert_eq!(ends, [(1, Some(1)), (2, Some(42))]);
}

#[tokio::test]
async fn no_report_is_sent_twice() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    for _ in 0..20 {
        let shown = world.call(&ShowContainer { container }).await.expect("a report");
        assert_eq!(shown.status, Status::Running);
    }
    world.engine.exit(container, 0);
    world.controller.until(container, Status::Stopped).await;
    let history = world.controller.history(container);
    for pair in history.windows(2) {
        let mut same = pair[1].clone();
        same.generation = pair[0].generation;
        assert_ne!(pair[0], same);
    }
}

#[tokio::test]
async fn changes_while_the_engine_was_down_are_reported_when_it_is_up_again() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let ended = world.running(&["/bin/sh"]).await;
    let vanished = world.running(&["/bin/sh"]).await;
    let same = world.running(&["/bin/sh"]).await;
    let known = [ended, vanished, same].map(|container| assigned(container, Status::Running));
    world.controller.assign(known.to_vec());
    world.engine.go_down();
    let problem = world.refusal(&ShowContainer { container: same }).await;
    assert_eq!(problem.code, Code::EngineDown);
    assert!(world.engine.exit(ended, 9));
    world.engine.vanish(vanished);
    world.engine.come_up();
    assert_eq!(world.controller.until(ended, Status::Stopped).await.exit_code, Some(9));
    let report = world.controller.until(vanished, Status::Error).await;
    assert_eq!(report.status_reason, Some(format!("No such container: {vanished}")));
    assert_eq!(world.controller.newest(same).expect("a report").status, Status::Running);
}

#[tokio::test]
async fn a_heartbeat_has_no_inventory_while_the_engine_is_down() {
    let mut world = World::new().await;
    world.settings.heartbeat.interval = 1;
    let _agent = world.agent().await;
    world.controller.until_heartbeat(|beat| beat.inventory.is_some()).await;
    world.engine.go_down();
    world.controller.until_heartbeat(|beat| beat.inventory.is_none()).await;
    world.engine.come_up();
    world.controller.until_heartbeat(|beat| beat.inventory.is_some()).await;
}
