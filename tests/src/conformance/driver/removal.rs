//! Removing containers.

use std::time::Duration;

use zun_common::id::OperationId;
use zun_common::status::Status;
use zun_compute::driver::{Change, DriverError};

use super::{IDLE, Subject, TestEngine, spec, within};

async fn is_gone(subject: &Subject) -> bool {
    match subject.driver.inspect(subject.id).await {
        Ok(_seen) => false,
        Err(error) => {
            assert!(matches!(error, DriverError::NoContainer(_)), "{error:?}");
            true
        }
    }
}

pub async fn a_removed_container_is_gone_and_removing_it_again_changes_nothing(
    engine: &dyn TestEngine,
) {
    let subject = Subject::running(engine, "exit 0").await;
    subject.exit_code().await;
    assert_eq!(subject.driver.remove(subject.id, false).await.unwrap(), Change::Done);
    assert!(is_gone(&subject).await);
    assert_eq!(subject.driver.remove(subject.id, false).await.unwrap(), Change::Already);
}

pub async fn a_running_container_is_removed_only_by_force(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    let error = subject.driver.remove(subject.id, false).await.unwrap_err();
    assert!(matches!(error, DriverError::Conflict { .. }), "{error:?}");
    assert_eq!(subject.status().await, Status::Running);
    let (driver, id) = (&subject.driver, subject.id);
    let both = async { tokio::join!(biased; driver.wait(id), driver.remove(id, true)) };
    let (waited, removed) = within(both).await;
    assert_eq!((waited.unwrap(), removed.unwrap()), (137, Change::Done));
    assert!(is_gone(&subject).await);
}

pub async fn an_old_container_leaves_its_name_and_can_get_it_back(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    let (driver, id) = (&subject.driver, subject.id);
    let first = subject.info().await.engine;
    let none = driver.inspect_old(id).await.unwrap_err();
    assert!(matches!(none, DriverError::NoContainer(_)), "{none:?}");
    assert_eq!(driver.restore_old(id).await.unwrap(), Change::Already);
    assert_eq!(driver.rename_to_old(id, &first).await.unwrap(), Change::Done);
    assert!(is_gone(&subject).await);
    let old = driver.inspect_old(id).await.unwrap();
    assert_eq!((&old.engine, old.status), (&first, Status::Running));
    assert_eq!(driver.start_old(id).await.unwrap(), Change::Already);
    assert_eq!(within(driver.stop_old(id, Some(Duration::ZERO))).await.unwrap(), Change::Done);
    assert_eq!(driver.stop_old(id, None).await.unwrap(), Change::Already);
    assert_eq!(driver.inspect_old(id).await.unwrap().status, Status::Stopped);
    assert_eq!(driver.start_old(id).await.unwrap(), Change::Done);
    assert_eq!(driver.restore_old(id).await.unwrap(), Change::Done);
    let back = subject.info().await;
    assert_eq!((back.engine, back.status), (first.clone(), Status::Running));
    within(driver.stop(id, Some(Duration::ZERO))).await.unwrap();
    driver.rename_to_old(id, &first).await.unwrap();
    let mut spec = spec(engine, IDLE);
    let rebuild = OperationId::random();
    spec.rebuild = Some(rebuild);
    assert_eq!(driver.create(id, &spec).await.unwrap().1, Change::Done);
    assert!(driver.restore_old(id).await.is_err(), "another one has its name");
    let second = subject.info().await.engine;
    assert!(driver.rename_to_old(id, &second).await.is_err(), "there is one already");
    assert_eq!(driver.remove_old(id).await.unwrap(), Change::Done);
    assert_eq!(driver.remove_old(id).await.unwrap(), Change::Already);
    let seen = subject.info().await;
    assert_eq!((seen.engine, seen.rebuild), (second, Some(rebuild)));
}

pub async fn two_concurrent_removals_both_succeed(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    let remove = || subject.driver.remove(subject.id, true);
    let (one, other) = within(async { tokio::join!(remove(), remove()) }).await;
    let outcomes = [one.unwrap(), other.unwrap()];
    assert!(outcomes.contains(&Change::Done), "{outcomes:?}");
    assert!(is_gone(&subject).await);
}

pub async fn the_engine_keeps_a_container_with_auto_remove(engine: &dyn TestEngine) {
    let mut spec = spec(engine, "exit 9");
    spec.auto_remove = true;
    let subject = Subject::started(engine, &spec).await;
    assert_eq!(subject.exit_code().await, 9);
    let seen = subject.info().await;
    assert_eq!((seen.status, seen.exit_code), (Status::Stopped, Some(9)));
}

pub async fn a_removed_container_can_be_created_again(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, IDLE).await;
    let first = subject.info().await.engine;
    subject.driver.remove(subject.id, true).await.unwrap();
    let (second, change) = subject.driver.create(subject.id, &spec(engine, IDLE)).await.unwrap();
    assert_eq!(change, Change::Done);
    assert_ne!(second, first);
}
