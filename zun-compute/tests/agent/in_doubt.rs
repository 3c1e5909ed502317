//! One container that cannot be inspected does not affect the other containers of its host.

use zun_common::id::ContainerId;
use zun_common::rpc::operation::{Change, Outcome};
use zun_common::status::Status;
use zun_compute::driver::Lifecycle;
use zun_compute::driver::fake::{InspectionFault, Operation};

use crate::world::{World, assigned, create};

/// A host with a healthy container, one in doubt, and a lost one that zun-api expects.
struct Host {
    world: World,
    healthy: ContainerId,
    in_doubt: ContainerId,
    lost: ContainerId,
}

impl Host {
    async fn new() -> Self {
        let world = World::new().await;
        let [healthy, in_doubt, lost] = [(); 3].map(|()| create(&["/bin/sh"]));
        for create in [&healthy, &in_doubt] {
            world.engine.create(create.container, &create.spec).await.expect("created");
            world.engine.start(create.container).await.expect("started");
        }
        let [healthy, in_doubt, lost] = [healthy, in_doubt, lost].map(|create| create.container);
        world
            .controller
            .assign([healthy, in_doubt, lost].map(|id| assigned(id, Status::Running)).to_vec());
        Self { world, healthy, in_doubt, lost }
    }
}

async fn the_rest_of_the_host_goes_on(fault: InspectionFault) {
    let Host { world, healthy, in_doubt, lost } = Host::new().await;
    let broken = world.engine.break_inspection(in_doubt, fault);
    let _agent = world.agent().await;
    world.controller.until(healthy, Status::Running).await;
    world.controller.until(lost, Status::Error).await;
    assert!(world.engine.exit(healthy, 4), "its process is running");
    let report = world.controller.until(healthy, Status::Stopped).await;
    assert_eq!(report.exit_code, Some(4));
    assert_eq!(world.controller.history(in_doubt), [], "nothing is known about it");
    drop(broken);
    world.controller.until(in_doubt, Status::Running).await;
    assert!(
        world.controller.history(in_doubt).iter().all(|report| report.status == Status::Running)
    );
}

#[tokio::test]
async fn a_container_that_hangs_is_retried_and_the_rest_of_the_host_goes_on() {
    the_rest_of_the_host_goes_on(InspectionFault::Stalled).await;
}

#[tokio::test]
async fn a_container_that_cannot_be_read_is_retried_and_the_rest_of_the_host_goes_on() {
    the_rest_of_the_host_goes_on(InspectionFault::Failed).await;
}

#[tokio::test]
async fn a_container_in_doubt_that_is_removed_is_reported_as_lost() {
    let Host { world, in_doubt, .. } = Host::new().await;
    let _agent = world.agent().await;
    world.controller.until(in_doubt, Status::Running).await;
    let broken = world.engine.break_inspection(in_doubt, InspectionFault::Failed);
    let before = world.count(Operation::Inspect);
    assert!(world.engine.exit(in_doubt, 0), "its process is running");
    world.until_asked(Operation::Inspect, before + 2).await;
    assert!(world.engine.vanish(in_doubt));
    assert_eq!(world.controller.until(in_doubt, Status::Running).await.exit_code, None);
    drop(broken);
    world.controller.until(in_doubt, Status::Error).await;
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
