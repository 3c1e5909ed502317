//! Pausing and unpausing.

use std::time::Duration;

use zun_common::status::Status;
use zun_compute::driver::{Change, DriverError};

use super::{IDLE, POLITE, Subject, TestEngine, exec, spec, within};

pub async fn a_paused_container_is_frozen_until_it_is_unpaused(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, "echo ready; sleep 1; echo awake; exit 2").await;
    subject.prints("ready").await;
    assert_eq!(subject.driver.pause(subject.id).await.unwrap(), Change::Done);
    let seen = subject.info().await;
    assert_eq!((seen.status, seen.exit_code), (Status::Paused, None));
    // Longer than the container's own sleep.
    let early = tokio::time::timeout(Duration::from_secs(2), subject.driver.wait(subject.id)).await;
    assert!(early.is_err(), "a paused process ended: {early:?}");
    assert_eq!(subject.output().await, "ready\n");
    assert_eq!(subject.driver.unpause(subject.id).await.unwrap(), Change::Done);
    assert_eq!(subject.exit_code().await, 2);
    assert_eq!(subject.output().await, "ready\nawake\n");
}

pub async fn pausing_and_unpausing_twice_changes_nothing(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    assert_eq!(subject.driver.unpause(subject.id).await.unwrap(), Change::Already);
    assert_eq!(subject.driver.pause(subject.id).await.unwrap(), Change::Done);
    assert_eq!(subject.driver.pause(subject.id).await.unwrap(), Change::Already);
    assert_eq!(subject.status().await, Status::Paused);
    assert_eq!(subject.driver.unpause(subject.id).await.unwrap(), Change::Done);
    assert_eq!(subject.driver.unpause(subject.id).await.unwrap(), Change::Already);
    assert_eq!(subject.status().await, Status::Running);
}

pub async fn only_a_running_container_can_be_paused_and_unpaused(engine: &dyn TestEngine) {
    let subject = Subject::created(engine, &spec(engine, "exit 0")).await;
    for _ in 0..2 {
        let error = subject.driver.pause(subject.id).await.unwrap_err();
        assert!(matches!(error, DriverError::Conflict { .. }), "{error:?}");
        let error = subject.driver.unpause(subject.id).await.unwrap_err();
        assert!(matches!(error, DriverError::Conflict { .. }), "{error:?}");
        // The second time, the container has ended.
        subject.driver.start(subject.id).await.unwrap();
        subject.exit_code().await;
    }
}

pub async fn a_paused_container_can_be_stopped_and_killed(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, POLITE).await;
    subject.prints("ready").await;
    subject.driver.pause(subject.id).await.unwrap();
    let stop = subject.driver.stop(subject.id, Some(Duration::from_secs(2)));
    assert_eq!(within(stop).await.unwrap(), Change::Done);
    assert_eq!(subject.status().await, Status::Stopped);

    let subject = Subject::running(engine, IDLE).await;
    subject.driver.pause(subject.id).await.unwrap();
    subject.driver.kill(subject.id, "SIGKILL").await.unwrap();
    assert_eq!(subject.exit_code().await, 137);
}

pub async fn a_paused_container_refuses_start_exec_and_removal(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    subject.driver.pause(subject.id).await.unwrap();
    let errors = [
        subject.driver.start(subject.id).await.err(),
        subject.driver.exec_create(subject.id, &exec(&["true"])).await.err(),
        subject.driver.exec_run(subject.id, &exec(&["true"])).await.err(),
        subject.driver.remove(subject.id, false).await.err(),
    ];
    for error in errors {
        assert!(matches!(error, Some(DriverError::Conflict { .. })), "{error:?}");
    }
    assert_eq!(subject.status().await, Status::Paused);
    assert_eq!(subject.driver.remove(subject.id, true).await.unwrap(), Change::Done);
}
