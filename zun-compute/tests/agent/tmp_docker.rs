use std::sync::Arc;
use std::time::Instant;
use zun_common::bus::Bus;
use zun_common::rpc::container::*;
use zun_common::status::Status;
use zun_compute::Agent;
use zun_compute::driver::docker::DockerDriver;
use crate::world::{World, create};

#[tokio::test]
async fn real() {
    let world = World::new().await;
    let driver = Arc::new(DockerDriver::connect(std::path::Path::new("/var/run/docker.sock")).expect("docker"));
    let bus = Bus::over(Arc::clone(world.bus.transport()), "nobody");
    let agent = Agent::start(world.settings.clone(), bus, driver, &world.tasks).await.expect("an agent");
    let t = Instant::now();
    let container = world.running(&["/bin/sh", "-c", "sleep 1; exit 3"]).await;
    eprintln!("run {:?}", t.elapsed());
    let r = world.controller.until(container, Status::Stopped).await;
    let late = chrono::Utc::now() - r.finished_at.unwrap();
    eprintln!("died {:?} late {} ms", r.exit_code, late.num_milliseconds());
    world.call(&StartContainer { container }).await.expect("again");
    world.controller.until(container, Status::Running).await;
    world.call(&PauseContainer { container }).await.expect("pause");
    world.controller.until(container, Status::Paused).await;
    world.call(&UnpauseContainer { container }).await.expect("unpause");
    world.controller.until(container, Status::Running).await;
    world.call(&RemoveContainer { container, how: Removal::Force }).await.expect("rm");
    world.controller.until(container, Status::Deleted).await;
    for (auto, code, cmd) in [(false, 127, "frob"), (true, 127, "frob"), (false, 126, "/etc/passwd")] {
        let mut c = create(&[cmd]);
        c.spec.auto_remove = auto;
        c.start = true;
        world.call(&c).await.expect("ok");
        let r = if auto {
            world.controller.until(c.container, Status::Deleted).await
        } else {
            world.controller.until(c.container, Status::Error).await
        };
        assert_eq!(r.exit_code, Some(code));
        for h in world.controller.history(c.container) {
            eprintln!("{auto} {} {:?} {:?} {:?}", h.status, h.task_state, h.exit_code, h.status_reason);
        }
        world.call(&RemoveContainer { container: c.container, how: Removal::Force }).await.expect("rm");
        world.controller.until(c.container, Status::Deleted).await;
    }
    // auto remove ok
    let mut c = create(&["/bin/sh", "-c", "exit 0"]);
    c.spec.auto_remove = true;
    c.start = true;
    world.call(&c).await.expect("ok");
    world.controller.until(c.container, Status::Deleted).await;
    for h in world.controller.history(c.container) {
        eprintln!("rm {} {:?} {:?} {:?}", h.status, h.task_state, h.exit_code, h.status_reason);
    }
    assert!(agent.stop().await);
}
