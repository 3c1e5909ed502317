//! Operations are accepted, done and reported.

use futures_util::future::join_all;
use zun_common::id::ContainerId;
use zun_common::rpc::Code;
use zun_common::rpc::container::{ContainerSpec, PullPolicy, Removal};
use zun_common::rpc::operation::{Change, Outcome};
use zun_common::status::{Status, TaskState};
use zun_compute::driver::DriverError;
use zun_compute::driver::fake::Operation;

use crate::world::{START, World, create};

const SHELL: [&str; 1] = ["/bin/sh"];

#[tokio::test]
async fn a_container_is_created_and_started_and_its_exit_is_reported() {
    let world = World::new().await;
    let agent = world.agent().await;
    let container = world.running(&SHELL).await;
    let history = world.controller.history(container);
    let created = history.iter().find(|report| report.status == Status::Created).expect("created");
    assert!(created.engine.is_some());
    assert!(history.windows(2).all(|pair| pair[0].generation < pair[1].generation));
    assert!(world.engine.exit(container, 3));
    let last = world.controller.until(container, Status::Stopped).await;
    assert_eq!((last.exit_code, last.finished_at.is_some()), (Some(3), true));
    assert!(agent.stop().await);
}

#[tokio::test]
async fn the_task_state_is_reported_while_the_engine_works() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let create = create(&SHELL);
    let stall = world.engine.stall(Operation::Create);
    world.create(&create).await;
    let making = |task| {
        move |report: &zun_common::rpc::report::ContainerReport| report.task_state == Some(task)
    };
    let report = world.controller.until_report(create.container, making(TaskState::Creating)).await;
    assert_eq!(report.status, Status::Creating);
    drop(stall);
    world.controller.until(create.container, Status::Created).await;
}

#[tokio::test]
async fn every_operation_leads_to_its_status() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let (container, controller) = (world.running(&SHELL).await, &world.controller);
    world.order(container, Change::Pause).await;
    controller.until(container, Status::Paused).await;
    world.order(container, Change::Unpause).await;
    controller.until(container, Status::Running).await;
    world.order(container, Change::Stop { grace: Some(1) }).await;
    controller.until(container, Status::Stopped).await;
    world.order(container, Change::Reboot { grace: Some(1) }).await;
    controller.until(container, Status::Running).await;
    let signal = "SIGKILL".to_owned();
    world.order(container, Change::Kill { signal }).await;
    assert_eq!(controller.until(container, Status::Stopped).await.exit_code, Some(137));
    let remove = || Change::Delete { how: Removal::OnlyStopped };
    world.order(container, remove()).await;
    controller.until(container, Status::Deleted).await;
    assert_eq!(
        world.order(container, remove()).await,
        Some(Outcome::Succeeded),
        "it is removed already"
    );
    assert_eq!(world.containers().await, 0);
}

#[tokio::test]
async fn all_ports_of_an_image_are_published_on_the_hosts_own_address() {
    let mut world = World::new().await;
    world.settings.ports.address = [192, 0, 2, 1].into();
    let _agent = world.agent().await;
    let port = |text: &str| text.parse().expect("a port");
    world.engine.expose_ports("cirros", vec![port("80"), port("53/udp")]);
    let published = async |publish_all| {
        let mut create = create(&SHELL);
        create.spec.options.publish_all = publish_all;
        create.spec.options.expose = vec![port("90")];
        world.create(&create).await;
        world.controller.until(create.container, Status::Created).await;
        let ports = world.engine.spec(create.container).expect("a container").ports;
        ports.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        published(true).await,
        ["53/udp -> 192.0.2.1:0", "80/tcp -> 192.0.2.1:0", "90/tcp -> 192.0.2.1:0"]
    );
    assert_eq!(published(false).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_operation_without_effect_succeeds() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&SHELL).await;
    world.order(container, START).await;
    world.order(container, Change::Stop { grace: Some(1) }).await;
    world.controller.until(container, Status::Stopped).await;
    world.order(container, Change::Stop { grace: None }).await;
}

#[tokio::test]
async fn a_wrong_state_and_a_missing_container_are_refused_with_a_message() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&SHELL).await;
    let problem = world.order_refused(ContainerId::random(), Change::Unpause).await;
    assert_eq!(problem.code, Code::NotFound);
    world.order(container, Change::Stop { grace: Some(1) }).await;
    world.controller.until(container, Status::Stopped).await;
    let problem = world.order_refused(container, Change::Pause).await;
    let words = format!("Cannot pause container {container} in Stopped state.");
    assert_eq!((problem.code, problem.message), (Code::Conflict, words));
}

#[tokio::test]
async fn a_container_that_cannot_be_created_is_in_error_with_the_reason() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let mut lacking = create(&SHELL);
    (lacking.spec.image, lacking.spec.pull) = ("nowhere".to_owned(), PullPolicy::Never);
    world.create(&lacking).await;
    let report = world.controller.until(lacking.container, Status::Error).await;
    assert_eq!(report.status_reason.as_deref(), Some("No such image: nowhere"));

    let failing = create(&SHELL);
    let error = DriverError::Engine { doing: "create the container", words: "no space".to_owned() };
    world.engine.fail_next(Operation::Create, error);
    world.create(&failing).await;
    let report = world.controller.until(failing.container, Status::Error).await;
    assert_eq!(report.status_reason.as_deref(), Some("cannot create the container: no space"));
}

#[tokio::test]
async fn containers_that_need_one_image_at_the_same_time_share_its_pull() {
    let world = World::new().await;
    let _agent = world.agent().await;
    world.engine.offer_image("fresh", Vec::new());
    let stall = world.engine.stall(Operation::ImagePull);
    let creations = [(); 3].map(|()| {
        let mut creation = create(&SHELL);
        (creation.spec.image, creation.spec.pull) = ("fresh".to_owned(), PullPolicy::Always);
        creation
    });
    for creation in &creations {
        world.create(creation).await;
        let is_pulling = |report: &zun_common::rpc::report::ContainerReport| {
            report.task_state == Some(TaskState::ImagePulling)
        };
        world.controller.until_report(creation.container, is_pulling).await;
    }
    // A create that is cancelled does not end the pull for the others.
    let [leaving, staying @ ..] = &creations;
    world.order(leaving.container, Change::Delete { how: Removal::Force }).await;
    drop(stall);
    for creation in staying {
        world.controller.until(creation.container, Status::Created).await;
    }
    assert_eq!(world.count(Operation::ImagePull), 1);
}

/// The second line of defence: zun-api has refused these names already.
#[tokio::test]
async fn an_image_that_another_project_has_made_is_neither_run_nor_pulled() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let ended = async |id: ContainerId, change: Change| {
        let call = world.controller.accept(id, change);
        world.call(&call).await.expect("an answer");
        world.controller.outcome(call.operation.id).await
    };
    let create = |project: &str, image: &str| {
        let spec = ContainerSpec::of_image(project.parse().unwrap(), "web", image);
        Change::Create { spec: Box::new(spec), start: false }
    };
    let pull = |project: &str, image: &str| Change::PullImage {
        image: image.to_owned(),
        platform: None,
        policy: PullPolicy::IfNotPresent,
        registry: None,
        project: Some(project.parse().unwrap()),
    };
    let made = "zun.local/16477688c0e00699/web:v1";
    world.engine.add_image(made);
    assert_eq!(ended(ContainerId::random(), create("blue", made)).await, Outcome::Succeeded);
    assert_eq!(ended(ContainerId::random(), pull("blue", made)).await, Outcome::Succeeded);
    for change in [create("red", made), pull("red", made)] {
        let ended = ended(ContainerId::random(), change).await;
        let Outcome::Failed(problem) = ended else { panic!("not failed: {ended:?}") };
        assert!(problem.message.contains("another project committed the image"), "{problem}");
    }
    // No registry has it, so none is asked.
    let missing = "zun.local/16477688c0e00699/gone:v1";
    let ended = ended(ContainerId::random(), create("blue", missing)).await;
    let Outcome::Failed(problem) = ended else { panic!("not failed: {ended:?}") };
    assert_eq!(problem.message, format!("No such image: {missing}"));
    assert_eq!(world.count(Operation::ImagePull), 0);
}

#[tokio::test]
async fn an_image_is_pulled_and_removed_by_request() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let image = ContainerId::random();
    let pull = |name: &str| Change::PullImage {
        image: name.to_owned(),
        platform: None,
        policy: PullPolicy::Always,
        registry: None,
        project: None,
    };
    world.engine.offer_image("fresh", Vec::new());
    let ended = async |change: Change| {
        let call = world.controller.accept(image, change);
        world.call(&call).await.expect("an answer");
        world.controller.outcome(call.operation.id).await
    };
    assert_eq!(ended(pull("fresh")).await, Outcome::Succeeded);
    let Outcome::Failed(problem) = ended(pull("nowhere")).await else { panic!("not failed") };
    assert_eq!(problem.message, "No such image: nowhere:latest");
    let remove = || Change::RemoveImage { image: "fresh".to_owned() };
    assert_eq!(ended(remove()).await, Outcome::Succeeded);
    assert_eq!(ended(remove()).await, Outcome::Succeeded, "it is removed already");
    assert_eq!(world.count(Operation::ImageRemove), 2);
    assert_eq!(world.controller.reported_images(), 1);
}

#[tokio::test]
async fn an_image_that_another_client_of_docker_adds_is_reported_at_once() {
    let world = World::new().await;
    let _agent = world.agent().await;
    world.controller.until_image("cirros:latest").await;
    world.engine.add_image("by-hand");
    world.controller.until_image("by-hand:latest").await;
}

#[tokio::test]
async fn a_command_that_cannot_be_run_is_reported_with_the_exit_code_of_a_shell() {
    let world = World::new().await;
    let _agent = world.agent().await;
    for (command, code) in [("frobnicate", 127), ("/etc/passwd", 126)] {
        let mut create = create(&[command]);
        create.start = true;
        world.create(&create).await;
        let report = world.controller.until(create.container, Status::Error).await;
        assert_eq!(report.exit_code, Some(code));
        assert!(report.status_reason.expect("a reason").contains(command));
    }
}

#[tokio::test]
async fn after_a_failed_stop_the_true_status_is_reported_with_the_reason() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&SHELL).await;
    let error = DriverError::Engine { doing: "stop the container", words: "tired".to_owned() };
    world.engine.fail_next(Operation::Stop, error);
    world.order(container, Change::Stop { grace: None }).await;
    let failed = |report: &zun_common::rpc::report::ContainerReport| report.status_reason.is_some();
    let report = world.controller.until_report(container, failed).await;
    assert_eq!((report.status, report.task_state), (Status::Running, None));
}

#[tokio::test]
async fn operations_on_one_container_are_serialized_and_a_full_queue_answers_busy() {
    let mut world = World::new().await;
    world.settings.workers.queue_length = 2;
    let _agent = world.agent().await;
    let create = create(&SHELL);
    let container = create.container;
    world.create(&create).await;
    world.controller.until(container, Status::Created).await;
    let stall = world.engine.stall(Operation::Start);
    world.order(container, START).await;
    let waiting = [Change::Stop { grace: Some(1) }, START, Change::Stop { grace: Some(1) }, START];
    let calls = waiting.map(|change| world.controller.accept(container, change));
    let answers = join_all(calls.iter().map(|call| world.call(call)));
    tokio::pin!(answers);
    let pause = std::time::Duration::from_millis(200);
    assert!(tokio::time::timeout(pause, &mut answers).await.is_err(), "two of them wait");
    assert_eq!((world.count(Operation::Start), world.count(Operation::Stop)), (1, 0));
    drop(stall);
    let outcomes: Vec<_> =
        answers.await.into_iter().map(|answer| answer.expect("an answer").outcome).collect();
    let busy = |outcome: &&Option<Outcome>| matches!(outcome, Some(Outcome::Failed(problem)) if problem.code == Code::Busy);
    assert!(outcomes.iter().filter(busy).count() <= 2, "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| busy(&outcome)), "{outcomes:?}");
}

#[tokio::test]
async fn a_signal_does_not_wait_for_the_grace_period_of_a_stop() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&SHELL).await;
    let stall = world.engine.stall(Operation::Stop);
    world.order(container, Change::Stop { grace: Some(3600) }).await;
    let stopping = |report: &zun_common::rpc::report::ContainerReport| {
        report.task_state == Some(TaskState::Stopping)
    };
    world.controller.until_report(container, stopping).await;
    let kill = Change::Kill { signal: "SIGKILL".to_owned() };
    assert_eq!(world.order(container, kill).await, Some(Outcome::Succeeded));
    drop(stall);
    let last = world.controller.until(container, Status::Stopped).await;
    assert_eq!((last.exit_code, last.task_state), (Some(137), None));
}

#[tokio::test]
async fn operations_on_different_containers_run_concurrently() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let slow = create(&SHELL);
    let quick = world.running(&SHELL).await;
    let _stall = world.engine.stall(Operation::Create);
    world.create(&slow).await;
    world.order(quick, Change::Stop { grace: Some(1) }).await;
    world.controller.until(quick, Status::Stopped).await;
}

#[tokio::test]
async fn a_removal_cancels_the_pull_of_the_containers_image() {
    let world = World::new().await;
    let _agent = world.agent().await;
    world.engine.offer_image("big", Vec::new());
    let _stall = world.engine.stall(Operation::ImagePull);
    let mut create = create(&SHELL);
    create.spec.image = "big".to_owned();
    let container = create.container;
    world.create(&create).await;
    let pulling = |report: &zun_common::rpc::report::ContainerReport| {
        report.task_state == Some(TaskState::ImagePulling)
    };
    world.controller.until_report(container, pulling).await;
    let remove = || Change::Delete { how: Removal::Force };
    world.order(container, remove()).await;
    world.controller.until(container, Status::Deleted).await;
    assert_eq!((world.count(Operation::Create), world.containers().await), (0, 0));
}

#[tokio::test]
async fn the_end_of_a_container_with_auto_remove_is_reported_and_zun_api_decides_on_its_removal() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let mut create = create(&SHELL);
    (create.spec.auto_remove, create.start) = (true, true);
    world.create(&create).await;
    world.controller.until(create.container, Status::Running).await;
    assert!(world.engine.exit(create.container, 3));
    let report = world.controller.until(create.container, Status::Stopped).await;
    assert_eq!(report.exit_code, Some(3));
    world.order(create.container, Change::Delete { how: Removal::Force }).await;
    world.controller.until(create.container, Status::Deleted).await;
}
