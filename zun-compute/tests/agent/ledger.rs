//! Operations are carried out whatever is lost on the way, and none twice.

use zun_common::bus::{CallError, Route};
use zun_common::id::{Epoch, OperationId};
use zun_common::rpc::container::Removal;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::image::SearchImages;
use zun_common::rpc::operation::{Change, Operation as Accepted, Outcome, PerformOperation};
use zun_common::rpc::report::ContainerReport;
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;
use zun_compute::driver::fake::Operation;
use zun_compute::driver::{DriverError, Lifecycle as _};

use crate::world::{Creation, World, create, host};

fn silent() -> DriverError {
    DriverError::TimedOut { doing: "do it", seconds: 1 }
}

#[tokio::test]
async fn an_operation_whose_nudge_is_lost_comes_with_the_next_heartbeat() {
    let mut world = World::new().await;
    world.settings.heartbeat.interval = 1;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let lost = world.controller.accept(container, Change::Stop { grace: Some(1) });
    assert_eq!(world.controller.outcome(lost.operation.id).await, Outcome::Succeeded);
    assert_eq!(world.controller.until(container, Status::Stopped).await.task_state, None);
}

#[tokio::test]
async fn an_operation_that_comes_twice_is_done_once() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let signal = "SIGWINCH".to_owned();
    let call = world.controller.accept(container, Change::Kill { signal });
    for _ in 0..3 {
        assert_eq!(world.call(&call).await.expect("an answer").outcome, Some(Outcome::Succeeded));
    }
    world.controller.until_all_have_ended().await;
    assert_eq!(world.call(&call).await.expect("an answer").outcome, Some(Outcome::Succeeded));
    assert_eq!(world.count(Operation::Kill), 1);
}

#[tokio::test]
async fn a_nudge_that_overtakes_another_waits_for_it() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let first = world.controller.accept(container, Change::Stop { grace: Some(1) });
    let second = world.controller.accept(container, Change::Start { last_start: None });
    assert_eq!(world.call(&second).await.expect("an answer").outcome, None);
    for operation in [first.operation.id, second.operation.id] {
        assert_eq!(world.controller.outcome(operation).await, Outcome::Succeeded);
    }
    world.controller.until(container, Status::Running).await;
    assert_eq!((world.count(Operation::Stop), world.count(Operation::Start)), (1, 2));
}

#[tokio::test]
async fn a_creation_whose_first_start_got_no_answer_says_so_when_the_next_one_fails() {
    let world = World::new().await;
    let _agent = world.agent().await;
    world.engine.fail_next(Operation::Start, DriverError::down("it was killed"));
    let words = "the ID is already in use".to_owned();
    let error = DriverError::Engine { doing: "start the container", words };
    world.engine.fail_next(Operation::Start, error);
    let message =
        "cannot start the container: the ID is already in use. The container may have been started";
    let creation = Creation { start: true, ..create(&["/bin/sh"]) };
    let call = world.controller.accept(creation.container, creation.change());
    world.call(&call).await.expect("an answer");
    let expected = Outcome::Failed(Problem::new(Code::Engine, message.to_owned()));
    assert_eq!(world.controller.outcome(call.operation.id).await, expected);
    let state = world.controller.until(creation.container, Status::Error).await;
    assert_eq!(state.status_reason.as_deref(), Some(message));
}

#[tokio::test]
async fn a_first_start_that_got_no_answer_is_not_sent_again() {
    let world = World::new().await;
    let _agent = world.agent().await;
    world.engine.fail_next(Operation::Start, silent());
    let creation = Creation { start: true, ..create(&["/bin/sh"]) };
    let call = world.controller.accept(creation.container, creation.change());
    world.call(&call).await.expect("an answer");
    let is_created = |report: &ContainerReport| report.status == Status::Created;
    world.controller.until_report(creation.container, is_created).await;
    // It is inspected again before each attempt.
    world.until_asked(Operation::Inspect, world.count(Operation::Inspect) + 2).await;
    assert_eq!(world.count(Operation::Start), 1);
    // Docker finally carries it out.
    world.engine.start(creation.container).await.expect("started");
    assert_eq!(world.controller.outcome(call.operation.id).await, Outcome::Succeeded);
    world.controller.until(creation.container, Status::Running).await;
    assert_eq!(world.count(Operation::Start), 2);
}

#[tokio::test]
async fn a_removal_is_repeated_until_it_succeeds() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    for _ in 0..2 {
        let error = DriverError::Engine { doing: "remove the container", words: "busy".to_owned() };
        world.engine.fail_next(Operation::Remove, error);
    }
    let call = world.controller.accept(container, Change::Delete { how: Removal::Force });
    let outcome = world.call(&call).await.expect("an answer").outcome;
    assert_eq!(outcome, Some(Outcome::Succeeded), "the answer comes after the removal");
    world.controller.until(container, Status::Deleted).await;
    assert_eq!((world.count(Operation::Remove), world.containers().await), (3, 0));
}

#[tokio::test]
async fn a_removal_by_an_agent_that_dies_is_done_by_the_next_one() {
    let world = World::new().await;
    // The process must outlive the agent that is killed.
    let first = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    assert!(first.stop().await);
    let agent = world.killable_agent().await;
    let stall = world.engine.stall(Operation::Remove);
    let removal = world.controller.accept(container, Change::Delete { how: Removal::Force });
    world.until_begun(&removal, Operation::Remove).await;
    agent.kill();
    drop(stall);
    let _next = world.agent().await;
    assert_eq!(world.controller.outcome(removal.operation.id).await, Outcome::Succeeded);
    assert_eq!(world.containers().await, 0);
}

#[tokio::test]
async fn a_signal_that_an_agent_received_before_it_died_is_not_sent_again() {
    let world = World::new().await;
    // The process must outlive the agent that is killed.
    let first = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    assert!(first.stop().await);
    let agent = world.killable_agent().await;
    let stall = world.engine.stall(Operation::Kill);
    let signal = "SIGKILL".to_owned();
    let kill = world.controller.accept(container, Change::Kill { signal });
    world.until_begun(&kill, Operation::Kill).await;
    agent.kill();
    drop(stall);
    let _next = world.agent().await;
    assert_eq!(world.controller.outcome(kill.operation.id).await, Outcome::Unknown);
    let stop = world.controller.accept(container, Change::Stop { grace: Some(1) });
    world.call(&stop).await.expect("an answer");
    world.controller.until(container, Status::Stopped).await;
    assert_eq!(world.count(Operation::Kill), 1);
}

#[tokio::test]
async fn a_signal_that_may_have_been_sent_before_a_removal_is_not_reported_as_canceled() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let stall = world.engine.stall(Operation::Kill);
    world.engine.lose_next_answer(Operation::Kill);
    let signal = "SIGUSR1".to_owned();
    let kill = world.controller.accept(container, Change::Kill { signal });
    let remove = async {
        world.until_asked(Operation::Kill, 1).await;
        let delete = world.controller.accept(container, Change::Delete { how: Removal::Force });
        let removed = world.call(&delete);
        tokio::pin!(removed);
        let pause = std::time::Duration::from_millis(200);
        assert!(tokio::time::timeout(pause, &mut removed).await.is_err(), "it waits");
        drop(stall);
        removed.await.expect("an answer");
    };
    let (answer, ()) = tokio::join!(world.call(&kill), remove);
    let outcome = answer.expect("an answer").outcome;
    let Some(Outcome::Failed(problem)) = outcome else { panic!("not failed: {outcome:?}") };
    assert_eq!(problem.code, Code::EngineDown, "{}", problem.message);
    world.controller.until(container, Status::Deleted).await;
}

#[tokio::test]
async fn a_creation_waits_while_docker_does_not_answer() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let create = create(&["/bin/sh"]);
    world.engine.fail_next(Operation::Inspect, silent());
    world.create(&create).await;
    world.controller.until(create.container, Status::Created).await;
    assert_eq!(world.containers().await, 1);
}

#[tokio::test]
async fn a_creation_whose_first_inspection_fails_is_in_error_with_the_reason() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let create = create(&["/bin/sh"]);
    let error = DriverError::Engine { doing: "inspect the container", words: "odd".to_owned() };
    world.engine.fail_next(Operation::Inspect, error);
    let problem = world.order_refused(create.container, create.change()).await;
    assert_eq!(problem, Problem::new(Code::Engine, "cannot inspect the container: odd"));
    let report = world.controller.until(create.container, Status::Error).await;
    assert_eq!(report.status_reason.as_deref(), Some("cannot inspect the container: odd"));
}

#[tokio::test]
async fn an_operation_is_not_begun_after_its_time_limit() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    world.controller.until_heartbeat(|_| true).await;
    let PerformOperation { epoch, operation } =
        world.controller.accept(container, Change::Stop { grace: None });
    let late = Accepted { not_after: Some(chrono::Utc::now()), ..operation };
    let call = PerformOperation { epoch, operation: late };
    assert_eq!(world.call(&call).await.expect("an answer").outcome, Some(Outcome::Expired));
    assert_eq!(world.count(Operation::Stop), 0);
}

#[tokio::test]
async fn an_operation_of_another_epoch_is_refused() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let PerformOperation { epoch, operation } = world.controller.accept(container, Change::Pause);
    let operation = Accepted { id: OperationId::random(), ..operation };
    let stale = PerformOperation { epoch: Epoch(epoch.0 - 1), operation };
    assert_eq!(world.refusal(&stale).await.code, Code::StaleEpoch);
    assert_eq!(world.count(Operation::Pause), 0);
}

#[tokio::test]
async fn a_call_for_another_epoch_is_refused() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let call = SearchImages { term: "busybox".to_owned() };
    let context = CallContext::internal();
    let epoch = world.controller.epoch();
    let host = host();
    let asked = world.bus.call_in_epoch((&host, Epoch(epoch)), &call, &context).await;
    asked.expect("an answer");
    world.call(&call).await.expect("an older zun-api names no epoch");
    for other in [epoch - 1, epoch + 1] {
        let asked = world.bus.call_in_epoch((&host, Epoch(other)), &call, &context).await;
        let Err(CallError::Refused { problem, .. }) = asked else { panic!("{asked:?}") };
        assert_eq!(problem.code, Code::StaleEpoch);
    }
}

#[tokio::test]
async fn an_agent_answers_no_calls_while_another_one_of_its_name_is_preferred() {
    let mut world = World::new().await;
    world.settings.heartbeat.interval = 1;
    let _agent = world.agent().await;
    let call = SearchImages { term: "busybox".to_owned() };
    world.call(&call).await.expect("an answer");
    world.controller.prefer_another();
    world.controller.until_refused(2).await;
    // The other one receives all calls.
    let route = Route::Host(host());
    let mut other = world.bus.transport().consume(route, 16).await.expect("deliveries");
    let calls = (0..8).map(|_| world.call(&call));
    let calls = futures_util::future::join_all(calls);
    tokio::pin!(calls);
    let mut received = Vec::new();
    while received.len() < 8 {
        tokio::select! {
            delivery = other.recv() => received.push(delivery.expect("a delivery")),
            answers = &mut calls => panic!("the refused agent has answered: {answers:?}"),
        }
    }
    drop((received, other));
    world.controller.allow();
    for answer in calls.await {
        answer.expect("the agent answers again");
    }
}

#[tokio::test]
async fn no_operation_begins_while_another_agent_has_the_epoch() {
    let mut world = World::new().await;
    world.settings.heartbeat.interval = 1;
    let _agent = world.agent().await;
    let create = create(&["/bin/sh"]);
    let container = create.container;
    world.create(&create).await;
    world.controller.until(container, Status::Created).await;
    let stall = world.engine.stall(Operation::Start);
    world.order(container, Change::Start { last_start: None }).await;
    let stop = world.controller.accept(container, Change::Stop { grace: Some(1) });
    let nudge = world.call(&stop);
    tokio::pin!(nudge);
    assert!(futures_util::poll!(&mut nudge).is_pending(), "it waits for the start");
    world.controller.take_over();
    world.controller.until_refused(1).await;
    drop(stall);
    world.until_engine_shows(container, Status::Running).await;
    world.controller.until_refused(3).await;
    assert_eq!(world.count(Operation::Stop), 0);
    world.controller.allow();
    assert_eq!(world.controller.outcome(stop.operation.id).await, Outcome::Succeeded);
    world.controller.until(container, Status::Stopped).await;
    assert_eq!(world.count(Operation::Stop), 1);
}

#[tokio::test]
async fn a_creation_ends_if_another_agent_registers_during_the_pull() {
    let world = World::new().await;
    let _agent = world.agent().await;
    let mut create = create(&["/bin/sh"]);
    create.spec.image = "alpine".to_owned();
    world.engine.offer_image("alpine", Vec::new());
    let stall = world.engine.stall(Operation::ImagePull);
    let call = world.controller.accept(create.container, create.change());
    world.until_begun(&call, Operation::ImagePull).await;
    // The agent has not noticed it yet when the pull ends.
    world.controller.take_over();
    drop(stall);
    world.controller.until_refused(2).await;
    assert_eq!(world.count(Operation::Create), 0);
    world.controller.allow();
    assert_eq!(world.controller.outcome(call.operation.id).await, Outcome::Succeeded);
    assert_eq!(world.count(Operation::Create), 1);
}
