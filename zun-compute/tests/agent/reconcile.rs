//! The agent reconciles the engine's containers with those that zun-api expects.

use zun_common::rpc::Code;
use zun_common::rpc::container::ShowContainer;
use zun_common::rpc::host::{AssignedContainer, Heartbeat, RemoveStray};
use zun_common::status::{Status, TaskState};
use zun_compute::driver::fake::Operation;
use zun_compute::driver::{Inspect, Lifecycle};

use crate::world::{World, assigned, create};

#[tokio::test]
async fn existing_containers_are_reported_and_missing_ones_are_corrected() {
    let world = World::new().await;
    let there = create(&["/bin/sh"]);
    world.engine.create(there.container, &there.spec).await.expect("made");
    world.engine.start(there.container).await.expect("started");
    let [vanished, leaving, went, ordered] = [(); 4].map(|()| create(&["/bin/sh"]));
    let order = AssignedContainer { engine: None, ..assigned(ordered.container, Status::Creating) };
    world.controller.accept(ordered.container, ordered.change());
    world.controller.assign(vec![
        assigned(there.container, Status::Stopped),
        assigned(vanished.container, Status::Running),
        assigned(leaving.container, Status::Deleting),
        AssignedContainer { auto_remove: true, ..assigned(went.container, Status::Running) },
        order,
    ]);
    let _agent = world.agent().await;
    let controller = &world.controller;
    controller.until(there.container, Status::Running).await;
    let report = controller.until(vanished.container, Status::Error).await;
    let words = format!("No such container: {}", vanished.container);
    assert_eq!(report.status_reason, Some(words));
    assert!(report.engine.is_some(), "the engine's ID from zun-api must be kept");
    controller.until(leaving.container, Status::Deleted).await;
    controller.until(went.container, Status::Deleted).await;
    controller.until(ordered.container, Status::Created).await;
    assert_eq!(world.containers().await, 2);
}

#[tokio::test]
async fn a_stray_is_reported_and_not_changed() {
    let world = World::new().await;
    let unknown = create(&["/bin/sh"]);
    world.engine.create(unknown.container, &unknown.spec).await.expect("made");
    world.engine.start(unknown.container).await.expect("started");
    let _agent = world.agent().await;
    let stray = world.controller.until_stray().await;
    assert_eq!(stray.container, unknown.container);
    let seen = world.engine.inspect(unknown.container).await.expect("it is there");
    assert_eq!((seen.status, seen.engine), (Status::Running, stray.engine));
}

#[tokio::test]
async fn the_agent_serves_before_zun_api_answers_and_reconciles_afterwards() {
    let world = World::with_mute_controller().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let vanished = create(&["/bin/sh"]).container;
    let shown = world.call(&ShowContainer { container }).await.expect("a report");
    assert_eq!(shown.status, Status::Running);
    world
        .controller
        .assign(vec![assigned(container, Status::Running), assigned(vanished, Status::Running)]);
    world.controller.answers();
    world.controller.until(vanished, Status::Error).await;
}

#[tokio::test]
async fn a_container_that_was_removed_by_hand_is_in_error() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    world.controller.assign(vec![assigned(container, Status::Running)]);
    world.engine.remove(container, true).await.expect("removed by hand");
    let report = world.controller.until(container, Status::Error).await;
    assert_eq!(report.status_reason, Some(format!("No such container: {container}")));
}

#[tokio::test]
async fn a_create_causes_no_listing_of_all_containers() {
    let world = World::new().await;
    let _agent = world.agent().await;
    // One listing when the agent follows the engine, and one when it reconciles at the start.
    world.until_asked(Operation::List, 2).await;
    for _ in 0..5 {
        world.running(&["/bin/sh"]).await;
    }
    assert_eq!(world.count(Operation::List), 2);
}

#[tokio::test]
async fn a_report_that_zun_api_has_lost_is_sent_again_without_a_change_of_the_container() {
    let mut world = World::new().await;
    world.settings.heartbeat.interval = 1;
    let _agent = world.agent().await;
    let [lost, kept] = [world.running(&["/bin/sh"]).await, world.running(&["/bin/sh"]).await];
    let before = world.controller.history(kept).len();
    world.controller.lose_reports(lost);
    let report = world.controller.until(lost, Status::Running).await;
    assert_eq!(report.runs.last().map(|run| run.number), Some(1), "{report:?}");
    assert_eq!(world.controller.history(kept).len(), before, "only the differing one");
}

#[tokio::test]
async fn the_end_of_a_task_that_zun_api_has_lost_is_reported_again() {
    let mut world = World::new().await;
    world.settings.heartbeat.interval = 1;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    world.controller.until(container, Status::Running).await;
    world.controller.lose_the_end_of(container, TaskState::Killing);
    world.controller.until(container, Status::Running).await;
}

#[tokio::test]
async fn a_container_that_zun_api_no_longer_knows_becomes_a_stray() {
    let mut world = World::new().await;
    world.settings.heartbeat.interval = 1;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    world.controller.forget(container);
    assert_eq!(world.controller.until_stray().await.container, container);
}

#[tokio::test]
async fn only_strays_with_the_label_of_this_cluster_are_counted_and_removed() {
    let mut world = World::new().await;
    world.settings.heartbeat.interval = 1;
    let [own, others, unlabelled] = [Some("cluster"), Some("another"), None].map(|cluster| {
        let mut one = create(&["/bin/sh"]);
        one.spec.cluster = cluster.map(|id| id.parse().expect("an id"));
        one
    });
    for one in [&own, &others, &unlabelled] {
        world.engine.create(one.container, &one.spec).await.expect("made");
    }
    // Two old containers of rebuilds, whose agent has died before it created the new ones.
    let old = [Some("cluster"), Some("another")].map(|cluster| {
        let mut one = create(&["/bin/sh"]);
        one.spec.cluster = cluster.map(|id| id.parse().expect("an id"));
        one
    });
    for one in &old {
        let (engine, _) = world.engine.create(one.container, &one.spec).await.expect("made");
        world.engine.rename_to_old(one.container, &engine).await.expect("renamed");
    }
    let [old, others_old] = old.map(|one| one.container);
    let _agent = world.agent().await;
    let has_strays = |beat: &Heartbeat| beat.strays.as_ref().is_some_and(|all| !all.is_empty());
    let strays = world.controller.until_heartbeat(has_strays).await.strays.expect("strays");
    let ids: Vec<_> = strays.iter().map(|one| one.container).collect();
    assert_eq!(ids, [own.container, old]);
    let remove = |container| RemoveStray { cluster: "cluster".parse().expect("an id"), container };
    for one in [others.container, unlabelled.container, others_old] {
        assert_eq!(world.refusal(&remove(one)).await.code, Code::Conflict);
    }
    for one in [own.container, old] {
        world.call(&remove(one)).await.expect("removed");
    }
    assert_eq!(world.containers().await, 2);
    assert_eq!([old, others_old].map(|one| world.engine.has_old(one)), [false, true]);
    world.controller.until_heartbeat(|beat| beat.strays == Some(Vec::new())).await;
}

#[tokio::test]
async fn a_container_gets_the_label_of_the_cluster() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let spec = world.engine.spec(container).expect("it is there");
    assert_eq!(spec.cluster, "cluster".parse().ok());
}
