//! One container that cannot be inspected does not affect the other containers of its host.

use zun_common::id::ContainerId;
use zun_common::rpc::operation::{Change, Outcome};
use zun_common::status::Status;
use zun_compute::driver::Lifecycle;
use zun_compute::driver::fake::{InspectionFault, Operation};

use crate::world::{World, assigned, create};

/// A host with a healthy container, one whose state is unknown, and a lost one that zun-api expects.
struct Host {
    world: World,
    healthy: ContainerId,
    unknown: ContainerId,
    lost: ContainerId,
}

impl Host {
    async fn new() -> Self {
        let world = World::new().await;
        let [healthy, unknown, lost] = [(); 3].map(|()| create(&["/bin/sh"]));
        for create in [&healthy, &unknown] {
            world.engine.create(create.container, &create.spec).await.expect("created");
            world.engine.start(create.container).await.expect("started");
        }
        let [healthy, unknown, lost] = [healthy, unknown, lost].map(|create| create.container);
        world
            .controller
            .assign([healthy, unknown, lost].map(|id| assigned(id, Status::Running)).to_vec());
        Self { world, healthy, unknown, lost }
    }
}

async fn the_rest_of_the_host_continues(fault: InspectionFault) {
    let Host { world, healthy, unknown, lost } = Host::new().await;
    let broken = world.engine.break_inspection(unknown, fault);
    let _agent = world.agent().await;
    world.controller.until(healthy, Status::Running).await;
    world.controller.until(lost, Status::Error).await;
    assert!(world.engine.exit(healthy, 4), "its process is running");
    let report = world.controller.until(healthy, Status::Stopped).await;
    assert_eq!(report.exit_code, Some(4));
    assert_eq!(world.controller.history(unknown), [], "nothing is known about it");
    drop(broken);
    world.controller.until(unknown, Status::Running).await;
    assert!(
        world.controller.history(unknown).iter().all(|report| report.status == Status::Running)
    );
}

#[tokio::test]
async fn a_container_that_hangs_is_retried_and_the_rest_of_the_host_continues() {
    the_rest_of_the_host_continues(InspectionFault::Stalled).await;
}

#[tokio::test]
async fn a_container_that_cannot_be_read_is_retried_and_the_rest_of_the_host_continues() {
    the_rest_of_the_host_continues(InspectionFault::Failed).await;
}

#[tokio::test]
async fn a_container_in_doubt_that_is_removed_is_reported_as_lost() {
    let Host { world, unknown, .. } = Host::new().await;
    let _agent = world.agent().await;
    world.controller.until(unknown, Status::Running).await;
    let broken = world.engine.break_inspection(unknown, InspectionFault::Failed);
    let before = world.count(Operation::Inspect);
    assert!(world.engine.exit(unknown, 0), "its process is running");
    world.until_asked(Operation::Inspect, before + 2).await;
    assert!(world.engine.vanish(unknown));
    assert_eq!(world.controller.until(unknown, Status::Running).await.exit_code, None);
    drop(broken);
    world.controller.until(unknown, Status::Error).await;
}

#[tokio::test]
async fn a_container_that_could_not_be_inspected_after_an_operation_is_inspected_again() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    world.controller.assign(vec![assigned(container, Status::Running)]);
    let broken = world.engine.break_inspection(container, InspectionFault::Failed);
    let stop = world.controller.accept(container, Change::Stop { grace: Some(1) });
    // Its events are lost as well.
    world.engine.stop(container, None).await.expect("stopped behind the agent's back");
    let outcome = world.call(&stop).await.expect("an answer").outcome;
    assert!(matches!(outcome, Some(Outcome::Failed(_))), "{outcome:?}");
    drop(broken);
    world.controller.until(container, Status::Stopped).await;
}
