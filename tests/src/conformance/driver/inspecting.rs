//! Inspecting and waiting.

use zun_common::id::ContainerId;
use zun_common::status::Status;
use zun_common::units::{Cpus, Mebibytes, Resources};
use zun_compute::driver::fake::InspectionFault;
use zun_compute::driver::{DriverError, ListedContainer};

use super::{BrokenInspection, IDLE, Subject, TestEngine, spec, within};

pub async fn a_wait_ends_with_the_process_for_every_waiter(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, "sleep 0.7; exit 5").await;
    let wait = || subject.driver.wait(subject.id);
    let codes = within(async { tokio::join!(wait(), wait(), wait()) }).await;
    assert_eq!((codes.0.unwrap(), codes.1.unwrap(), codes.2.unwrap()), (5, 5, 5));
    assert_eq!(subject.status().await, Status::Stopped);
}

pub async fn a_wait_for_a_stopped_container_is_answered_at_once(engine: &dyn TestEngine) {
    let subject = Subject::created(engine, &spec(engine, "exit 6")).await;
    assert_eq!(subject.exit_code().await, 0);
    subject.driver.start(subject.id).await.unwrap();
    assert_eq!(subject.exit_code().await, 6);
    assert_eq!(subject.exit_code().await, 6);
}

pub async fn times_and_codes_are_those_of_the_last_run(engine: &dyn TestEngine) {
    let before = chrono::Utc::now();
    let subject = Subject::running(engine, "sleep 0.3; exit 1").await;
    subject.exit_code().await;
    let seen = subject.info().await;
    let (started, finished) = (seen.started_at.unwrap(), seen.finished_at.unwrap());
    assert!(before <= started && started <= finished && finished <= chrono::Utc::now());
    assert_eq!((seen.exit_code, seen.reason), (Some(1), None));
}

pub async fn all_our_containers_are_listed_with_their_status(engine: &dyn TestEngine) {
    let created = Subject::created(engine, &spec(engine, IDLE)).await;
    let running = Subject::running(engine, IDLE).await;
    let ended = Subject::running(engine, "exit 8").await;
    ended.exit_code().await;
    let listed = engine.driver().list().await.unwrap();
    for subject in [&created, &running, &ended] {
        let seen = subject.info().await;
        assert_eq!(find(&listed, subject.id).info(), Some(&seen));
        assert_eq!(listed.iter().filter(|one| one.container() == subject.id).count(), 1);
    }
    running.driver.remove(running.id, true).await.unwrap();
    let listed = engine.driver().list().await.unwrap();
    assert!(listed.iter().all(|one| one.container() != running.id));
}

pub async fn a_container_that_hangs_is_listed_with_unknown_state_next_to_the_others(
    engine: &dyn TestEngine,
) {
    lists_one_with_unknown_state(engine, InspectionFault::Stalled).await;
}

pub async fn a_container_that_cannot_be_read_is_listed_with_unknown_state_next_to_the_others(
    engine: &dyn TestEngine,
) {
    lists_one_with_unknown_state(engine, InspectionFault::Failed).await;
}

async fn lists_one_with_unknown_state(engine: &dyn TestEngine, fault: InspectionFault) {
    let broken = Subject::created(engine, &spec(engine, IDLE)).await;
    let running = Subject::running(engine, IDLE).await;
    let BrokenInspection { driver, fault, link: _link } = engine.break_inspection(broken.id, fault);
    let listed = within(driver.list()).await.unwrap();
    let (unknown, reason) = match find(&listed, broken.id) {
        ListedContainer::StateUnknown { engine, reason, .. } => {
            (engine.clone(), reason.to_string())
        }
        ListedContainer::Inspected(info) => panic!("the state is known: {info:?}"),
    };
    assert!(!reason.is_empty());
    assert_eq!(find(&listed, running.id).info(), Some(&running.info().await));
    drop(fault);
    let listed = within(driver.list()).await.unwrap();
    let info = find(&listed, broken.id).info().unwrap();
    assert_eq!((info.status, Some(&info.engine)), (Status::Created, unknown.as_ref()));
}

fn find(listed: &[ListedContainer], container: ContainerId) -> &ListedContainer {
    listed.iter().find(|one| one.container() == container).expect("every container is listed")
}

pub async fn the_engine_describes_itself(engine: &dyn TestEngine) {
    let engine = engine.driver().engine().await.unwrap();
    assert!(engine.total.cpus >= Cpus::from_millis(1000));
    assert!(engine.total.memory > Mebibytes(64));
    assert!(engine.disk.0 > 0);
    assert!(engine.api_version.major == 1 && engine.api_version.minor >= 41);
    let fields =
        [&engine.engine, &engine.architecture, &engine.os_type, &engine.os, &engine.kernel];
    assert!(fields.iter().all(|word| !word.is_empty()), "{engine:?}");
    assert!(!engine.runtimes.is_empty());
}

pub async fn the_processes_of_a_running_container_are_listed(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, "echo ready; sleep 1000").await;
    subject.prints("ready").await;
    for ps_args in [None, Some("-eo pid,args")] {
        let top = subject.driver.top(subject.id, ps_args).await.unwrap();
        assert!(!top.titles.is_empty() && !top.processes.is_empty(), "{top:?}");
        assert!(top.processes.iter().all(|row| row.len() == top.titles.len()), "{top:?}");
        let shown = top.processes.concat().join(" ");
        assert!(shown.contains("sleep 1000"), "{top:?}");
    }
    let ended = Subject::created(engine, &spec(engine, IDLE)).await;
    let error = ended.driver.top(ended.id, None).await.unwrap_err();
    assert!(matches!(error, DriverError::Conflict { .. }), "{error:?}");
}

pub async fn a_running_container_has_stats(engine: &dyn TestEngine) {
    let mut asked = spec(engine, IDLE);
    asked.resources = Resources { cpus: Cpus::from_millis(500), memory: Mebibytes(64) };
    let subject = Subject::started(engine, &asked).await;
    let stats = within(subject.driver.stats(subject.id)).await.unwrap();
    assert!(stats.cpu_percent >= 0.0 && stats.memory <= 64 << 20, "{stats:?}");
    assert_eq!(stats.memory_limit, 64 << 20, "{stats:?}");
    assert!(stats.processes >= 1, "{stats:?}");
    let idle = Subject::created(engine, &asked).await;
    let stats = within(idle.driver.stats(idle.id)).await.unwrap();
    assert_eq!((stats.memory, stats.processes), (0, 0));
}
