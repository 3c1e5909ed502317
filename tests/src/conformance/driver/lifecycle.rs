//! Restarts, restart policies, and containers that do not exist.

use std::time::Duration;

use zun_common::id::ContainerId;
use zun_common::restart::Restart;
use zun_common::status::Status;
use zun_common::units::{Cpus, Mebibytes, Resources, TerminalSize};
use zun_compute::driver::{Change, DriverError};

use super::{IDLE, POLITE, Subject, TestEngine, all_logs, eventually, exec, spec};

pub async fn a_restart_runs_the_process_again(engine: &dyn TestEngine) {
    let subject = Subject::running(engine, POLITE).await;
    subject.prints("ready").await;
    let before = subject.info().await;
    subject.driver.restart(subject.id, Some(Duration::from_secs(20))).await.unwrap();
    let after = subject.info().await;
    assert_eq!((after.status, after.exit_code, after.finished_at), (Status::Running, None, None));
    assert_eq!(after.engine, before.engine);
    assert!(after.started_at > before.started_at);
}

pub async fn a_restart_starts_a_stopped_container(engine: &dyn TestEngine) {
    let subject = Subject::created(engine, &spec(engine, IDLE)).await;
    subject.driver.restart(subject.id, None).await.unwrap();
    assert_eq!(subject.status().await, Status::Running);
    subject.driver.kill(subject.id, "SIGKILL").await.unwrap();
    subject.exit_code().await;
    subject.driver.restart(subject.id, None).await.unwrap();
    assert_eq!(subject.status().await, Status::Running);
}

pub async fn limits_can_be_changed_in_any_status(engine: &dyn TestEngine) {
    let mut asked = spec(engine, IDLE);
    asked.resources = Resources { cpus: Cpus::from_millis(500), memory: Mebibytes(64) };
    let subject = Subject::created(engine, &asked).await;
    for memory in [Mebibytes(256), Mebibytes(32)] {
        let resources = Resources { cpus: Cpus::from_millis(250), memory };
        // The second time, the container is running.
        for _ in 0..2 {
            subject.driver.update(subject.id, resources).await.unwrap();
        }
        subject.driver.start(subject.id).await.unwrap();
        let stats = subject.driver.stats(subject.id).await.unwrap();
        assert_eq!(stats.memory_limit, memory.bytes());
    }
}

pub async fn a_failing_process_runs_again_as_often_as_the_policy_says(engine: &dyn TestEngine) {
    let mut spec = spec(engine, "echo ran; exit 4");
    spec.restart = Some(Restart::OnFailure { retries: 2 });
    let subject = Subject::started(engine, &spec).await;
    let thrice = "ran\nran\nran\n";
    eventually("three runs and an end", || async {
        subject.output().await == thrice && subject.status().await == Status::Stopped
    })
    .await;
    let seen = subject.info().await;
    assert_eq!((seen.exit_code, subject.output().await.as_str()), (Some(4), thrice));
}

pub async fn a_stop_overrides_the_restart_policy(engine: &dyn TestEngine) {
    let mut spec = spec(engine, POLITE);
    spec.restart = Some(Restart::Always);
    let subject = Subject::started(engine, &spec).await;
    subject.prints("ready").await;
    subject.driver.stop(subject.id, Some(Duration::from_secs(20))).await.unwrap();
    assert_eq!(subject.status().await, Status::Stopped);

    spec.command = Some(super::shell("exit 1"));
    let subject = Subject::started(engine, &spec).await;
    eventually("a restart is in progress", || async {
        subject.status().await == Status::Restarting
    })
    .await;
    subject.driver.stop(subject.id, None).await.unwrap();
    eventually("it stays stopped", || async { subject.status().await == Status::Stopped }).await;
}

pub async fn every_operation_on_a_missing_container_says_so(engine: &dyn TestEngine) {
    let driver = engine.driver();
    let id = ContainerId::random();
    let size = TerminalSize { rows: 24, columns: 80 };
    let outcomes = [
        ("start", driver.start(id).await.err()),
        ("stop", driver.stop(id, None).await.err()),
        ("restart", driver.restart(id, None).await.err()),
        ("kill", driver.kill(id, "SIGTERM").await.err()),
        ("pause", driver.pause(id).await.err()),
        ("unpause", driver.unpause(id).await.err()),
        ("inspect", driver.inspect(id).await.err()),
        ("wait", driver.wait(id).await.err()),
        ("top", driver.top(id, None).await.err()),
        ("stats", driver.stats(id).await.err()),
        ("update", driver.update(id, Resources::default()).await.err()),
        ("logs", driver.logs(id, &all_logs()).await.err()),
        ("resize", driver.resize(id, size).await.err()),
        ("exec_create", driver.exec_create(id, &exec(&["true"])).await.err()),
        ("exec_run", driver.exec_run(id, &exec(&["true"])).await.err()),
    ];
    for (operation, error) in outcomes {
        let named = matches!(error, Some(DriverError::NoContainer(named)) if named == id);
        assert!(named, "{operation}: {error:?}");
    }
    assert_eq!(driver.remove(id, false).await.unwrap(), Change::Already);
    assert_eq!(driver.remove(id, true).await.unwrap(), Change::Already);
}
