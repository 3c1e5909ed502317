//! Stopping and killing containers.

use std::time::{Duration, Instant};

use zun_common::status::Status;
use zun_compute::driver::{Change, DriverError};

use super::{IDLE, POLITE, STUBBORN, Subject, TestEngine, spec};

pub async fn a_process_gets_time_to_stop_by_itself(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, POLITE).await;
    subject.prints("ready").await;
    let begun = Instant::now();
    let grace = Some(Duration::from_secs(20));
    assert_eq!(subject.driver.stop(subject.id, grace).await.unwrap(), Change::Done);
    assert!(begun.elapsed() < Duration::from_secs(10));
    let seen = subject.info().await;
    assert_eq!((seen.status, seen.exit_code), (Status::Stopped, Some(7)));
    assert_eq!(subject.driver.stop(subject.id, grace).await.unwrap(), Change::Already);
    assert_eq!(subject.info().await, seen);
}

pub async fn a_process_that_ignores_the_signal_is_killed_after_the_grace_period(
    engine: &dyn TestEngine,
) {
    let subject = Subject::running(engine, STUBBORN).await;
    subject.prints("ready").await;
    let begun = Instant::now();
    let grace = Some(Duration::from_secs(1));
    assert_eq!(subject.driver.stop(subject.id, grace).await.unwrap(), Change::Done);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(9), "{took:?}");
    let seen = subject.info().await;
    assert_eq!((seen.status, seen.exit_code), (Status::Stopped, Some(137)));
    assert!(!seen.oom_killed);
}

pub async fn stopping_a_stopped_container_changes_nothing(engine: &dyn TestEngine) {
    let subject = Subject::created(engine, &spec(engine, IDLE)).await;
    assert_eq!(subject.driver.stop(subject.id, None).await.unwrap(), Change::Already);
    assert_eq!(subject.status().await, Status::Created);
}

pub async fn the_stop_signal_of_the_container_is_sent(engine: &dyn TestEngine) {
    let mut spec = spec(engine, STUBBORN);
    spec.stop_signal = Some("SIGKILL".to_owned());
    let subject = Subject::started(engine, &spec).await;
    subject.prints("ready").await;
    let begun = Instant::now();
    subject.driver.stop(subject.id, Some(Duration::from_secs(20))).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(subject.exit_code().await, 137);
}

pub async fn a_kill_ends_the_process_at_once(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, STUBBORN).await;
    subject.prints("ready").await;
    subject.driver.kill(subject.id, "SIGKILL").await.unwrap();
    assert_eq!(subject.exit_code().await, 137);
    assert_eq!(subject.status().await, Status::Stopped);
}

pub async fn a_kill_sends_the_named_signal(engine: &dyn TestEngine) {
    for name in ["SIGTERM", "TERM", "15"] {
        let subject = Subject::running(engine, POLITE).await;
        subject.prints("ready").await;
        subject.driver.kill(subject.id, name).await.unwrap();
        assert_eq!(subject.exit_code().await, 7, "{name}");
    }
}

pub async fn a_kill_is_refused_if_nothing_runs_or_the_signal_is_unknown(engine: &dyn TestEngine) {
    let subject = Subject::created(engine, &spec(engine, "exit 0")).await;
    let error = subject.driver.kill(subject.id, "SIGTERM").await.unwrap_err();
    assert!(matches!(error, DriverError::Conflict { .. }), "{error:?}");
    subject.driver.start(subject.id).await.unwrap();
    subject.exit_code().await;
    let error = subject.driver.kill(subject.id, "SIGTERM").await.unwrap_err();
    assert!(matches!(error, DriverError::Conflict { .. }), "{error:?}");

    let subject = Subject::running(engine, IDLE).await;
    let error = subject.driver.kill(subject.id, "SIGNOTHING").await.unwrap_err();
    assert!(matches!(error, DriverError::Invalid { .. }), "{error:?}");
    assert_eq!(subject.status().await, Status::Running);
}
