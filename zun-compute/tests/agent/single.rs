//! What agents of one machine keep in the state directory: the lock of the engine, and the position in the ledger.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use zun_common::bus::Bus;
use zun_common::chain;
use zun_compute::Agent;
use zun_compute::settings::Settings;

use crate::world::{World, create};

async fn start(world: &World, host: &str, state_directory: &Path) -> Agent {
    let settings = Settings {
        host: Some(host.parse().expect("a name")),
        state_directory: state_directory.to_owned(),
        ..world.settings.clone()
    };
    let (line, engine) = (Arc::clone(&world.line), Arc::new(world.engine.clone()));
    let bus = Bus::new(line, "nobody");
    Agent::start(settings, bus, engine, &world.tasks).await.expect("an agent")
}

#[tokio::test]
async fn a_second_agent_of_an_engine_gives_up_and_names_the_lock_file() {
    let world = World::new().await;
    let state = tempfile::tempdir().expect("a directory");
    let _first = start(&world, "compute1", state.path()).await;
    world.controller.until_epoch(1).await;
    let second = start(&world, "compute2", state.path()).await;
    let failure = tokio::time::timeout(Duration::from_secs(20), second.failed()).await;
    let words = chain(&failure.expect("it gives up"));
    let directory = state.path().display().to_string();
    assert!(words.contains(&directory) && words.contains(".lock"), "{words}");
    assert_eq!(world.controller.epoch(), 1, "the second agent has not registered");
}

#[tokio::test]
async fn the_next_agent_tells_how_far_the_host_has_come_in_the_ledger() {
    let world = World::new().await;
    let state = tempfile::tempdir().expect("a directory");
    let agent = start(&world, "compute1", state.path()).await;
    world.controller.until_epoch(1).await;
    assert_eq!(world.controller.position(), None);
    for _ in 0..2 {
        world.create(&create(&["/bin/sh"])).await;
    }
    world.controller.until_all_have_ended().await;
    assert!(agent.stop().await);
    let _next = start(&world, "compute1", state.path()).await;
    world.controller.until_epoch(2).await;
    let position = world.controller.position().expect("a position");
    assert_eq!((position.epoch.0, position.sequence), (1, 2));
}
