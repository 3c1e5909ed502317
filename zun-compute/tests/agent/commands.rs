//! Commands are accepted, done and reported.

use zun_common::rpc::Code;
use zun_common::rpc::container::{
    KillContainer, PauseContainer, PullPolicy, RebootContainer, Removal, RemoveContainer,
    StartContainer, StopContainer, UnpauseContainer,
};
use zun_common::status::{Status, TaskState};
use zun_compute::driver::DriverError;
use zun_compute::driver::fake::Operation;

use crate::world::{World, create};

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
    world.call(&create).await.expect("accepted before it is done");
    let making = |task| {
        move |report: &zun_common::rpc::report::ContainerReport| report.task_state == Some(task)
    };
    let report = world.controller.until_report(create.container, making(TaskState::Creating)).await;
    assert_eq!(report.status, Status::Creating);
    drop(stall);
    world.controller.until(create.container, Status::Created).await;
}

#[tokio::test]
async fn every_command_leads_to_its_status() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let (container, controller) = (world.running(&SHELL).await, &world.controller);
    world.call(&PauseContainer { container }).await.expect("accepted");
    controller.until(container, Status::Paused).await;
    world.call(&UnpauseContainer { container }).await.expect("accepted");
    controller.until(container, Status::Running).await;
    world.call(&StopContainer { container, grace: Some(1) }).await.expect("accepted");
    controller.until(container, Status::Stopped).await;
    world.call(&RebootContainer { container, grace: Some(1) }).await.expect("accepted");
    controller.until(container, Status::Running).await;
    let signal = "SIGKILL".to_owned();
    world.call(&KillContainer { container, signal }).await.expect("accepted");
    assert_eq!(controller.until(container, Status::Stopped).await.exit_code, Some(137));
    let remove = RemoveContainer { container, how: Removal::OnlyStopped };
    world.call(&remove).await.expect("accepted");
    controller.until(container, Status::Deleted).await;
    world.call(&remove).await.expect("removing a removed container succeeds");
    assert_eq!(world.containers().await, 0);
}

#[tokio::test]
async fn a_command_without_effect_succeeds() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&SHELL).await;
    world.call(&StartContainer { container }).await.expect("it runs");
    world.call(&StopContainer { container, grace: Some(1) }).await.expect("accepted");
    world.controller.until(container, Status::Stopped).await;
    world.call(&StopContainer { container, grace: None }).await.expect("it is stopped");
}

#[tokio::test]
async fn a_wrong_state_and_a_missing_container_are_refused_with_a_message() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&SHELL).await;
    let problem =
        world.refusal(&UnpauseContainer { container: zun_common::id::ContainerId::random() }).await;
    assert_eq!(problem.code, Code::NotFound);
    world.call(&StopContainer { container, grace: Some(1) }).await.expect("accepted");
    world.controller.until(container, Status::Stopped).await;
    let problem = world.refusal(&PauseContainer { container }).await;
    let words = format!("Cannot pause container {container} in Stopped state.");
    assert_eq!((problem.code, problem.message), (Code::Conflict, words));
}

#[tokio::test]
async fn a_container_that_cannot_be_created_is_in_error_with_the_reason() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let mut lacking = create(&SHELL);
    (lacking.spec.image, lacking.spec.pull) = ("nowhere".to_owned(), PullPolicy::Never);
    world.call(&lacking).await.expect("accepted");
    let report = world.controller.until(lacking.container, Status::Error).await;
    assert_eq!(report.status_reason.as_deref(), Some("No such image: nowhere"));

    let failing = create(&SHELL);
    let error = DriverError::Engine { doing: "create the container", words: "no space".to_owned() };
    world.engine.fail_next(Operation::Create, error);
    world.call(&failing).await.expect("accepted");
    let report = world.controller.until(failing.container, Status::Error).await;
    assert_eq!(report.status_reason.as_deref(), Some("cannot create the container: no space"));
}

#[tokio::test]
async fn a_command_that_cannot_be_run_is_reported_with_the_exit_code_of_a_shell() {
    let world = World::new().await;
    let _agent = world.agent().await;
    for (command, code) in [("frobnicate", 127), ("/etc/passwd", 126)] {
        let mut create = create(&[command]);
        create.start = true;
        world.call(&create).await.expect("accepted");
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
    world.call(&StopContainer { container, grace: None }).await.expect("accepted");
    let failed = |report: &zun_common::rpc::report::ContainerReport| report.status_reason.is_some();
    let report = world.controller.until_report(container, failed).await;
    assert_eq!((report.status, report.task_state), (Status::Running, None));
}

#[tokio::test]
async fn commands_on_one_container_are_serialized_and_a_full_mailbox_answers_busy() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let create = create(&SHELL);
    let container = create.container;
    world.call(&create).await.expect("accepted");
    world.controller.until(container, Status::Created).await;
    let stall = world.engine.stall(Operation::Start);
    for _ in 0..4 {
        world.call(&StartContainer { container }).await.expect("accepted");
        world.call(&StopContainer { container, grace: Some(1) }).await.expect("accepted");
    }
    assert_eq!(world.refusal(&StartContainer { container }).await.code, Code::Busy);
    assert_eq!((world.count(Operation::Start), world.count(Operation::Stop)), (1, 0));
    drop(stall);
    let asked = Operation::Stop;
    world.until_asked(asked, 4).await;
    world.controller.until(container, Status::Stopped).await;
}

#[tokio::test]
async fn commands_on_different_containers_run_concurrently() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let slow = create(&SHELL);
    let quick = world.running(&SHELL).await;
    let _stall = world.engine.stall(Operation::Create);
    world.call(&slow).await.expect("accepted");
    world.call(&StopContainer { container: quick, grace: Some(1) }).await.expect("accepted");
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
    world.call(&create).await.expect("accepted");
    let pulling = |report: &zun_common::rpc::report::ContainerReport| {
        report.task_state == Some(TaskState::ImagePulling)
    };
    world.controller.until_report(container, pulling).await;
    let remove = RemoveContainer { container, how: Removal::Force };
    world.call(&remove).await.expect("accepted");
    world.controller.until(container, Status::Deleted).await;
    assert_eq!((world.count(Operation::Create), world.containers().await), (0, 0));
}

#[tokio::test]
async fn a_container_with_auto_remove_is_deleted_when_its_process_exits() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let mut create = create(&SHELL);
    (create.spec.auto_remove, create.start) = (true, true);
    world.call(&create).await.expect("accepted");
    world.controller.until(create.container, Status::Running).await;
    assert!(world.engine.exit(create.container, 0));
    world.controller.until(create.container, Status::Deleted).await;
}
