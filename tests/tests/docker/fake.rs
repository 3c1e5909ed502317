//! Tests of the in-memory engine and its controls.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use zun_common::id::{ContainerId, ExecId};
use zun_common::status::Status;
use zun_compute::driver::fake::{FakeDriver, InspectionFault, Operation, Stream};
use zun_compute::driver::{Change, ContainerDriver, DriverError, Inspect, Lifecycle, PullProgress};
use zun_tests::conformance::driver::{BrokenInspection, IDLE, Subject, TestEngine, spec, within};

pub(crate) struct InMemoryEngine(FakeDriver);

pub(crate) fn in_memory() -> InMemoryEngine {
    let engine = FakeDriver::new();
    let step = PullProgress {
        layer: "4f4fb700ef54".to_owned(),
        state: "Downloading".to_owned(),
        bytes: Some((1, 2)),
    };
    engine.offer_image("registry.example.org/team/app:v1", vec![step.clone(), step]);
    InMemoryEngine(engine)
}

#[async_trait]
impl TestEngine for InMemoryEngine {
    fn driver(&self) -> Arc<dyn ContainerDriver> {
        Arc::new(self.0.clone())
    }

    async fn pullable(&self) -> Option<String> {
        Some("registry.example.org/team/app:v1".to_owned())
    }

    fn unpullable(&self) -> String {
        "no-such-image:latest".to_owned()
    }

    fn break_inspection(&self, container: ContainerId, fault: InspectionFault) -> BrokenInspection {
        let fault = Box::new(self.0.break_inspection(container, fault));
        BrokenInspection { driver: self.driver(), fault, link: Box::new(()) }
    }

    async fn start_exec(&self, exec: &ExecId) -> Box<dyn Any + Send> {
        assert!(self.0.start_exec(exec));
        Box::new(())
    }
}

fn failure() -> DriverError {
    DriverError::Engine { doing: "test", words: "no space left on device".to_owned() }
}

#[tokio::test]
async fn an_operation_fails_as_often_as_the_test_asks() {
    let engine = in_memory();
    engine.0.fail_next(Operation::Start, failure());
    let subject = Subject::created(&engine, &spec(&engine, IDLE)).await;
    let error = engine.0.start(subject.id).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot test: no space left on device");
    assert_eq!(engine.0.start(subject.id).await.unwrap(), Change::Done);
    let calls = engine.0.calls();
    assert_eq!(
        calls.iter().filter(|call| **call == (Operation::Start, Some(subject.id))).count(),
        2
    );
}

#[tokio::test]
async fn a_lost_answer_leaves_the_work_done() {
    let engine = in_memory();
    let subject = Subject::new(&engine);
    engine.0.lose_next_answer(Operation::Create);
    let error = engine.0.create(subject.id, &spec(&engine, IDLE)).await.unwrap_err();
    assert!(matches!(error, DriverError::Down { .. }));
    let again = engine.0.create(subject.id, &spec(&engine, IDLE)).await.unwrap();
    assert_eq!(again.1, Change::Already);
}

#[tokio::test]
async fn a_stalled_operation_continues_when_it_is_released() {
    let engine = in_memory();
    let subject = Subject::created(&engine, &spec(&engine, IDLE)).await;
    let stall = engine.0.stall(Operation::Start);
    let mut start = std::pin::pin!(engine.0.start(subject.id));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut start).await;
    assert!(early.is_err());
    assert_eq!(subject.status().await, Status::Created);
    drop(stall);
    assert_eq!(within(start).await.unwrap(), Change::Done);
}

#[tokio::test]
async fn an_engine_that_goes_down_ends_events_and_waits_and_keeps_its_containers() {
    let engine = in_memory();
    let subject = Subject::running(&engine, IDLE).await;
    let mut events = engine.0.events().await.unwrap();
    let wait = engine.0.wait(subject.id);
    engine.0.go_down();
    assert!(matches!(within(wait).await, Err(DriverError::Down { .. })));
    assert_eq!(within(events.next()).await, None);
    assert!(matches!(engine.0.engine().await, Err(DriverError::Down { .. })));
    engine.0.come_up();
    assert_eq!(subject.status().await, Status::Running);
}

#[tokio::test]
async fn a_test_can_let_a_container_print_end_and_vanish() {
    let engine = in_memory();
    let subject = Subject::running(&engine, IDLE).await;
    engine.0.print(subject.id, Stream::Stderr, b"half a line");
    subject.prints("half a line").await;
    assert!(engine.0.run_out_of_memory(subject.id));
    assert_eq!(subject.exit_code().await, 137);
    assert!(subject.info().await.oom_killed);
    subject.driver.start(subject.id).await.unwrap();
    assert!(engine.0.exit(subject.id, 12));
    assert_eq!(subject.exit_code().await, 12);
    assert!(engine.0.vanish(subject.id));
    assert!(matches!(engine.0.inspect(subject.id).await, Err(DriverError::NoContainer(_))));
}
