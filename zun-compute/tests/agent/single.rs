//! Only one agent drives an engine.

use std::sync::Arc;
use std::time::Duration;

use zun_common::bus::Bus;
use zun_common::chain;
use zun_compute::Agent;
use zun_compute::settings::Settings;

use crate::world::World;

#[tokio::test]
async fn a_second_agent_of_an_engine_gives_up_and_names_the_lock_file() {
    let world = World::new().await;
    let state = tempfile::tempdir().expect("a directory");
    let start = async |host: &str| {
        let settings = Settings {
            host: Some(host.parse().expect("a name")),
            state_directory: state.path().to_owned(),
            ..world.settings.clone()
        };
        let (line, engine) = (Arc::clone(&world.line), Arc::new(world.engine.clone()));
        let bus = Bus::new(line, "nobody");
        Agent::start(settings, bus, engine, &world.tasks).await.expect("an agent")
    };
    let _first = start("compute1").await;
    world.controller.until_epoch(1).await;
    let second = start("compute2").await;
    let failure = tokio::time::timeout(Duration::from_secs(20), second.failed()).await;
    let words = chain(&failure.expect("it gives up"));
    let directory = state.path().display().to_string();
    assert!(words.contains(&directory) && words.contains(".lock"), "{words}");
    assert_eq!(world.controller.epoch(), 1, "the second agent has not registered");
}
